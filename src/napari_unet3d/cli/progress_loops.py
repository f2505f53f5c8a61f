"""Iterate over the events of an engine with a progress bar, and return the result, which is the last event.

If the iteration is interrupted, the generator is closed, so that the engine frees its resources.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar, assert_never

from napari_unet3d.cli.progress import Bar, print_result, print_status
from napari_unet3d.cli.score_table import score_table
from napari_unet3d.cli.signals import SavedAndStopped
from napari_unet3d.cli.training_log import Describe, TrainingLog, format_scores
from napari_unet3d.data.events import DatasetEvent, DatasetWritten, Notice, ObjectPlaced, SlicesImaged, VolumeWritten
from napari_unet3d.data.issues import Severity
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import (
    BlockDone,
    EvaluateEvent,
    EvaluationFinished,
    LargeVolumeEvaluated,
    ModelLoaded,
    PredictFilesEvent,
    PredictionFailed,
    PredictionWritten,
    TilesPredicted,
    VolumeEvaluated,
)
from napari_unet3d.training.events import (
    EndReason,
    Preflight,
    PreflightEvent,
    RunStarted,
    StateSaved,
    TrainEvent,
    TrainingFinished,
    VolumeChecked,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet3d.demo import Demo

E = TypeVar("E")


def follow_generate(events: Iterator[DatasetEvent]) -> DatasetWritten:
    """Follow the writing of a synthetic dataset; volumes with fewer objects than asked for are reported on stderr."""
    with Bar("volume") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case ObjectPlaced() | SlicesImaged():
                    pass
                case VolumeWritten():
                    bar.show(event.n_written, event.n_volumes)
                    if event.shortfall:
                        print_status(event.shortfall)
                case DatasetWritten():
                    return event
                case _:
                    assert_never(event)
    raise AssertionError("the generator ended without a result")


def follow_preflight(events: Iterator[PreflightEvent | TrainEvent]) -> Preflight:
    """Follow the checks before a training up to their result; the iterator can be continued after it."""
    with Bar("volume") as bar:
        for event in events:
            if isinstance(event, VolumeChecked):
                bar.show(event.n_checked, event.n_volumes)
            elif isinstance(event, Preflight):
                return event
    raise AssertionError("the generator ended without a result")


def format_issues(result: Preflight) -> str:
    """Return one line per issue, and a last line with the number of errors and warnings."""
    lines = [f"{issue.severity}: {issue.message}" for issue in result.issues]
    counts = [(len(result.of(severity)), severity) for severity in (Severity.ERROR, Severity.WARNING)]
    return "\n".join(
        [*lines, ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in counts)]
    )


def follow_check_then_train(
    events: Iterator[PreflightEvent | TrainEvent], describe: Describe | None = None
) -> TrainingFinished:
    """Follow the checks before a training, whose warnings are printed to stderr, and the training.

    Parameters
    ----------
    events : iterator
        Events of `check_then_train`.
    describe : callable, optional
        Returns a description of the network, printed when the run starts.

    Raises
    ------
    UserError
        If the checks find errors; it names the first one.
    KeyboardInterrupt
        When the user, a scheduler or `napari-unet3d stop` stops the run; the message says where the model is.
    """
    with closing(as_generator(events)) as running:
        result = follow_preflight(running)
        if errors := result.of(Severity.ERROR):
            others = f" ({len(errors) - 1} more; train --check lists all.)" if len(errors) > 1 else ""
            raise UserError(f"{errors[0].message}{others}")
        warnings = frozenset(issue.message for issue in result.of(Severity.WARNING))
        for issue in result.of(Severity.WARNING):
            print_status(f"warning: {issue.message}")
        return follow_train(running, describe, printed=warnings)


def follow_train(
    events: Iterator[PreflightEvent | TrainEvent],
    describe: Describe | None = None,
    printed: Collection[str] = frozenset(),
) -> TrainingFinished:
    """Follow a training as `follow_check_then_train` does; without a terminal, each epoch is a line on stderr.

    Parameters
    ----------
    events : iterator
        Events of `train`.
    describe : callable, optional
        Returns a description of the network, printed when the run starts.
    printed : collection of str
        Notices that are not printed again.
    """
    log = TrainingLog(describe, printed)
    try:
        with Bar("epoch") as bar, closing(as_generator(events)) as running:
            for event in running:
                if isinstance(event, TrainingFinished):
                    if event.reason is EndReason.REQUESTED:
                        raise KeyboardInterrupt
                    return event
                log.show(event, bar)
                if isinstance(event, StateSaved) and event.ends:
                    raise SavedAndStopped
    except KeyboardInterrupt as stop:
        raise type(stop)(log.describe_stop()) from None
    raise AssertionError("the generator ended without a result")


def print_end(finished: TrainingFinished) -> None:
    """Print the best epoch of a run and its model, and why it ended early."""
    if finished.reason is not EndReason.EPOCHS:
        print_status(f"Ended before the last epoch: {finished.reason}.")
    scores = format_scores(finished.best_val_dice, finished.best_val_f1)
    if scores:
        print_result(f"best epoch {finished.best_epoch}: {', '.join(scores)}")
    print_result(f"model: {finished.model}")


def follow_predict(events: Iterator[PredictFilesEvent]) -> Iterator[Path]:
    """Follow the prediction of files; yield each result when it is written."""
    with Bar("volume") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case ModelLoaded():
                    print_status(event.device)
                case Notice():
                    print_status(event.message)
                case TilesPredicted():
                    _show_tiles(event, bar)
                case BlockDone():
                    bar.describe(f"block {event.n_done} of {event.n_total} {event.step}")
                case PredictionWritten():
                    bar.show(event.n_done, event.n_volumes)
                    yield from event.files
                case PredictionFailed():
                    bar.show(event.n_done, event.n_volumes)
                    if event.n_done < event.n_volumes:  # else the error at the end follows at once
                        print_status(f"{event.source}: {event.message} Continuing with the next volume.")
                case _:
                    assert_never(event)


def _show_tiles(event: TilesPredicted, bar: Bar) -> None:
    parts = [f"time point {event.n_times_done + 1} of {event.n_times}"] if event.n_times > 1 else []
    parts += [f"tile {event.n_done} of {event.n_total}"] if event.n_total > 1 else []
    text = ", ".join(parts)
    bar.show(round(event.n_volumes_done, 2), event.n_volumes, text)


def follow_evaluate(events: Iterator[EvaluateEvent]) -> EvaluationFinished:
    """Follow the evaluation of a test set."""
    with Bar("volume") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case ModelLoaded():
                    print_status(event.device)
                case Notice():
                    print_status(event.message)
                case TilesPredicted():
                    _show_tiles(event, bar)
                case BlockDone():
                    bar.describe(f"block {event.n_done} of {event.n_total} {event.step}")
                case VolumeEvaluated() | LargeVolumeEvaluated():
                    bar.show(event.n_evaluated, event.n_volumes)
                case EvaluationFinished():
                    return event
                case _:
                    assert_never(event)
    raise AssertionError("the generator ended without a result")


def follow_demo(demo: Demo) -> None:
    """Follow the steps of a demo; print its scores and the paths of its files."""
    from napari_unet3d.evaluation.reports.figure import write_curves
    from napari_unet3d.model.checkpoint import load_checkpoint

    print_status(f"1 of 3: generating {demo.n_volumes} volumes of {' × '.join(map(str, demo.volumes.shape))} voxels")
    follow_generate(demo.generate())
    print_status(f"2 of 3: training for {demo.training.epochs} epochs")
    finished = follow_train(demo.train(), describer())
    write_curves(demo.curves, load_checkpoint(demo.run / "last.safetensors").history)
    print_status("3 of 3: testing")
    scores = follow_evaluate(demo.evaluate())
    print_result(score_table(scores.volumes, scores.mean))
    for path in (finished.model, demo.curves, demo.evaluation / "predictions", demo.evaluation / "differences"):
        print_result(str(path))
    for figure in scores.figures:
        print_result(str(figure))


def describer(*, layers: bool = False) -> Describe:
    """Return a function that describes the network of a run: size, parameters and memory.

    Parameters
    ----------
    layers : bool
        List every layer first.
    """

    def describe(started: RunStarted) -> str:
        from napari_unet3d.model.network import summarise

        shape_zyx = started.plan.patch_zyx or started.volume_shape_zyx
        text = summarise(started.config, shape_zyx, started.plan).text
        return text if layers else text.rpartition("\n\n")[2]

    return describe


def as_generator(events: Iterator[E]) -> Generator[E]:
    """Return a generator over an iterator; closing it closes the engine's generator."""
    yield from events
