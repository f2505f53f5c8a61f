"""What the Train dock runs in a thread: training, sample data, check, summary; torch is imported there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet3d.configs import Difficulty, SyntheticConfig, TrainingConfig
from napari_unet3d.data.dataset import Subset, list_pairs, read_samples
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.session.recent_runs import track_last_run
from napari_unet3d.training.background import run_in_background

if TYPE_CHECKING:
    from napari_unet3d.model.network import ModelSummary
    from napari_unet3d.training.augmented_events import AugmentedPatches
    from napari_unet3d.training.events import Busy

SAMPLE_CONFIG = SyntheticConfig(
    difficulty=Difficulty.MEDIUM,
    shape=(64, 64, 64),
    objects=6,
    object_shape_min=(20, 20, 20),
    object_shape_max=(32, 32, 32),
)
_N_TRAIN, _N_TEST = 5, 1


@dataclass(frozen=True, slots=True)
class SampleDatasetReady:
    """The sample dataset is on disk; `test` is its test volume."""

    folder: Path
    test: Sample


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train.

    Attributes
    ----------
    data : Path or sequence of Sample
        A dataset folder, or volumes in memory.
    run_folder : Path
        Where the run is written.
    config : TrainingConfig or None
        The settings; None for those of the run that is resumed.
    start_from : Path or None
        The model to start from.
    resume : bool
        Whether to resume the run in the folder.
    """

    data: Path | Sequence[Sample]
    run_folder: Path
    config: TrainingConfig | None
    start_from: Path | None = None
    resume: bool = False


def train_on(request: TrainingRequest) -> Iterator[Any]:
    """Check data and settings, then train; errors are reported before anything is written.

    Yields
    ------
    PreflightEvent, TrainEvent
        Those of `check_then_train`.

    Raises
    ------
    UserError
        As `check_then_train`.
    """
    yield from run_in_background(lambda: import_module("napari_unet3d.training.preflight"), "Loading PyTorch")
    from napari_unet3d.training.preflight import check_then_train

    events = check_then_train(
        request.data, request.run_folder, request.config, resume=request.resume, start_from=request.start_from
    )
    yield from track_last_run(events, request.data if isinstance(request.data, Path) else None)


def train_on_sample(folder: Path, training: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Generate the sample dataset, unless an earlier one is complete, and train on it.

    Parameters
    ----------
    folder : Path
        The dataset folder.
    training : callable
        Returns the events of the training on it.

    Yields
    ------
    DatasetEvent, SampleDatasetReady, and the events of the training
        In this order.
    """
    if not _is_complete(folder):
        from napari_unet3d.data.synthetic.dataset import generate

        yield from generate(folder, SAMPLE_CONFIG, n_train=_N_TRAIN, n_test=_N_TEST, overwrite=True)
    yield SampleDatasetReady(folder, read_samples(folder, Subset.TEST)[0])
    yield from training()


def _is_complete(folder: Path) -> bool:
    try:
        pairs = list_pairs(folder)
    except UserError:
        return False
    complete = [pair.subset for pair in pairs if None not in (pair.image, pair.labels)]
    return complete.count(Subset.TRAIN) >= _N_TRAIN and complete.count(Subset.TEST) >= _N_TEST


def check(request: TrainingRequest) -> Iterator[Any]:
    """Check data and settings as `preflight` does, with the time of a training step."""
    from napari_unet3d.training.preflight import preflight

    yield from preflight(request.data, _resolved_config(request), request.run_folder)


def draw_patches(request: TrainingRequest, n_before: int) -> Iterator[Busy | AugmentedPatches]:
    """Draw eight patches as the training would, after the first `n_before`."""
    from napari_unet3d.training.augmented_patches import augmented_patches

    assert request.config is not None  # it is None only for a run that is resumed
    yield from augmented_patches(request.data, request.config, n_before=n_before, start_from=request.start_from)


def summarise_for(request: TrainingRequest) -> Iterator[ModelSummary]:
    """Summarise the network and the memory of a step, for a default volume size if there is no data.

    Raises
    ------
    UserError
        If data or model cannot be read or do not go with the settings, or the network cannot be built.
    """
    from napari_unet3d.model.devices import choose_device
    from napari_unet3d.model.network import summarise
    from napari_unet3d.training.planning import make_plan

    config = _resolved_config(request)
    samples = request.data
    if isinstance(samples, Path):
        samples = read_samples(samples, fourth_axis=config.fourth_axis)
    if not samples:
        yield summarise(config)
        return
    plan = make_plan(samples, (), config, choose_device(config.device, config.precision))
    yield summarise(config, plan.patch_zyx or samples[0].shape, plan)


def _resolved_config(request: TrainingRequest) -> TrainingConfig:
    from napari_unet3d.training.resume import resolve_start

    return resolve_start(request.run_folder, request.config, resume=False, start_from=request.start_from).config
