"""Rows of RESULTS.md, and timing of several ways in turns."""

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
        What was done, and beside what.
    ours, theirs : str
        The figures.
    ratio : float or None
        How many times better ours is, where that says something.
    goal : str
        What was wanted, in words.
    is_reached : bool or None
        Whether it was reached; None where there was no goal, or nothing to measure it with.
    """

    what: str
    against: str
    ours: str
    theirs: str
    ratio: float | None = None
    goal: str = ""
    is_reached: bool | None = None


def in_turns(ways: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, list[float]]:
    """Time each way `repeats` times in seconds, one after the other in every round; the first round warms up."""
    seconds: dict[str, list[float]] = {words: [] for words in ways}
    for _ in range(repeats + 1):
        for words, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[words].append(time.perf_counter() - started)
    return {words: values[1:] for words, values in seconds.items()}


def spread(seconds: Sequence[float], factor: float = 1, unit: str = "s") -> str:
    """Write the median, and the smallest and the largest value where there are several."""
    low, middle, high = (value * factor for value in (min(seconds), statistics.median(seconds), max(seconds)))
    limits = f" ({low:.3g} to {high:.3g})" if len(seconds) > 1 else ""
    return f"{middle:.3g} {unit}{limits}"


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Divide the medians."""
    return statistics.median(theirs) / statistics.median(ours)


def table(rows: Sequence[Row]) -> str:
    """Write rows as a table in Markdown."""
    lines = ["| what | against | ours | theirs | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    verdicts = {True: "reached", False: "**not reached**", None: "–"}
    for row in rows:
        times = "–" if row.ratio is None else f"{row.ratio:.3g} ×"
        cells = (row.what, row.against, row.ours, row.theirs, times, row.goal or "–", verdicts[row.is_reached])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
