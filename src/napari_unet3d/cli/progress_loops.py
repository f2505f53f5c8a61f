"""Iterate the engine's generators of events under a progress bar, and return the result, which is the last event.

A generator that is interrupted is closed on the way out, so that the engine frees what it holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar, assert_never

from napari_unet3d.cli.progress import Bar, is_terminal, print_result, print_status
from napari_unet3d.cli.score_table import score_table
from napari_unet3d.data.checks import Issue, Severity
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
    Busy,
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

    from napari_unet3d.configs import PredictionConfig, TrainingConfig
    from napari_unet3d.data.sample import Shape3D
    from napari_unet3d.demo import Demo

E = TypeVar("E")


def follow_generate(events: Iterator[DatasetEvent]) -> DatasetWritten:
    """Follow the writing of a synthetic dataset; objects that found no room are said on stderr."""
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


def follow_preflight(events: Iterator[PreflightEvent]) -> Preflight:
    """Follow the check before a training."""
    with Bar("volume") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case Issue() | Busy():
                    pass
                case VolumeChecked():
                    bar.show(event.n_checked, event.n_volumes)
                case Preflight():
                    return event
                case _:
                    assert_never(event)
    raise AssertionError("the generator ended without a result")


def print_issues(examined: Preflight) -> str:
    """List what a check has found, and how much of each kind."""
    lines = [f"{finding.severity}: {finding.message}" for finding in examined.issues]
    counts = [(len(examined.of(severity)), severity) for severity in (Severity.ERROR, Severity.WARNING)]
    return "\n".join(
        [*lines, ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in counts)]
    )


def print_warnings(examined: Preflight) -> frozenset[str]:
    """Write the warnings of a check to stderr and give them back.

    Raises
    ------
    UserError
        If something makes training impossible.
    """
    errors = [finding.message for finding in examined.of(Severity.ERROR)]
    if errors:
        others = f" ({len(errors) - 1} more; train --check lists all.)" if len(errors) > 1 else ""
        raise UserError(f"{errors[0]}{others}")
    messages = [finding.message for finding in examined.of(Severity.WARNING)]
    for message in messages:
        print_status(f"warning: {message}")
    return frozenset(messages)


Describe = Callable[[RunStarted], str]


def follow_train(
    events: Iterator[TrainEvent], describe: Describe | None = None, said: Collection[str] = frozenset()
) -> TrainingFinished:
    """Follow a run; without a terminal each epoch is a line on stderr.

    Parameters
    ----------
    events : iterator of TrainEvent
        What the engine tells.
    describe : callable, optional
        Gives a description of the network for the plan that the run starts with.
    said : collection of str
        Notices that need not be said again.

    Raises
    ------
    KeyboardInterrupt
        When the user or a scheduler stops the run; the message says where the model is.
    """
    log = _TrainingLog(describe, said)
    try:
        with Bar("epoch") as bar, closing(as_generator(events)) as running:
            for event in running:
                if isinstance(event, TrainingFinished):
                    return event
                log.show(event, bar)
    except KeyboardInterrupt as stop:
        raise type(stop)(log.stopped_in_words()) from None
    raise AssertionError("the generator ended without a result")


def print_end(finished: TrainingFinished) -> None:
    """Print what a run has reached, and why it ended early."""
    if finished.reason is not EndReason.EPOCHS:
        print_status(f"Ended before the last epoch: {finished.reason}.")
    if finished.best_val_dice is not None and not math.isnan(finished.best_val_dice):
        print_result(f"best epoch {finished.best_epoch}: validation Dice {finished.best_val_dice:.4f}")
    print_result(f"model: {finished.model}")


class _TrainingLog:
    """What a run has told so far."""

    def __init__(self, describe: Describe | None, said: Collection[str]) -> None:
        self._describe, self._said = describe, said
        self._started: RunStarted | None = None
        self._epoch = 0

    def show(self, event: TrainEvent, bar: Bar) -> None:
        """Move the bar, and write what shall stay readable; without a terminal a line per epoch."""
        n_epochs = self._started.n_epochs if self._started else 0
        match event:
            case RunStarted():
                self._started, self._epoch = event, len(event.history)
                print_status("\n".join([*([self._describe(event)] if self._describe else []), _split_in_words(event)]))
            case Notice():
                if event.message not in self._said:
                    print_status(event.message)
            case StepFinished():
                n_steps = self._started.n_steps_per_epoch if self._started else 1
                bar.show(round(event.epoch - 1 + event.step / n_steps, 2), n_epochs)
            case EpochFinished():
                self._epoch = event.epoch
                words = _epoch_in_words(event)
                bar.show(event.epoch, n_epochs, words)
                if not is_terminal():
                    left = f", {format_duration(event.seconds_left)} left" if event.epoch < n_epochs else ""
                    print_status(f"epoch {event.epoch}/{n_epochs}: {words}{left}")

    def stopped_in_words(self) -> str:
        """Say how far the run came and where its model is, once the generator is closed."""
        if self._started is None:
            return "Stopped before training began."
        model = self._started.run_folder / MODEL_FILE
        kept = f"the best model so far is {model}" if model.exists() else "there is no model yet"
        return f"Stopped after {self._epoch} of {self._started.n_epochs} epochs; {kept}."


def _split_in_words(event: RunStarted) -> str:
    parts = [f"goes on after epoch {len(event.history)}"] if event.history else []
    parts += [event.device, f"{event.plan.description} per step", f"trains on {', '.join(event.train_names)}"]
    parts.append(f"validates on {', '.join(event.val_names)}" if event.val_names else "no validation")
    return "; ".join(parts)


def _epoch_in_words(event: EpochFinished) -> str:
    words = f"training loss {event.train_loss:.4f}"
    if event.val_loss is not None:
        words += f", validation loss {event.val_loss:.4f}"
    if event.val_dice is not None and not math.isnan(event.val_dice):
        words += f", validation Dice {event.val_dice:.4f}"
    return words


def follow_predict(
    model: Path, images: Sequence[Path], out: Path, config: PredictionConfig, *, probability: bool
) -> Iterator[Path]:
    """Predict volumes one after another with a model that is loaded once, and give the files as they are written."""
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
    words = f"tile {event.n_done} of {event.n_total}" if event.n_total > 1 else ""
    bar.show(round(event.n_volumes_done, 2), event.n_volumes, words)


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
    """Follow the steps of a demo and print its scores and its files."""
    from napari_unet3d.evaluation.reports.figure import write_curves
    from napari_unet3d.model.checkpoint import load_checkpoint

    print_status(f"1 of 3: generating {demo.n_volumes} volumes of {' × '.join(map(str, demo.volumes.shape))} voxels")
    follow_generate(demo.generate())
    print_status(f"2 of 3: training for {demo.training.epochs} epochs")
    finished = follow_train(demo.train(), describer(demo.training, demo.volumes.shape))
    write_curves(demo.curves, load_checkpoint(demo.run / "last.safetensors").history)
    print_status("3 of 3: testing")
    scores = follow_evaluate(demo.evaluate())
    print_result(score_table(scores.volumes, scores.mean))
    for path in (finished.model, demo.curves, demo.evaluation / "predictions", demo.evaluation / "differences"):
        print_result(str(path))
    for figure in scores.figures:
        print_result(str(figure))


def describer(config: TrainingConfig, shape_zyx: Shape3D | None, *, layers: bool = False) -> Describe:
    """Make what describes the network of a run.

    Parameters
    ----------
    config : TrainingConfig
        The settings.
    shape_zyx : tuple of int, optional
        Size of a volume (z, y, x) in voxels, which steps see without patches.
    layers : bool
        List every layer before size, parameters and memory.
    """

    def describe(started: RunStarted) -> str:
        from napari_unet3d.model.network import summarise

        text = summarise(config, started.plan.patch_zyx or shape_zyx, started.plan).text
        return text if layers else text.rpartition("\n\n")[2]

    return describe


def as_generator(events: Iterator[E]) -> Generator[E]:
    """Return an iterator as a generator, which can be closed and closes the engine's then."""
    yield from events
