"""The entry point of the command: parse, run, and turn every expected error into one line and an exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError, Parameter

from napari_unet3d import __version__
from napari_unet3d.cli import commands, dataset_commands, evaluation_commands, export_command, run_commands
from napari_unet3d.cli.json_lines import FailureWritten
from napari_unet3d.cli.progress import print_result, print_status
from napari_unet3d.cli.signals import Stopped, ending_on_signals
from napari_unet3d.errors import NO_MEMORY, UserError, is_out_of_memory
from napari_unet3d.training.event_json import RunFailed, dump

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

app = App(
    name="napari-unet3d",
    version=__version__,
    help="Generate 3D volumes, train a 3D U-Net, predict, evaluate and export, as the napari plugin does.",
    # an empty list of planes, objects or sizes is meaningless, so there is no --empty-… option
    default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main handles it
)
for command in (
    commands.generate,
    commands.train,
    run_commands.status,
    run_commands.stop,
    commands.predict,
    evaluation_commands.evaluate,
    evaluation_commands.report,
    export_command.export,
    export_command.meshes,
    export_command.rois,
    commands.demo,
    commands.doctor,
):
    app.command(command)
app.command(dataset_commands.dataset)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    tokens : sequence of str, optional
        The arguments after ``napari-unet3d``; by default those of the process.

    Returns
    -------
    int
        0 for success, 1 for a problem with the input, 2 for a wrong option, 128 and the number of the signal when
        stopped by one: 130 for Ctrl-C, 143 for TERM, 129 for HUP.
    """
    given = sys.argv[1:] if tokens is None else tokens
    if any(not each.strip() or re.fullmatch(r"--[\w-]+=\s*", each) for each in given):
        # An empty path would be the current folder, which nobody means by a variable that is not set.
        return _fail("An argument is empty. Give a value, or leave the option out.", MISUSED)
    try:
        with ending_on_signals():
            result = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        message = f"{' '.join(str(error).split())} See napari-unet3d --help."
        _write_failure(message, tokens)
        return _fail(message, MISUSED)
    except UserError as error:
        if not isinstance(error, FailureWritten):
            _write_failure(str(error), tokens)
        return _fail(str(error), FAILED)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "Stopped.", stop.code if isinstance(stop, Stopped) else INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has ended; without this, Python prints an error on closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _write_failure(NO_MEMORY, tokens)
        return _fail(NO_MEMORY, FAILED)
    return result if isinstance(result, int) else 0


def _write_failure(message: str, tokens: Sequence[str] | None) -> None:
    """Write the last line for a program that follows a training, if the training could not even be started."""
    given = sys.argv[1:] if tokens is None else tokens
    if "--json-lines" in given:
        print_result(dump(RunFailed(message)))


def _fail(message: str, code: int) -> int:
    with suppress(OSError):  # the terminal may be gone
        print_status(f"napari-unet3d: {message.replace(chr(10), ' ')}")
    return code
