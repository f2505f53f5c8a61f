"""How a run starts: from new weights, from those of another model, or from the saved state of an interrupted run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.data.channel_choice import ChannelChoice
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split
from napari_unet3d.errors import UserError
from napari_unet3d.files import CONFIG_FILE, HISTORY_FILE, MODEL_FILE, RESUME_FILE
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint
from napari_unet3d.model.devices import ComputeDevice, TorchState
from napari_unet3d.model.plan import Plan
from napari_unet3d.paths import exists
from napari_unet3d.text_files import read_csv, read_json_object
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.optim.state import restore_optimizer
from napari_unet3d.training.planning import check_parts, make_plan
from napari_unet3d.training.prepare import TrainingData, make_training_data, plan_and_prepare
from napari_unet3d.training.resume_state import (
    RunState,
    check_same_volumes,
    load_run_state,
)

RESUMABLE_SETTINGS = frozenset(
    {
        *("epochs", "max_minutes", "patience", "save_snapshots", "checkpoint_minutes"),
        *("device", "precision", "num_workers", "track"),
    }
)
"""Settings that may change when a run is resumed: its length, what is saved, the hardware, and where it is recorded."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a run starts from; made by `resolve_start`.

    Attributes
    ----------
    config : TrainingConfig
        The settings of the run, with those taken over from the resumed run or from the model.
    state : RunState or None
        The saved state of a run that is resumed; None for a new run.
    model : Checkpoint or None
        The model that a new run starts from.
    notices : tuple of str
        What the user should know.
    start_from : Path or None
        The file or run folder of that model.
    """

    config: TrainingConfig
    state: RunState | None = None
    model: Checkpoint | None = None
    notices: tuple[str, ...] = ()
    start_from: Path | None = None

    def channel_choice(self) -> ChannelChoice:
        """Return what chooses the channels of the volumes: those of the model to start from, if there is one."""
        return ChannelChoice(self.config.channels, None if self.model is None else self.model.plan.channels)


def resolve_start(
    run_folder: Path, config: TrainingConfig | None, *, resume: bool, start_from: Checkpoint | Path | str | None
) -> RunStart:
    """Return what a run starts from; nothing is written.

    Only settings that were set explicitly (``config.model_fields_set``) are taken from `config`. The others are those
    of the resumed run or, for network, normalisation and channels, of the model that the run starts from.

    Parameters
    ----------
    run_folder : Path
        The folder of the run.
    config : TrainingConfig or None
        The settings that are given.
    resume : bool
        Continue the run in the folder. Without a saved state a new run starts, from `start_from` if given.
    start_from : Checkpoint, path of a model, or None
        The model whose weights a new run starts from.

    Raises
    ------
    UserError
        If there is nothing to resume or to start from, or settings were given that do not go with it.
    """
    if resume and exists(run_folder / RESUME_FILE):
        state = load_run_state(run_folder / RESUME_FILE)
        # Only a better epoch would write it again; a run that was saved inside its first epoch has none yet.
        if state.header.epoch and not exists(run_folder / MODEL_FILE):
            raise UserError(f"{MODEL_FILE} is missing in {run_folder}. Put it back, or start a new run.")
        return RunStart(_with_new_length(state.header.config, config), state)
    notices: tuple[str, ...] = ()
    if resume:
        _check_nothing_is_lost(run_folder)
        config = _settings_of_folder(run_folder, config)
        notices = (f"There is no {RESUME_FILE} in {run_folder} yet: a new run starts.",)
    config = config or TrainingConfig()
    if start_from is None:
        return RunStart(config, notices=notices)
    model = start_from if isinstance(start_from, Checkpoint) else load_checkpoint(start_from)
    if model.onnx is not None:
        raise UserError(
            "A model in ONNX format cannot be trained. Start from its run, from a MONAI bundle of it, or from a "
            "package of bioimage.io with a state dictionary of MONAI's UNet or DynUNet."
        )
    path = None if isinstance(start_from, Checkpoint) else Path(start_from).absolute()
    settled = _with_network_of(model, config)
    return RunStart(settled, model=model, notices=(*notices, *_notices_of(model, settled)), start_from=path)


def _notices_of(model: Checkpoint, config: TrainingConfig) -> tuple[str, ...]:
    """Return what is assumed of a model of others; raise an error if its preprocessing cannot be repeated."""
    package = model.package
    if package is None:
        return ()
    if not package.can_train and config.normalisation == model.config.normalisation:
        raise UserError(
            f"{package.where} was trained with a preprocessing that no normalisation here repeats. Set the "
            "normalisation to train it with (for example z-score)."
        )
    return (
        f"Volumes are normalised with {config.normalisation.value}, in place of the preprocessing of {package.where}.",
    )


def _with_new_length(settled: TrainingConfig, given: TrainingConfig | None) -> TrainingConfig:
    """Return the settings of an earlier run, with those of its length that are given."""
    changes = {} if given is None else {name: getattr(given, name) for name in given.model_fields_set}
    changes = {name: value for name, value in changes.items() if value != getattr(settled, name)}
    if others := sorted(changes.keys() - RESUMABLE_SETTINGS):
        raise UserError(
            f"The run was trained with other settings: {_differences(others, settled, changes)}. "
            f"Resume without them (only {', '.join(sorted(RESUMABLE_SETTINGS))} may change), or start a new run from "
            "its model."
        )
    return settled.model_copy(update=changes)


def _with_network_of(model: Checkpoint, given: TrainingConfig) -> TrainingConfig:
    """Return the given settings, with network, normalisation and channels of a model."""
    names = (*NETWORK_SETTINGS, "normalisation", "percentiles", "channels")
    own = {name: getattr(model.config, name) for name in names}
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
    """Refuse to overwrite a run of several epochs that has no resume file, such as one of an older version."""
    history = run_folder / HISTORY_FILE
    if not exists(history):
        return
    n_epochs = len(read_csv(history))
    if n_epochs > 1:
        raise UserError(
            f"The run in {run_folder} has {n_epochs} epochs, but no {RESUME_FILE} to resume from. "
            "Start a new run from its model."
        )


def _settings_of_folder(run_folder: Path, given: TrainingConfig | None) -> TrainingConfig | None:
    file = run_folder / CONFIG_FILE
    if not exists(file):
        return given
    try:
        settled = TrainingConfig(**read_json_object(file))
    except UserError as error:
        raise UserError(f"Cannot read the settings in {file}. {error} Remove it, and set them again.") from None
    return _with_new_length(settled, given)


def prepare_data(
    start: RunStart, split: Split, samples: Sequence[Sample], device: ComputeDevice, store: MemmapStore
) -> TrainingData:
    """Choose the plan and prepare the volumes; a resumed run keeps its plan and its number of steps per epoch.

    Raises
    ------
    UserError
        If a resumed run was trained on other data.
    """
    config, state = start.config, start.state
    if state is None:
        return plan_and_prepare(split, config, device, store)
    header = state.header
    check_same_volumes(header, samples)
    check_parts(header.plan, device.n_processes)
    new_plan = make_plan(split.train, split.val, config, device)
    sizes = {"patch_zyx": header.plan.patch_zyx, "batch_size": header.plan.batch_size}
    names = tuple(tuple(sample.name for sample in part) for part in (split.train, split.val))
    is_same_split = (*names, split.blocks) == (header.train_names, header.val_names, header.blocks)
    if not is_same_split or new_plan.model_copy(update=sizes) != header.plan:
        raise UserError(
            "The split, the classes or the voxel sizes of the volumes differ from those that the run was started with. "
            "Start a new run from its model."
        )
    return make_training_data(split, config, header.plan, device.device, header.n_steps_per_epoch, store)


def restore(start: RunStart, learner: Learner, plan: Plan, torch_state: TorchState) -> list[str]:
    """Load weights, optimizer and random state that a run starts from, and return what could not be restored.

    Raises
    ------
    UserError
        If the model to start from has another network.
    """
    if start.model is not None:
        return _start_from(start.model, learner, plan)
    if start.state is None:
        return []
    state, header = start.state, start.state.header
    learner.load_weights(state.weights)
    if learner.ema is not None and state.ema:
        learner.ema.restore(state.ema, header.n_averaged_steps)
    restore_optimizer(learner.optimizer, header.groups, state.moments)
    if header.scaler and learner.stepper.is_scaled:
        learner.stepper.scaler.load_state_dict(dict(header.scaler))
    learner.n_steps = header.n_steps
    if header.device_type == torch_state.device_type:
        torch_state.random_state = state.random_state
    before = _hardware(header.device_type, header.number_type or torch_state.number_type)
    now = _hardware(torch_state.device_type, torch_state.number_type)
    if before == now:
        return []
    return [
        f"The run was trained on {before} and is continued on {now}; its result will not be bit-identical to that of "
        "an uninterrupted run."
    ]


def _hardware(device_type: str, number_type: str) -> str:
    return f"{device_type} with {number_type}"


def _start_from(model: Checkpoint, learner: Learner, plan: Plan) -> list[str]:
    """Load the weights of a model, and keep the initial ones of the output head where its number of outputs differs."""
    initial = learner.model_weights()
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
