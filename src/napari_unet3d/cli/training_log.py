"""What the command prints of a training: its start, its epochs and its end."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection

from napari_unet3d.cli.progress import Bar, is_terminal, print_status
from napari_unet3d.data.events import Notice
from napari_unet3d.files import MODEL_FILE
from napari_unet3d.formatting import format_duration
from napari_unet3d.training.events import (
    EpochFinished,
    PreflightEvent,
    RunStarted,
    StateSaved,
    StepFinished,
    TrainEvent,
)

Describe = Callable[[RunStarted], str]


class TrainingLog:
    """Prints the events of a run, and remembers how far it is."""

    def __init__(self, describe: Describe | None, printed: Collection[str]) -> None:
        self._describe, self._printed = describe, printed
        self._started: RunStarted | None = None
        self._epoch = 0
        self._saved: StateSaved | None = None

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
            case StateSaved():
                self._saved = event
                if not event.ends:
                    print_status(_describe_saved(event))
            case EpochFinished():
                self._epoch, self._saved = event.epoch, None
                losses = _format_losses(event)
                bar.show(event.epoch, n_epochs, losses)
                if not is_terminal():
                    left = None if event.epoch == n_epochs else event.seconds_left
                    time_left = "" if left is None else f", {format_duration(left)} left"
                    print_status(f"epoch {event.epoch}/{n_epochs}: {losses}{time_left}")

    def describe_stop(self) -> str:
        """Return how far the run came and where its model is; call it after the generator was closed."""
        if self._started is None:
            return "Stopped before the training started."
        model = self._started.run_folder / MODEL_FILE
        where = f"the best model so far is {model}" if os.path.exists(model) else "there is no model yet"
        saved = "" if self._saved is None else f" {_describe_saved(self._saved)}"
        return f"Stopped after {self._epoch} of {self._started.n_epochs} epochs; {where}.{saved}"


def _describe_start(event: RunStarted) -> str:
    parts = [f"resumes after epoch {len(event.history)}"] if event.history else []
    if event.n_steps_done:
        parts = [f"resumes in epoch {len(event.history) + 1} after step {event.n_steps_done}"]
    parts += [event.device, f"{event.plan.description} per step", f"training on {', '.join(event.train_names)}"]
    parts.append(f"validation on {', '.join(event.val_names)}" if event.val_names else "no validation")
    return "; ".join(parts)


def _describe_saved(event: StateSaved) -> str:
    where = f"in epoch {event.epoch} after step {event.step}" if event.step else f"before epoch {event.epoch}"
    return f"The state is saved {where}; --resume continues there."


def _format_losses(event: EpochFinished) -> str:
    text = f"training loss {event.train_loss:.4f}"
    if event.val_loss is not None:
        text += f", validation loss {event.val_loss:.4f}"
    return ", ".join([text, *format_scores(event.val_dice, event.val_f1)])


def format_scores(dice: float | None, f1: float | None) -> list[str]:
    """Return the validation scores that mean something, each with its name."""
    scores = [] if dice is None or math.isnan(dice) else [f"validation Dice {dice:.4f}"]
    return scores if f1 is None else [*scores, f"object F1 {f1:.4f}"]
