"""Everything that a run needs to go on as if it had never stopped, in one file.

Like a model file it holds numbers and text only (see `napari_unet3d.model.tensor_file`): reading it runs no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveInt

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Block
from napari_unet3d.errors import UserError
from napari_unet3d.files import RESUME_FILE
from napari_unet3d.model.network import build_network, weight_shapes
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.tensor_file import (
    FileKind,
    open_tensors,
    read_tensors,
    shapes_in,
    types_in,
    write_tensors,
)
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.training.optim.step import IMPLEMENTATION

_KIND = FileKind(
    "napari-unet3d-resume",
    1,
    "state of a run",
    f"Choose a run folder with a {RESUME_FILE}, or train from the beginning.",
)
_WEIGHTS, _AVERAGE, _OPTIMIZER, _RANDOM = "weights.", "average.", "optimizer.", "random_state"
_Number = bool | int | float | None
_MOST_VOLUMES_NAMED = 3


class VolumeInfo(BaseModel):
    """A volume that the run was given: its name and its shape (z, y, x)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]


class RunHeader(BaseModel):
    """The part of a run's state that is text.

    Attributes
    ----------
    config : TrainingConfig
        The settings of the run.
    plan : Plan
        What the run settled; batch and patch may have become smaller on the way.
    volumes : tuple of VolumeInfo
        The data, by which other data is told apart.
    train_names, val_names : tuple of str
        The split.
    blocks : tuple of Block
        Where a single volume was cut; empty for whole volumes.
    device_type : str
        Where it ran, such as ``"cpu"``: the random state belongs to that kind of device.
    n_steps_per_epoch : int
        Length of an epoch, which stays when patches become smaller.
    epoch, n_steps, n_averaged_steps : int
        Finished epochs, steps of the optimiser, and steps in the moving average.
    history : tuple of EpochRecord
        Losses of the epochs so far.
    learning_rates, seconds : tuple of float
        Rate and duration of each of these epochs.
    seconds_spent : float
        Time that the run has taken, over all its sittings.
    groups : tuple of dict
        Numbers of the optimiser's parameter groups.
    scaler : dict
        State of the gradient scaler; empty where there is none.
    """

    # The loss of an epoch may be NaN; JSON's null would not come back as a number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    config: TrainingConfig
    plan: Plan
    volumes: tuple[VolumeInfo, ...]
    train_names: tuple[str, ...]
    val_names: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    device_type: str
    n_steps_per_epoch: PositiveInt
    epoch: NonNegativeInt
    n_steps: NonNegativeInt
    n_averaged_steps: NonNegativeInt = 0
    history: tuple[EpochRecord, ...]
    learning_rates: tuple[float, ...]
    seconds: tuple[NonNegativeFloat, ...]
    seconds_spent: NonNegativeFloat
    groups: tuple[dict[str, _Number | tuple[float, ...]], ...] = ()
    scaler: dict[str, int | float] = {}


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run between two epochs.

    Attributes
    ----------
    card : RunHeader
        What is text.
    weights : dict of str to Tensor
        State of the network.
    average : dict of str to Tensor
        Moving average of the weights; empty without one.
    moments : dict of str to Tensor
        What the optimiser remembers, by ``"<number of the parameter>.<name>"``.
    random_state : Tensor of uint8, shape (byte,)
        State of torch's random numbers.
    """

    header: RunHeader
    weights: dict[str, torch.Tensor]
    random_state: torch.Tensor
    ema: dict[str, torch.Tensor] = field(default_factory=dict)
    moments: dict[str, torch.Tensor] = field(default_factory=dict)


def volumes_of(samples: Sequence[Sample]) -> tuple[VolumeInfo, ...]:
    """Note which volumes a run is given."""
    return tuple(VolumeInfo(name=sample.name, shape=sample.shape) for sample in samples)


def check_same_volumes(card: RunHeader, samples: Sequence[Sample]) -> None:
    """Refuse to go on with other data than the run began with.

    Raises
    ------
    UserError
        When names, order or shapes differ.
    """
    now = volumes_of(samples)
    if now == card.volumes:
        return
    raise UserError(
        f"The run was trained on {_volumes_in_words(card.volumes)}, but now there are {_volumes_in_words(now)}. "
        "Resume with the same volumes, or start a new run from its model."
    )


def _volumes_in_words(volumes: Sequence[VolumeInfo]) -> str:
    words = [f"'{volume.name}' {volume.shape}" for volume in volumes[:_MOST_VOLUMES_NAMED]]
    more = len(volumes) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def optimizer_groups(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], ...]:
    """Return the numbers of an optimiser's parameter groups, such as rate and decay."""
    groups = optimizer.state_dict()["param_groups"]
    return tuple({name: value for name, value in group.items() if name != "params"} for group in groups)


