"""The entry point of the command: parse, run, and turn every expected error into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cyclopts import App, CycloptsError, Parameter

from napari_unet3d import __version__
from napari_unet3d.cli import commands
from napari_unet3d.cli.progress import print_status
from napari_unet3d.errors import UserError

FAILED, MISUSED, INTERRUPTED, TERMINATED = 1, 2, 130, 143

app = App(
    name="napari-unet3d",
    version=__version__,
    help="Generate 3D volumes, train a 3D U-Net, predict and evaluate, as the napari plugin does.",
    # an empty list of planes, objects or sizes is meaningless, so there is no --empty-… option
    default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main handles it
)
for command in (
    commands.generate,
    commands.train,
    commands.predict,
    commands.evaluate,
    commands.report,
    commands.demo,
    commands.doctor,
):
    app.command(command)


class Terminated(KeyboardInterrupt):
    """The process was asked to end with SIGTERM, as a cluster's scheduler does."""


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    tokens : sequence of str, optional
        The arguments after ``napari-unet3d``; by default those of the process.

    Returns
    -------
    int
        0 for success, 1 for a problem with the input, 2 for a wrong option, 130 or 143 when stopped.
    """
    try:
        with _terminated_like_interrupted():
            result = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(f"{' '.join(str(error).split())} See napari-unet3d --help.", MISUSED)
    except UserError as error:
        return _fail(str(error), FAILED)
    except Terminated as stop:
        return _fail(str(stop) or "Stopped.", TERMINATED)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "Stopped.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has ended; without this, Python prints an error on closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    print_status(f"napari-unet3d: {message.replace(chr(10), ' ')}")
    return code


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
