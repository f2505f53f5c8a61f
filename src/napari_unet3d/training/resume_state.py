"""The resume file: all that is needed to continue a run as if it had not been interrupted.

Like a model file, it holds only tensors and text (see `napari_unet3d.model.tensor_file`): reading it executes no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Block
from napari_unet3d.errors import UserError
from napari_unet3d.files import RESUME_FILE
from napari_unet3d.model.network import build_network, weight_shapes
from napari_unet3d.model.plan import Plan, Side
from napari_unet3d.model.tensor_file import (
    FileKind,
    open_tensors,
    read_tensors,
    shapes_in,
    types_in,
    write_tensors,
)
from napari_unet3d.runs.history import Count, EpochRecord
from napari_unet3d.training.started_epoch import LearningRate, Seconds, StartedEpoch

_KIND = FileKind(
    "napari-unet3d-resume",
    1,
    "state of a run",
    f"Choose a run folder with a {RESUME_FILE}, or start a new run.",
)
_WEIGHTS, _AVERAGE, _OPTIMIZER, _RANDOM = "weights.", "average.", "optimizer.", "random_state"
_Number = bool | int | float | None
_MAX_VOLUMES_NAMED = 3
_MAX_DIGITS = 9


class VolumeInfo(BaseModel):
    """Name and shape (z, y, x) of a volume of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: tuple[Side, Side, Side]


class RunHeader(BaseModel):
    """The text part of a run's state.

    Attributes
    ----------
    config : TrainingConfig
        The settings of the run.
    plan : Plan
        Its plan; patch and batch may be smaller than at the start, if memory ran out.
    volumes : tuple of VolumeInfo
        The data, to recognise when a run is resumed with other data.
    train_names, val_names : tuple of str
        The split.
    blocks : tuple of Block
        Training and validation block of a single volume; empty for whole volumes.
    device_type : str
        The type of device, such as ``"cpu"``; the random state is only valid for that type.
    n_steps_per_epoch : int
        Length of an epoch, which does not change when patches become smaller.
    epoch, n_steps, n_averaged_steps : int
        Finished epochs, optimizer steps, and steps in the moving average of the weights.
    history : tuple of EpochRecord
        Losses of the epochs so far.
    learning_rates, seconds : tuple of float
        Learning rate and duration of each of these epochs.
    seconds_spent : float
        Time that the run has taken over all its sessions.
    groups : tuple of dict
        Hyperparameters of the optimizer's parameter groups.
    scaler : dict
        State of the gradient scaler; empty without one.
    started_epoch : StartedEpoch or None
        The epoch after the finished ones, if the state was saved inside it.
    number_type : str
        Number type of the computations, such as ``"bf16"``; empty if it is not known.
    """

    # The loss of an epoch may be NaN, which JSON would store as null and not read back as a number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    config: TrainingConfig
    plan: Plan
    volumes: tuple[VolumeInfo, ...]
    train_names: tuple[str, ...]
    val_names: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    device_type: str
    n_steps_per_epoch: Annotated[int, Field(ge=1, le=2**31)]
    epoch: Count
    n_steps: Count
    n_averaged_steps: Count = 0
    history: tuple[EpochRecord, ...]
    learning_rates: tuple[LearningRate, ...]
    seconds: tuple[Seconds, ...]
    seconds_spent: Seconds
    groups: tuple[dict[str, _Number | tuple[float, ...]], ...] = ()
    scaler: dict[str, int | float] = {}
    started_epoch: StartedEpoch | None = None
    number_type: str = ""

    @property
    def n_steps_done(self) -> int:
        """Steps of the epoch after the finished ones."""
        return len(self.started_epoch.losses) if self.started_epoch else 0


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run between two steps, most often between two epochs.

    Attributes
    ----------
    header : RunHeader
        The text part.
    weights : dict of str to Tensor
        State of the network.
    ema : dict of str to Tensor
        Moving average of the weights; empty without one.
    moments : dict of str to Tensor
        State of the optimizer, by ``"<number of the parameter>.<name>"``.
    random_state : Tensor of uint8, shape (byte,)
        State of torch's random number generator.
    """

    header: RunHeader
    weights: dict[str, torch.Tensor]
    random_state: torch.Tensor
    ema: dict[str, torch.Tensor] = field(default_factory=dict)
    moments: dict[str, torch.Tensor] = field(default_factory=dict)


def volumes_of(samples: Sequence[Sample]) -> tuple[VolumeInfo, ...]:
    """Return names and shapes of volumes."""
    return tuple(VolumeInfo(name=sample.name, shape=sample.shape) for sample in samples)


def check_same_volumes(header: RunHeader, samples: Sequence[Sample]) -> None:
    """Raise an error if the data is not that of the run.

    Raises
    ------
    UserError
        If names, order or shapes differ.
    """
    now = volumes_of(samples)
    if now == header.volumes:
        return
    raise UserError(
        f"The run was trained on {_format_volumes(header.volumes)}, but now there are {_format_volumes(now)}. "
        "Resume with the same volumes, or start a new run from its model."
    )


def _format_volumes(volumes: Sequence[VolumeInfo]) -> str:
    names = [f"'{volume.name}' {volume.shape}" for volume in volumes[:_MAX_VOLUMES_NAMED]]
    more = len(volumes) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def save_run_state(path: Path, state: RunState) -> None:
    """Write the state of a run atomically; an earlier one is replaced.

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
    """Read the state of a run; this executes no code.

    Raises
    ------
    UserError
        If there is no such file, or it is damaged or of a version that this one cannot read.
    """
    with open_tensors(path, _KIND, RunHeader) as (header, file):
        fits = _fits(header, shapes_in(file), types_in(file))
        tensors = read_tensors(file) if fits else {}
    if not fits or not _is_random_state(tensors[_RANDOM], header.device_type):
        raise UserError(
            f"The tensors in {path} do not belong to the run that its settings describe: it is damaged. "
            "Start a new run, or start one from the run's model."
        )
    return RunState(
        header=header,
        weights=_with_prefix(tensors, _WEIGHTS),
        ema=_with_prefix(tensors, _AVERAGE),
        moments=_with_prefix(tensors, _OPTIMIZER),
        random_state=tensors[_RANDOM],
    )


