"""Iterate the engine's generators of events under a progress bar, and return the result, which is the last event.

A generator that is interrupted is closed on the way out, so that the engine frees what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, assert_never

from napari_unet3d.cli.progress import Bar, in_words, is_terminal, note
from napari_unet3d.data.events import DatasetEvent, DatasetWritten, Notice, ObjectPlaced, VolumeWritten
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished, TrainEvent, TrainingFinished

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet3d.evaluation.metrics import Scores
    from napari_unet3d.prediction.events import EvaluateEvent, EvaluationFinished


def generation(events: Generator[DatasetEvent]) -> DatasetWritten:
    """Follow the writing of a synthetic dataset; objects that found no room are said on stderr."""
    with Bar("volume") as bar, closing(events):
        for event in events:
            match event:
                case ObjectPlaced():
                    pass
                case VolumeWritten():
                    bar.show(event.n_written, event.n_volumes)
                    if event.shortfall:
                        note(event.shortfall)
                case DatasetWritten():
                    return event
                case _:
                    assert_never(event)
    raise AssertionError("the generator ended without a result")


def training(events: Generator[TrainEvent]) -> TrainingFinished:
    """Follow a run; without a terminal each epoch is a line on stderr.

    Raises
    ------
    KeyboardInterrupt
        When the user or a scheduler stops the run; the message says where the model is.
    """
    started: RunStarted | None = None
    epoch = 0
    with Bar("epoch") as bar, closing(events):
        try:
            for event in events:
                match event:
                    case RunStarted():
                        started = event
                        note(_split_in_words(event))
                    case Notice():
                        note(event.message)
                    case StepFinished() if started:
                        part = event.step / started.n_steps_per_epoch
                        bar.show(round(event.epoch - 1 + part, 2), started.n_epochs)
                    case EpochFinished() if started:
                        epoch = event.epoch
                        words = _epoch_in_words(event)
                        bar.show(epoch, started.n_epochs, words)
                        if not is_terminal():
                            left = f", {in_words(event.seconds_left)} left" if epoch < started.n_epochs else ""
                            note(f"epoch {epoch}/{started.n_epochs}: {words}{left}")
                    case TrainingFinished():
                        return event
        except KeyboardInterrupt as stop:
            raise type(stop)(_stopped_in_words(started, epoch)) from None
    raise AssertionError("the generator ended without a result")


def _split_in_words(event: RunStarted) -> str:
    validates = f"validates on {', '.join(event.val_names)}" if event.val_names else "no validation"
    return f"{event.device}; trains on {', '.join(event.train_names)}; {validates}"


def _epoch_in_words(event: EpochFinished) -> str:
    words = f"training loss {event.train_loss:.4f}"
    if event.val_loss is not None:
        words += f", validation loss {event.val_loss:.4f}"
    if event.val_dice is not None:
        words += f", validation Dice {event.val_dice:.4f}"
    return words


def _stopped_in_words(started: RunStarted | None, epoch: int) -> str:
    if started is None or epoch == 0:
        return "Stopped before the first epoch was done; there is no model yet."
    return f"Stopped after epoch {epoch} of {started.n_epochs}; the best model so far is in {started.run_folder}."


def evaluation(events: Generator[EvaluateEvent]) -> EvaluationFinished:
    """Follow the evaluation of a test set."""
    from napari_unet3d.prediction.events import EvaluationFinished, ModelLoaded, VolumeEvaluated

    with Bar("volume") as bar, closing(events):
        for event in events:
            match event:
                case ModelLoaded():
                    note(event.device)
                case Notice():
                    note(event.message)
                case VolumeEvaluated():
                    bar.show(event.n_evaluated, event.n_volumes)
                case EvaluationFinished():
                    return event
                case _:
                    assert_never(event)
    raise AssertionError("the generator ended without a result")


def table(volumes: Sequence[Scores], mean: Scores) -> str:
    """Lay scores out in columns, one volume per line and the mean below.

    >>> from napari_unet3d.evaluation.metrics import Scores
    >>> six = Scores(name="6", dice=0.975, iou=0.95, precision=0.97, recall=0.98)
    >>> print(table([six], six))
    """
    rows = [*volumes, mean]
    width = max(len("volume"), *(len(row.name) for row in rows))
    lines = [f"{'volume':<{width}}    Dice     IoU  precision  recall"]
    lines += [
        f"{row.name:<{width}}  {row.dice:6.4f}  {row.iou:6.4f}  {row.precision:9.4f}  {row.recall:6.4f}" for row in rows
    ]
    return "\n".join(lines)
