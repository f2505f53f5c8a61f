"""Iterate over the events of an engine with a progress bar, and return the result, which is the last event.

If the iteration is interrupted, the generator is closed, so that the engine frees its resources.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar, assert_never

from napari_unet3d.cli.progress import Bar, is_terminal, print_result, print_status
from napari_unet3d.cli.score_table import score_table
from napari_unet3d.data.checks import Severity
from napari_unet3d.data.events import DatasetEvent, DatasetWritten, Notice, ObjectPlaced, SlicesImaged, VolumeWritten
from napari_unet3d.errors import UserError
from napari_unet3d.files import MODEL_FILE
from napari_unet3d.formatting import format_duration
from napari_unet3d.inference.events import (
    EvaluateEvent,
    EvaluationFinished,
    ModelLoaded,
    PredictionWritten,
    TilesPredicted,
    VolumeEvaluated,
)
from napari_unet3d.training.events import (
    EndReason,
    EpochFinished,
    Preflight,
    PreflightEvent,
    RunStarted,
    StepFinished,
    TrainEvent,
    TrainingFinished,
    VolumeChecked,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet3d.configs import PredictionConfig
    from napari_unet3d.demo import Demo

E = TypeVar("E")
Describe = Callable[[RunStarted], str]


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
        When the user or a scheduler stops the run; the message says where the model is.
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
    log = _TrainingLog(describe, printed)
    try:
        with Bar("epoch") as bar, closing(as_generator(events)) as running:
            for event in running:
                if isinstance(event, TrainingFinished):
                    return event
                log.show(event, bar)
    except KeyboardInterrupt as stop:
        raise type(stop)(log.describe_stop()) from None
    raise AssertionError("the generator ended without a result")


def print_end(finished: TrainingFinished) -> None:
    """Print the best epoch of a run and its model, and why it ended early."""
    if finished.reason is not EndReason.EPOCHS:
        print_status(f"Ended before the last epoch: {finished.reason}.")
    scores = _format_scores(finished.best_val_dice, finished.best_val_f1)
    if scores:
        print_result(f"best epoch {finished.best_epoch}: {', '.join(scores)}")
    print_result(f"model: {finished.model}")


class _TrainingLog:
    """Prints the events of a run, and remembers how far it is."""

    def __init__(self, describe: Describe | None, printed: Collection[str]) -> None:
        self._describe, self._printed = describe, printed
        self._started: RunStarted | None = None
        self._epoch = 0

    def show(self, event: PreflightEvent | TrainEvent, bar: Bar) -> None:
        """Move the bar, and print what should stay readable; without a terminal, also a line per epoch."""
        n_epochs = self._started.n_epochs if self._started else 0
        match event:
            case RunStarted():
                self._started, self._epoch = event, len(event.history)
                print_status("\n".join([*([self._describe(event)] if self._describe else []), _describe_start(event)]))
            case Notice():
                if event.message not in self._printed:
                    print_status(event.message)
            case StepFinished():
                n_steps = self._started.n_steps_per_epoch if self._started else 1
                bar.show(round(event.epoch - 1 + event.step / n_steps, 2), n_epochs)
            case EpochFinished():
                self._epoch = event.epoch
                losses = _format_losses(event)
                bar.show(event.epoch, n_epochs, losses)
                if not is_terminal():
                    left = f", {format_duration(event.seconds_left)} left" if event.epoch < n_epochs else ""
                    print_status(f"epoch {event.epoch}/{n_epochs}: {losses}{left}")

    def describe_stop(self) -> str:
        """Return how far the run came and where its model is; call it after the generator was closed."""
        if self._started is None:
            return "Stopped before the training started."
        model = self._started.run_folder / MODEL_FILE
        where = f"the best model so far is {model}" if model.exists() else "there is no model yet"
        return f"Stopped after {self._epoch} of {self._started.n_epochs} epochs; {where}."


def _describe_start(event: RunStarted) -> str:
    parts = [f"resumes after epoch {len(event.history)}"] if event.history else []
    parts += [event.device, f"{event.plan.description} per step", f"training on {', '.join(event.train_names)}"]
    parts.append(f"validation on {', '.join(event.val_names)}" if event.val_names else "no validation")
    return "; ".join(parts)


def _format_losses(event: EpochFinished) -> str:
    text = f"training loss {event.train_loss:.4f}"
    if event.val_loss is not None:
        text += f", validation loss {event.val_loss:.4f}"
    return ", ".join([text, *_format_scores(event.val_dice, event.val_f1)])


def _format_scores(dice: float | None, f1: float | None) -> list[str]:
    scores = [] if dice is None or math.isnan(dice) else [f"validation Dice {dice:.4f}"]
    return scores if f1 is None else [*scores, f"object F1 {f1:.4f}"]


def follow_predict(
    model: Path, images: Sequence[Path], out: Path, config: PredictionConfig, *, probability: bool
) -> Iterator[Path]:
    """Predict volumes one by one with a model that is loaded once; yield each file when it is written."""
    from napari_unet3d.inference.predict import predict_files

    events = predict_files(model, images, out, config, probability=probability)
    with Bar("volume", len(images)) as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case ModelLoaded():
                    print_status(event.device)
                case Notice():
                    print_status(event.message)
                case TilesPredicted():
                    _show_tiles(event, bar)
                case PredictionWritten():
                    bar.show(event.n_written, event.n_volumes)
                    yield from event.files
                case _:
                    assert_never(event)


def _show_tiles(event: TilesPredicted, bar: Bar) -> None:
    text = f"tile {event.n_done} of {event.n_total}" if event.n_total > 1 else ""
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
                case VolumeEvaluated():
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
