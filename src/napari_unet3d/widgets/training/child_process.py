"""The process of a training in a process of its own: how it is started, listened to, ended, and what its end means."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.widgets.training.train_work import Order

_LOOK_EVERY_SECONDS = 0.1
_SECONDS_TO_TERMINATE = 0.5
_MOST_WORDS = 300


def command_for(python: str, order: Order, data: Path, folder: Path) -> list[str]:
    """Give the command of a training, with its settings in a file.

    Parameters
    ----------
    python : str
        The Python program.
    order : Order
        What is to be trained.
    data : Path
        The dataset folder.
    folder : Path
        Where the file with the settings is written.
    """
    words = ["train", str(data.absolute()), "--run", str(order.run_folder.absolute()), "--json-lines"]
    if order.config is not None:
        settings = folder / "settings.json"
        # Only what was chosen: the rest is that of the run that goes on, or of the model that it starts from.
        write_json(settings, order.config.model_dump(mode="json", exclude_unset=True))
        words += ["--config", str(settings)]
    if order.resume:
        words.append("--resume")
    if order.start_from is not None:
        words += ["--start-from", str(order.start_from.absolute())]
    return [python, "-P", "-m", "napari_unet3d", *words]  # -P: no file of the current folder is taken for a module


def find_python() -> str:
    """Give the Python program of this environment; in a bundled application `sys.executable` may be another one.

    Raises
    ------
    UserError
        When there is none.
    """
    if Path(sys.executable or "").name.lower().startswith("python"):
        return sys.executable
    for folder in ("bin", "Scripts", "."):
        for name in ("python3", "python", "python.exe"):
            if (program := Path(sys.prefix) / folder / name).is_file():
                return str(program)
    raise UserError(
        f"There is no Python program in {sys.prefix}, which a training in a process of its own needs. "
        "Switch that off under Run, and train in the viewer."
    )


def how_it_ended(code: int, errors: str) -> str:
    """Say in a sentence or two how a process ended that nobody had asked to, and what to do.

    Parameters
    ----------
    code : int
        Its exit code; below 0 the signal that killed it.
    errors : str
        What it wrote to stderr.
    """
    if code == -getattr(signal, "SIGKILL", 9):
        return (
            "The process of the training was killed, as a system does when memory runs out. Choose a smaller batch "
            "size or preset, or close other programs; the run can be continued from its last whole epoch."
        )
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = f" Its last words were: {lines[-1][:_MOST_WORDS].rstrip('.')}." if lines else ""
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"The process of the training ended unexpectedly, {how}.{last} Train in the viewer instead, or report this."


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Give the lines of a process as they come, and an empty text now and then while none comes."""
    arrived: SimpleQueue[bytes | None] = SimpleQueue()
    stdout = process.stdout
    assert stdout is not None

    def read() -> None:
        with stdout:
            for line in stdout:
                arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, name="lines of the training", daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=_LOOK_EVERY_SECONDS)
        except Empty:
            yield ""
            continue
        if line is None:
            return
        yield line.decode()


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a process and wait for its end: it is asked to, then told to, then made to.

    Parameters
    ----------
    process : Popen
        It may have ended.
    seconds : float
        How long it may take after it was asked.
    """
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()  # which means stop
    for patience, next_means in ((seconds, process.terminate), (_SECONDS_TO_TERMINATE, process.kill)):
        try:
            process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            next_means()
    process.wait()
