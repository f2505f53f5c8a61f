"""An epoch that has begun: what it has done so far, in memory and in the resume file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LearningRate = Annotated[float, Field(ge=0, le=1e6)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]


class StartedEpoch(BaseModel):
    """What an epoch has done before the state was saved inside it.

    Attributes
    ----------
    losses : tuple of float
        The loss of each of its steps so far.
    learning_rate : float
        Learning rate of its first step.
    seconds : float
        How long it took so far.
    """

    # A loss may be NaN, which JSON would store as null and not read back as a number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    losses: tuple[float, ...]
    learning_rate: LearningRate
    seconds: Seconds


@dataclass(slots=True)
class EpochInProgress:
    """An epoch that is being trained.

    Attributes
    ----------
    number : int
        The epoch, counted from 1.
    learning_rate : float
        Learning rate of its first step.
    began : float
        When it began, in seconds of the run.
    losses : list of float
        The loss of each of its steps so far.
    halfway : float or None
        When half of its steps were done, in seconds of the run; None before, and in an epoch of one step.
    """

    number: int
    learning_rate: float
    began: float
    losses: list[float] = field(default_factory=list)
    halfway: float | None = None

    def add_loss(self, loss: float, n_steps: int, now: float) -> None:
        """Add the loss of a step of an epoch of `n_steps`; `now` is in seconds of the run."""
        self.losses.append(loss)
        if len(self.losses) == n_steps // 2:
            self.halfway = now

    def is_steady(self, now: float) -> bool:
        """Return whether the first half of its steps took at most twice as long as the second, which ended `now`."""
        return self.halfway is not None and self.halfway - self.began <= 2 * (now - self.halfway)

    def saved_at(self, now: float) -> StartedEpoch:
        """Return what is saved of it; `now` is in seconds of the run."""
        return StartedEpoch(
            losses=tuple(self.losses), learning_rate=self.learning_rate, seconds=max(0.0, now - self.began)
        )

    @property
    def mean_loss(self) -> float:
        """The mean loss, without the steps that were skipped because their loss was NaN or infinite."""
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        return sum(finite) / len(finite) if finite else math.nan
