"""What work is handed to processes, and what they answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol, TypeVar

MOST_FAILURES = 3
"""How often a worker may die at the same task before it is given up."""

T = TypeVar("T")


class Task(Protocol):
    """Something to do in another process: it can be pickled, and carries paths and numbers, never arrays."""

    def __call__(self, n_done: int) -> Iterator[Any]:
        """Yield an answer for each part that is done, without the first `n_done` parts, which were done before."""


class Workers(Protocol):
    """Processes that work through tasks."""

    @property
    def n_workers(self) -> int:
        """How many processes there are."""

    @property
    def description(self) -> str:
        """What they are, for the user."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield the number of a task and an answer, as they come.

        Raises
        ------
        UserError
            If a task raises it, or workers die again and again.
        """

    def close(self) -> None:
        """End the processes."""


def last_of(generator: Generator[Any, None, T]) -> T:
    """Return the result of a generator whose events nobody waits for.

    >>> def count():
    ...     yield 1
    ...     return 2
    >>> last_of(count())
    2
    """
    while True:
        try:
            next(generator)
        except StopIteration as end:
            result: T = end.value
            return result
