"""Networks of MONAI that packages name by their class: those that this program builds, too, and can train."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from napari_unet3d.configs import Activation, ArchitectureName, Normalisation, Preset, Task, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.bioimageio.processing import EnsureDtype, ScaleRange, Step, ZeroMeanUnitVariance
from napari_unet3d.model.bioimageio.schema import Architecture
from napari_unet3d.model.plan import LabelClass, Plan

_LIBRARY = "monai.networks.nets"
_CLASSES = {"UNet": ArchitectureName.UNET, "Unet": ArchitectureName.UNET, "DynUNet": ArchitectureName.DYNUNET}
_VOLUME_AXES = {"z", "y", "x"}


def find_network(
    architecture: Architecture, settings: Mapping[str, Any], task: Task, class_names: Sequence[str], channels: int
) -> tuple[TrainingConfig, Plan] | None:
    """Return settings and plan of the network that a package names; None if this program does not build it.

    Parameters
    ----------
    architecture : Architecture
        The class with its arguments; its code is not looked at.
    settings : mapping
        Settings that are not of the network.
    task : Task
        What its outputs are.
    class_names : sequence of str
        The classes without background.
    channels : int
        Number of channels of the images.
    """
    name = _CLASSES.get(architecture.name)
    if name is None or not f"{architecture.import_from}.".startswith(f"{_LIBRARY}.") or architecture.source:
        return None
    given = _with_defaults(name, architecture.arguments)
    if given is None:
        return None
    levels = given["channels" if name is ArchitectureName.UNET else "filters"]
    for preset in Preset:
        if list(get_architecture(name).channels(preset)) == levels:
            try:
                config = TrainingConfig(**_network_settings(name, given), **settings, preset=preset, task=task)
                plan = _plan(given, name, task, class_names, channels)
            except (UserError, ValueError, TypeError, KeyError, IndexError):
                continue
            ours = get_architecture(name).library_class(config, plan)
            if ours is not None and _with_defaults(name, ours.arguments) == given:
                return config, plan
    return None


def training_normalisation(steps: Sequence[Step], channels: int) -> dict[str, Any] | None:
    """Return the normalisation that does what the preprocessing of a package does; None if there is none."""
    kept = [step for step in steps if not isinstance(step, EnsureDtype)]
    if not kept:
        return {"normalisation": Normalisation.NONE}
    step = kept[0]
    if len(kept) > 1 or not isinstance(step, ScaleRange | ZeroMeanUnitVariance):
        return None
    axes = {"channel", *_VOLUME_AXES} if step.axes is None else set(step.axes) - {"batch"}
    if axes - ({"channel"} if channels == 1 else set()) != _VOLUME_AXES:
        return None
    if isinstance(step, ZeroMeanUnitVariance):
        return {"normalisation": Normalisation.Z_SCORE}
    if (step.min_percentile, step.max_percentile) == (0, 100):
        return {"normalisation": Normalisation.MIN_MAX}
    return {"normalisation": Normalisation.PERCENTILE, "percentiles": (step.min_percentile, step.max_percentile)}


def _with_defaults(name: ArchitectureName, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return all arguments of a class of MONAI in one spelling; None if it has no such arguments."""
    from monai.networks import nets

    parameters = inspect.signature(nets.UNet if name is ArchitectureName.UNET else nets.DynUNet).parameters
    if not arguments.keys() <= parameters.keys():
        return None
    defaults = {key: each.default for key, each in parameters.items() if each.default is not inspect.Parameter.empty}
    try:
        plain: dict[str, Any] = json.loads(json.dumps({**defaults, **arguments}, default=str))
    except (TypeError, ValueError, RecursionError):
        return None
    if not {"spatial_dims", "in_channels", "out_channels", "strides"} <= plain.keys() or plain["spatial_dims"] != 3:
        return None
    plain |= {key: _lower(value) for key, value in plain.items()}
    plain["dropout"] = plain["dropout"] or 0.0
    plain["strides"] = [[each] * 3 if isinstance(each, int) else each for each in _list(plain["strides"])]
    for key in ("kernel_size", "up_kernel_size"):
        size = plain.get(key)
        if isinstance(size, list) and len(size) == 3 and all(each == size[0] for each in size):
            plain[key] = size[0] if isinstance(size[0], int) else size
    return plain


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _network_settings(name: ArchitectureName, given: Mapping[str, Any]) -> dict[str, Any]:
    common = {"architecture": name, "dropout": given["dropout"]}
    if name is ArchitectureName.DYNUNET:
        return common | {"kernel_size": given["kernel_size"][-1][0]}
    activations = {each.monai_name: each for each in Activation}
    return common | {
        "kernel_size": given["kernel_size"],
        "up_kernel_size": given["up_kernel_size"],
        "activation": activations[given["act"]],
        "bias": given["bias"],
        "adn_order": given["adn_ordering"].upper(),
    }


def _plan(
    given: Mapping[str, Any], name: ArchitectureName, task: Task, class_names: Sequence[str], channels: int
) -> Plan:
    strides = given["strides"][1:] if name is ArchitectureName.DYNUNET else given["strides"]
    return Plan(
        task=task,
        strides=tuple(map(tuple, strides)),
        classes=tuple(LabelClass(value=value, name=each) for value, each in enumerate(class_names, 1)),
        channels=channel_names((), channels),
    )


def channel_names(names: Sequence[str], channels: int) -> tuple[str, ...]:
    """Return the names of the channels of a plan: none for a single one.

    >>> channel_names((), 1), channel_names((), 2), channel_names(("dna", "membrane"), 2)
    ((), ('channel 1', 'channel 2'), ('dna', 'membrane'))
    """
    if channels == 1:
        return ()
    return tuple(names) or tuple(f"channel {number}" for number in range(1, channels + 1))
