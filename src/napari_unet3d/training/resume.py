"""How a run begins: anew, from the weights of another model, or where it was left."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import CONFIG_FILE, HISTORY_FILE, MODEL_FILE, RESUME_FILE
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint
from napari_unet3d.model.devices import ComputeDevice, TorchState
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.planning import make_plan
from napari_unet3d.training.prepare import TrainingData, plan_and_prepare, prepare
from napari_unet3d.training.resume_state import (
    RunState,
    check_same_volumes,
    load_run_state,
    restore_optimizer,
)

LENGTH_SETTINGS = frozenset(
    {"epochs", "max_minutes", "patience", "save_snapshots"}
)  # which may differ when a run goes on


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a run begins with.

    Attributes
    ----------
    config : TrainingConfig
        The settings that hold.
    state : RunState or None
        Where the run was left; None for a new one.
    model : Checkpoint or None
        The model that a new run starts from.
    notices : tuple of str
        What the user should know.
    start_from : Path or None
        Where that model lies, if it is a file.
    """

    config: TrainingConfig
    state: RunState | None = None
    model: Checkpoint | None = None
    notices: tuple[str, ...] = ()
    start_from: Path | None = None


def resolve_start(
    run_folder: Path, config: TrainingConfig | None, *, resume: bool, start_from: Checkpoint | Path | str | None
) -> RunStart:
    """Find out how a run begins; nothing is written.

    Of the settings only those count that were given by hand (``config.model_fields_set``). The others are those of
    the run that is resumed, or, for the network and the normalisation, those of the model that is started from.

    Parameters
    ----------
    run_folder : Path
        The folder of the run.
    config : TrainingConfig or None
        What is given.
    resume : bool
        Go on where the run in the folder was left. Without a saved state it begins anew, from `start_from` if given.
    start_from : Checkpoint, path of a model, or None
        Whose weights a new run starts from.

    Raises
    ------
    UserError
        If there is nothing to go on from, or settings were given that do not go with it.
    """
    if resume and (run_folder / RESUME_FILE).exists():
        state = load_run_state(run_folder / RESUME_FILE)
        if not (run_folder / MODEL_FILE).exists():  # only an epoch that is better still would write it again
            raise UserError(f"The run in {run_folder} has lost its {MODEL_FILE}. Put it back, or train anew.")
        return RunStart(_with_new_length(state.header.config, config), state)
    notices: tuple[str, ...] = ()
    if resume:
        _check_nothing_is_lost(run_folder)
        config = _settings_of_folder(run_folder, config)
        notices = (f"There is no {RESUME_FILE} in {run_folder} yet: the run begins anew.",)
    config = config or TrainingConfig()
    if start_from is None:
        return RunStart(config, notices=notices)
    model = start_from if isinstance(start_from, Checkpoint) else load_checkpoint(start_from)
    path = None if isinstance(start_from, Checkpoint) else Path(start_from).absolute()
    return RunStart(_with_network_of(model, config), model=model, notices=notices, start_from=path)


def _with_new_length(settled: TrainingConfig, given: TrainingConfig | None) -> TrainingConfig:
    changes = {} if given is None else {name: getattr(given, name) for name in given.model_fields_set}
    changes = {name: value for name, value in changes.items() if value != getattr(settled, name)}
    if others := sorted(changes.keys() - LENGTH_SETTINGS):
        raise UserError(
            f"The run was trained with other settings: {_differences(others, settled, changes)}. "
            f"Resume without them (only {', '.join(sorted(LENGTH_SETTINGS))} may change), or start a new run from "
            "its model."
        )
    return settled.model_copy(update=changes)


def _with_network_of(model: Checkpoint, given: TrainingConfig) -> TrainingConfig:
    own = {name: getattr(model.config, name) for name in (*NETWORK_SETTINGS, "normalisation")}
    changes = {name: getattr(given, name) for name in given.model_fields_set & set(NETWORK_SETTINGS)}
    if others := sorted(name for name, value in changes.items() if value != own[name]):
        raise UserError(
            f"The model to start from has another network: {_differences(others, model.config, changes)}. "
            "Leave these settings out, or choose another model."
        )
    return given.model_copy(update={name: own[name] for name in own.keys() - given.model_fields_set})


