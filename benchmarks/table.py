"""Rows of RESULTS.md, and interleaved timing of several implementations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    what, against : str
        What was measured, and what it is compared with.
    ours, theirs : str
        The measurements.
    ratio : float or None
        How many times better ours is, if that is meaningful.
    goal : str
        The goal in words.
    is_reached : bool or None
        Whether it was reached; None without a goal.
    """

    what: str
    against: str
    ours: str
    theirs: str
    ratio: float | None = None
    goal: str = ""
    is_reached: bool | None = None


def in_turns(ways: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, list[float]]:
    """Time each implementation `repeats` times in seconds, alternating between them; an extra first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: values[1:] for name, values in seconds.items()}


def spread(seconds: Sequence[float], factor: float = 1, unit: str = "s") -> str:
    """Format the median, and the minimum and maximum if there are several values."""
    low, middle, high = (value * factor for value in (min(seconds), statistics.median(seconds), max(seconds)))
    limits = f" ({low:.3g} to {high:.3g})" if len(seconds) > 1 else ""
    return f"{middle:.3g} {unit}{limits}"


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the ratio of the medians."""
    return statistics.median(theirs) / statistics.median(ours)


def table(rows: Sequence[Row]) -> str:
    """Format rows as a Markdown table."""
    lines = ["| what | compared with | ours | theirs | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    verdicts = {True: "reached", False: "**not reached**", None: "–"}
    for row in rows:
        times = "–" if row.ratio is None else f"{row.ratio:.3g} ×"
        cells = (row.what, row.against, row.ours, row.theirs, times, row.goal or "–", verdicts[row.is_reached])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