def optimizer_moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return what an optimiser remembers of each parameter, on the CPU; later steps do not change it."""
    return {
        f"{number}.{name}": tensor.detach().cpu().clone()
        for number, memory in optimizer.state_dict()["state"].items()
        for name, tensor in memory.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, groups: Sequence[dict[str, Any]], moments: dict[str, torch.Tensor]
) -> None:
    """Bring a new optimiser of the same kind and parameters to where another one was.

    Parameters
    ----------
    optimizer : Optimizer
        It is changed.
    groups, moments
        What `optimizer_groups` and `optimizer_moments` gave.
    """
    fresh = optimizer.state_dict()["param_groups"]
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in moments.items():
        number, name = key.split(".", 1)
        memory.setdefault(int(number), {})[name] = tensor
    numbered = [
        # How steps are computed is for the device of now to say.
        {**group, **{name: own[name] for name in ("params", *IMPLEMENTATION) if name in own}}
        for group, own in zip(groups, fresh, strict=True)
    ]
    optimizer.load_state_dict({"state": memory, "param_groups": numbered})
    for weights, remembered in optimizer.state.items():
        for name, tensor in remembered.items():
            if tensor.shape == weights.shape:
                # In the layout of its weights: on other strides torch takes other loops, which round otherwise.
                remembered[name] = torch.empty_like(weights).copy_(tensor)


def save_run_state(path: Path, state: RunState) -> None:
    """Write the state of a run, all of it or nothing; an older one is replaced.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    tensors = {
        **{_WEIGHTS + name: tensor for name, tensor in state.weights.items()},
        **{_AVERAGE + name: tensor for name, tensor in state.ema.items()},
        **{_OPTIMIZER + name: tensor for name, tensor in state.moments.items()},
        _RANDOM: state.random_state,
    }
    write_tensors(path, _KIND, state.header, tensors)


def load_run_state(path: Path) -> RunState:
    """Read the state of a run; nothing in it is executed.

    Raises
    ------
    UserError
        When there is no such file, or it is no whole state that this version understands.
    """
    with open_tensors(path, _KIND, RunHeader) as (card, file):
        fits = _fits(card, shapes_in(file), types_in(file))
        tensors = read_tensors(file) if fits else {}
    if not fits or not _is_random_state(tensors[_RANDOM], card.device_type):
        raise UserError(
            f"The tensors in {path} do not belong to the run that its settings describe: it is damaged. "
            "Train again from the beginning, or from the run's model."
        )
    return RunState(
        header=card,
        weights=_part(tensors, _WEIGHTS),
        ema=_part(tensors, _AVERAGE),
        moments=_part(tensors, _OPTIMIZER),
        random_state=tensors[_RANDOM],
    )


def _part(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _fits(card: RunHeader, shapes: dict[str, tuple[int, ...]], types: dict[str, str]) -> bool:
    """Compare names, shapes and types with the network of the card before any memory is taken for them."""
    if (expected := weight_shapes(card.config, card.plan)) is None:
        return False
    network = build_network(card.config, card.plan, device="meta")
    of_parameters = [tuple(weights.shape) for weights in network.parameters()]
    counts = len(card.history), len(card.learning_rates), len(card.seconds)
    return (
        counts == (card.epoch,) * 3
        and len(card.groups) == 1
        and _part(shapes, _WEIGHTS) == expected
        and _part(shapes, _AVERAGE) in ({}, expected)
        and all(_is_moment_of(of_parameters, name, shape) for name, shape in _part(shapes, _OPTIMIZER).items())
        and all(name.startswith((_WEIGHTS, _AVERAGE, _OPTIMIZER)) or name == _RANDOM for name in shapes)
        and types.pop(_RANDOM, None) == "U8"
        and set(types.values()) == {"F32"}
    )


def _is_moment_of(parameters: list[tuple[int, ...]], name: str, shape: tuple[int, ...]) -> bool:
    number, _, _ = name.partition(".")
    return number.isdecimal() and int(number) < len(parameters) and shape in ((), parameters[int(number)])


def _is_random_state(state: torch.Tensor, device_type: str) -> bool:
    if device_type != "cpu":
        return state.ndim == 1  # what the numbers mean is known on that device only
    try:
        torch.Generator().set_state(state)
    except (RuntimeError, TypeError):
        return False
    return True