def _with_prefix(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _fits(header: RunHeader, shapes: dict[str, tuple[int, ...]], types: dict[str, str]) -> bool:
    """Compare names, shapes and types with the network of the header before memory is allocated for the tensors."""
    if (expected := weight_shapes(header.config, header.plan)) is None:
        return False
    network = build_network(header.config, header.plan, device="meta")
    of_parameters = [tuple(weights.shape) for weights in network.parameters()]
    counts = len(header.history), len(header.learning_rates), len(header.seconds)
    n_steps = header.n_steps_per_epoch * header.epoch + header.n_steps_done
    return (
        counts == (header.epoch,) * 3
        and header.n_steps_done <= header.n_steps_per_epoch
        and max(header.n_steps, header.n_averaged_steps) <= n_steps
        and len(header.groups) == 1
        and _with_prefix(shapes, _WEIGHTS) == expected
        and _with_prefix(shapes, _AVERAGE) in ({}, expected)
        and all(_is_moment_of(of_parameters, name, shape) for name, shape in _with_prefix(shapes, _OPTIMIZER).items())
        and all(name.startswith((_WEIGHTS, _AVERAGE, _OPTIMIZER)) or name == _RANDOM for name in shapes)
        and types.pop(_RANDOM, None) == "U8"
        and set(types.values()) == {"F32"}
    )


def _is_moment_of(parameters: list[tuple[int, ...]], name: str, shape: tuple[int, ...]) -> bool:
    number, _, _ = name.partition(".")
    is_number = number.isdecimal() and len(number) < _MAX_DIGITS
    return is_number and int(number) < len(parameters) and shape in ((), parameters[int(number)])


def _is_random_state(state: torch.Tensor, device_type: str) -> bool:
    if device_type != "cpu":
        return state.ndim == 1  # it can be checked on that type of device only
    try:
        torch.Generator().set_state(state)
    except (RuntimeError, TypeError):
        return False
    return True
