"""Signals of schedulers and terminals: TERM and HUP end the command, USR1 saves the state of a training."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

from napari_unet3d.cli.progress import print_status
from napari_unet3d.errors import UserError

if TYPE_CHECKING:
    from napari_unet3d.training.save_schedule import SaveRequests

_HUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has neither
_USR1: int | None = getattr(signal, "SIGUSR1", None)


class Stopped(KeyboardInterrupt):
    """The command ends as by Ctrl-C, with an exit code of its own."""

    code: ClassVar[int]


class Terminated(Stopped):
    """The process was asked to end with SIGTERM, as a cluster's scheduler does."""

    code = 128 + signal.SIGTERM


class HungUp(Stopped):
    """The terminal was closed, or the connection to it was lost (SIGHUP)."""

    code = 128 + (_HUP or 1)


class SavedAndStopped(Stopped):
    """A training has saved its state on SIGUSR1 and ends, as --on-usr1 stop asks for."""

    code = 128 + (_USR1 or 10)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM and `HungUp` on SIGHUP in a block, so that it cleans up; only the first one counts.

    SIGHUP stays ignored where it is, as under nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    has_ended = False
    kinds: dict[int, type[Stopped]] = {signal.SIGTERM: Terminated}
    if _HUP is not None and signal.getsignal(_HUP) is not signal.SIG_IGN:
        kinds[_HUP] = HungUp

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal has_ended
        if not has_ended:  # a second one would interrupt the cleaning up
            has_ended = True
            raise kinds[number]

    before = {number: signal.signal(number, end) for number in kinds}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SECONDS_TO_FOLLOW = 15.0


@contextmanager
def following_the_first() -> Iterator[None]:
    """Leave signals, which torchrun sends to all processes that train together, to the first process in a block.

    It saves what there is to save, and its end is the end of the others. Should that not happen, this process ends.
    """
    is_asked = False

    def end_later(*_: object) -> None:
        nonlocal is_asked
        is_asked = True
        timer = threading.Timer(_SECONDS_TO_FOLLOW, os._exit, (1,))
        timer.daemon = True
        timer.start()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before.update({number: signal.signal(number, end_later) for number in (signal.SIGTERM, signal.SIGINT)})
        ignored = [number for number in (_HUP, _USR1) if number is not None]
        before.update({number: signal.signal(number, signal.SIG_IGN) for number in ignored})
    try:
        yield
    except UserError:  # the first process has ended in the middle of a step
        if not is_asked:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def saving_on_usr1(requests: SaveRequests, *, ends: bool) -> Iterator[None]:
    """Request on SIGUSR1 in a block that a training saves its state at the next step.

    Parameters
    ----------
    requests : SaveRequests
        The requests of the training.
    ends : bool
        Whether the training ends after that.
    """
    if _USR1 is None:
        if ends:
            print_status("This system has no signal USR1, so --on-usr1 has no effect.")
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_USR1, lambda *_: requests.request(ends=ends))
    try:
        yield
    finally:
        signal.signal(_USR1, before)
