"""What a job does in its thread: it runs an engine's generator and puts its events and its failure into a queue."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.qt.threading import GeneratorWorker

from napari_unet3d.errors import UserError

logger = logging.getLogger(__name__)

_MOST_WAITING = 5000


@dataclass(frozen=True, slots=True)
class Failed:
    """The last thing in the queue of an engine that raised."""

    error: Exception


class ClosingWorker(GeneratorWorker):  # type: ignore[misc]
    """Closes the engine's generator in the worker's thread; napari's own leaves it suspended after `quit`."""

    def work(self) -> Any:
        """Run the generator to its end, to a stop, or to an error."""
        try:
            return super().work()
        finally:
            self._gen.close()


class TitledCall(partial[Any]):
    """A call that shows as its title in napari's question about running tasks when the window is closed."""

    title = ""

    def __repr__(self) -> str:
        return self.title


def run_engine(events: Callable[[], Iterator[Any]], arrived: deque[Any]) -> Generator[None, None, None]:
    """Put an engine's events into a queue, and what it raises as the last.

    Parameters
    ----------
    events : callable
        Gives the engine's generator.
    arrived : deque
        The queue; an engine that is much faster than its reader has to wait.

    Yields
    ------
    None
        After each event, where napari looks whether the user pressed Stop or Pause.
    """
    try:
        with closing(_as_generator(events)) as running:
            for event in running:
                arrived.append(event)
                yield  # where napari looks whether the user pressed Stop
                while len(arrived) > _MOST_WAITING:  # the dock is slower than the engine
                    time.sleep(0.01)
                    yield
    except UserError as error:
        arrived.append(Failed(error))
    except Exception as error:
        logger.exception("A job failed unexpectedly")
        arrived.append(Failed(error))


def _as_generator(events: Callable[[], Iterator[Any]]) -> Generator[Any, None, None]:
    yield from events()
