"""What the Train dock does in a thread; torch is imported there, when the first event is asked for."""

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
from napari_unet3d.session.last_run import track_last_run
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
class SampleReady:
    """The sample dataset is on disk; `test` is its test volume."""

    folder: Path
    test: Sample


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What is to be trained.

    Attributes
    ----------
    data : Path or sequence of Sample
        A dataset folder, or volumes.
    run_folder : Path
        Where to.
    config : TrainingConfig or None
        The settings; None for those of the run that goes on.
    start_from : Path or None
        The model to begin with.
    resume : bool
        Whether to go on with the run in the folder.
    """

    data: Path | Sequence[Sample]
    run_folder: Path
    config: TrainingConfig | None
    start_from: Path | None = None
    resume: bool = False


def train_on(order: TrainingRequest) -> Iterator[Any]:
    """Check the data, then train; what makes training impossible is said before anything is written.

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
        order.data, order.run_folder, order.config, resume=order.resume, start_from=order.start_from
    )
    yield from track_last_run(events, order.data if isinstance(order.data, Path) else None)


def train_on_sample(folder: Path, training: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Generate the sample dataset, unless an earlier one is whole, and train on it.

    Parameters
    ----------
    folder : Path
        Where the dataset lies.
    training : callable
        Gives the training on it.

    Yields
    ------
    DatasetEvent, SampleReady, and what the training gives
        In this order.
    """
    if not _is_whole(folder):
        from napari_unet3d.data.synthetic.dataset import generate

        yield from generate(folder, SAMPLE_CONFIG, n_train=_N_TRAIN, n_test=_N_TEST, overwrite=True)
    yield SampleReady(folder, read_samples(folder, Subset.TEST)[0])
    yield from training()


def _is_whole(folder: Path) -> bool:
    try:
        pairs = list_pairs(folder)
    except UserError:
        return False
    whole = [pair.subset for pair in pairs if None not in (pair.image, pair.labels)]
    return whole.count(Subset.TRAIN) >= _N_TRAIN and whole.count(Subset.TEST) >= _N_TEST


def check(order: TrainingRequest) -> Iterator[Any]:
    """Return all that `preflight` finds, with the time of a real step."""
    from napari_unet3d.training.preflight import preflight

    yield from preflight(order.data, _settled(order), order.run_folder)


def draw_patches(order: TrainingRequest, n_before: int) -> Iterator[Busy | AugmentedPatches]:
    """Return eight patches as the training would draw them, those after the first `n_before`."""
    from napari_unet3d.training.augmented_patches import augmented_patches

    assert order.config is not None  # only a run that goes on has none
    yield from augmented_patches(order.data, order.config, n_before=n_before, start_from=order.start_from)


def summarise_for(order: TrainingRequest) -> Iterator[ModelSummary]:
    """Summarise the network and a step of the training, or of the summary's own size when there is no data.

    Raises
    ------
    UserError
        When data or model cannot be read, do not go with the settings, or the network cannot be built.
    """
    from napari_unet3d.model.devices import choose_device
    from napari_unet3d.model.network import summarise
    from napari_unet3d.training.planning import make_plan

    config = _settled(order)
    samples = read_samples(order.data) if isinstance(order.data, Path) else order.data
    if not samples:
        yield summarise(config)
        return
    plan = make_plan(samples, (), config, choose_device(config.device, config.precision))
    yield summarise(config, plan.patch_zyx or samples[0].shape, plan)


def _settled(order: TrainingRequest) -> TrainingConfig:
    from napari_unet3d.training.resume import resolve_start

    return resolve_start(order.run_folder, order.config, resume=False, start_from=order.start_from).config