def _differences(names: Sequence[str], settled: TrainingConfig, given: dict[str, object]) -> str:
    return ", ".join(f"{name} {_plain(getattr(settled, name))}, not {_plain(given[name])}" for name in names)


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _check_nothing_is_lost(run_folder: Path) -> None:
    """Refuse to begin anew over a run of several epochs, such as one of a version that kept no state."""
    history = run_folder / HISTORY_FILE
    if not history.exists():
        return
    with explain_os_errors(history, "read"), history.open(newline="", encoding="utf-8", errors="replace") as file:
        n_epochs = sum(1 for _ in csv.reader(file)) - 1
    if n_epochs > 1:
        raise UserError(
            f"The run in {run_folder} has {n_epochs} epochs, but no {RESUME_FILE} to go on from. "
            "Start a new run from its model."
        )


def _settings_of_folder(run_folder: Path, given: TrainingConfig | None) -> TrainingConfig | None:
    file = run_folder / CONFIG_FILE
    if not file.exists():
        return given
    with explain_os_errors(file, "read"):
        content = file.read_bytes()
    try:
        settled = TrainingConfig(**json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"Cannot read the settings in {file}: {error}. Remove it, and give them again.") from None
    return _with_new_length(settled, given)


def prepare_data(
    beginning: RunStart, split: Split, samples: Sequence[Sample], hardware: ComputeDevice, shelf: MemmapStore
) -> TrainingData:
    """Prepare the volumes as the run needs them; a run that goes on keeps its plan.

    Raises
    ------
    UserError
        If the data is not that of the run.
    """
    config, state = beginning.config, beginning.state
    if state is None:
        return plan_and_prepare(split, config, hardware, shelf)
    card = state.header
    check_same_volumes(card, samples)
    fresh = make_plan(split.train, split.val, config, hardware)
    sizes = {"patch_zyx": card.plan.patch_zyx, "batch_size": card.plan.batch_size}
    names = tuple(tuple(sample.name for sample in part) for part in (split.train, split.val))
    same_split = (*names, split.blocks) == (card.train_names, card.val_names, card.blocks)
    if not same_split or fresh.model_copy(update=sizes) != card.plan:
        raise UserError(
            "The split, the classes or the voxel sizes of the volumes are not those that the run began with. "
            "Start a new run from its model."
        )
    return prepare(split, config, card.plan, hardware.device, card.n_steps_per_epoch, shelf)


def restore(beginning: RunStart, learner: Learner, plan: Plan, settings: TorchState) -> list[str]:
    """Bring a new learner to where the run begins, and say what could not be taken over.

    Raises
    ------
    UserError
        If the model to start from has another network.
    """
    if beginning.model is not None:
        return _start_from(beginning.model, learner, plan)
    if beginning.state is None:
        return []
    state, card = beginning.state, beginning.state.header
    learner.load_weights(state.weights)
    if learner.ema is not None and state.ema:
        learner.ema.restore(state.ema, card.n_averaged_steps)
    restore_optimizer(learner.optimizer, card.groups, state.moments)
    if card.scaler and learner.stepper.is_scaled:
        learner.stepper.scaler.load_state_dict(dict(card.scaler))
    learner.n_steps = card.n_steps
    if card.device_type != settings.device_type:
        return [
            f"The run began on {card.device_type} and goes on on {settings.device_type}; "
            "it will not end with the same bits."
        ]
    settings.random_state = state.random_state
    return []


def _start_from(model: Checkpoint, learner: Learner, plan: Plan) -> list[str]:
    """Load the weights of a model, and keep the initial ones of the output head where its number of outputs differs."""
    initial = learner.weights()
    loaded = {name: w for name, w in model.weights.items() if name in initial and w.shape == initial[name].shape}
    reset = [name for name in initial if name not in loaded]
    output_head = get_architecture(model.config.architecture).output_head
    if initial.keys() != model.weights.keys() or not all(name.startswith(output_head) for name in reset):
        raise UserError(
            "The weights of the model to start from do not fit the network of this run, which downsamples other axes "
            "or has other kernels. Choose another model, or resample the volumes to its voxel size."
        )
    learner.load_weights({**initial, **loaded})
    notices = []
    if reset or (model.plan.task, model.plan.classes) != (plan.task, plan.classes):
        notices.append(
            f"The model to start from was trained for the task {model.plan.task.value}"
            f"{' with other classes' if model.plan.task is plan.task else ''}"
            f"; {'its last layers are initialised anew' if reset else 'its last layers are kept'}."
        )
    if model.plan.strides != plan.strides:
        notices.append("The model to start from was trained on voxels of other proportions.")
    return notices
