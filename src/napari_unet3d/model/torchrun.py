"""Which of several processes this one is, as torchrun says in environment variables."""

from __future__ import annotations

import os
from typing import NamedTuple

_ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


class ProcessNumber(NamedTuple):
    """One of several processes that train together.

    Attributes
    ----------
    rank : int
        Its number, from 0; process 0 writes the run folder, and the others follow it.
    n_processes : int
        How many there are, on all machines together.
    local_rank : int
        Its number on its machine, which is also that of its GPU.
    """

    rank: int
    n_processes: int
    local_rank: int

    @property
    def follows(self) -> bool:
        """Whether it is not the first one."""
        return self.rank > 0


def process_number() -> ProcessNumber | None:
    """Return which process this is, or None if torchrun has not started it, or has started a single one."""
    if any(name not in os.environ for name in (*_ADDRESS, *_NUMBERS)):
        return None
    numbers = [os.environ[name] for name in _NUMBERS]
    if not all(number.isdecimal() for number in numbers):
        return None
    found = ProcessNumber(*map(int, numbers))
    return found if found.n_processes > 1 else None
