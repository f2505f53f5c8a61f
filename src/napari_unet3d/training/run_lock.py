"""A lock file, so that only one training at a time writes to a run folder."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.file_lock import HELD_ERRORS, lock
from napari_unet3d.files import CONFIG_FILE, not_created
from napari_unet3d.formatting import format_duration
from napari_unet3d.runs.lock_file import LOCK_FILE, SECONDS_UNTIL_STALE, Holder, read_holder, seconds_since_beat

_SECONDS_BETWEEN_BEATS = 30.0


@dataclass(frozen=True, slots=True)
class RunLock:
    """A run folder that this process has locked.

    Attributes
    ----------
    folder : Path
        The run folder.
    notice : str
        A notice about an earlier training that has left its lock; empty without one.
    """

    folder: Path
    notice: str
    _file: FileIO
    _folder_at_start: os.stat_result

    def is_in_place(self) -> bool:
        """Return whether the folder is still the one that was locked: it was not removed, renamed or replaced.

        It is if the lock file is the locked one or names this process, since the numbers of files change on some
        network disks. If the file alone was removed, it is the folder with the settings of the run.
        """
        path = self.folder / LOCK_FILE
        with suppress(OSError):
            if path.exists():
                return _is_at(path, self._file) or _read_holder_at(path) == Holder.this()
            is_same = os.path.samestat(self._folder_at_start, self.folder.stat())
            return is_same and (self.folder / CONFIG_FILE).exists()
        return False


@contextmanager
def locked(folder: Path) -> Iterator[RunLock]:
    """Lock a run folder; a missing folder is created, and removed again if it stays empty.

    The operating system releases the lock of a process that ends, even if it is killed, so a leftover lock file does
    not prevent training. The file names the process that holds the lock; this is what counts for other computers, and
    on file systems without locks. Its time is renewed twice a minute, so that other computers can tell whether the
    process is still running.

    Parameters
    ----------
    folder : Path
        The run folder.

    Yields
    ------
    RunLock
        The lock. In the block, files are not written if the folder was removed, rather than creating it again.

    Raises
    ------
    UserError
        If it is a file, cannot be written to, or is locked by another training, of this or another process.
    """
    with explain_os_errors(folder, "write to"):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"The run folder {folder} is a file; choose the name of a new folder.")
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with explain_os_errors(folder, "write to"):
            folder.mkdir(parents=True, exist_ok=True)
            file, notice = _acquire(folder)
        try:
            with _renewed(folder / LOCK_FILE), not_created(folder):
                yield RunLock(folder, notice, file, folder.stat())
        finally:
            _release(file, folder / LOCK_FILE)
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()


@contextmanager
def _renewed(path: Path) -> Iterator[None]:
    """Renew the time of a lock file in a block, also while a training is paused."""
    has_ended = threading.Event()

    def beat() -> None:
        while not has_ended.wait(_SECONDS_BETWEEN_BEATS):
            with suppress(OSError):  # the disk may be unreachable for a while
                os.utime(path)

    thread = threading.Thread(target=beat, name="lock of the run folder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


def _acquire(folder: Path) -> tuple[FileIO, str]:
    """Return the locked file, and a notice about a process that has left it."""
    path = folder / LOCK_FILE
    while True:
        file = FileIO(path, "a+")
        try:
            left_by = _refuse_second(file, folder)
            if _is_at(path, file):
                file.truncate(0)
                file.write(Holder.this().model_dump_json().encode())
                return file, "" if left_by is None else _left(left_by)
        except BaseException:
            file.close()
            raise
        file.close()  # the holder has removed it since it was opened


def _refuse_second(file: FileIO, folder: Path) -> Holder | None:
    """Lock a file, or raise a `UserError` if another training holds the lock; return who has left it, if anybody."""
    has_locks = True
    try:
        lock(file)
    except OSError as error:
        if error.errno in HELD_ERRORS:
            raise _in_use(folder, read_holder(file)) from None
        has_locks = False
    holder = read_holder(file)
    if holder is None or Holder.this().has_replaced(holder):
        return holder
    if not holder.is_here or (not has_locks and holder.is_alive):
        raise _in_use(folder, holder)
    return None if holder.is_alive else holder


def _read_holder_at(path: Path) -> Holder | None:
    with FileIO(path) as file:
        return read_holder(file)


def _in_use(folder: Path, holder: Holder | None) -> UserError:
    remedy = "Wait until it has finished, or choose another run folder"
    if holder is None or holder.is_here:
        who = f" ({holder.description})" if holder else ""
        return UserError(f"The run folder {folder} is in use by another training{who}. {remedy}.")
    who = f"a training on the computer {holder.host} ({holder.description})"
    last_way = f"if it is no longer running, remove {folder / LOCK_FILE}."
    seconds = seconds_since_beat(folder / LOCK_FILE)
    if seconds < SECONDS_UNTIL_STALE:
        active = f"last active {format_duration(seconds)} ago"
        return UserError(f"The run folder {folder} is in use by {who}, {active}. {remedy}; {last_way}")
    return UserError(
        f"The run folder {folder} is locked by {who}, which was last active {format_duration(seconds)} ago and has "
        f"probably crashed. Choose another run folder; {last_way}"
    )


def _left(holder: Holder) -> str:
    return (
        f"An earlier training in this folder ({holder.description}) has ended without releasing it, as a killed "
        "process does; its lock was removed."
    )


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _release(file: FileIO, path: Path) -> None:
    is_own = False
    with suppress(OSError):  # the folder may have been replaced by that of another training
        is_own = _is_at(path, file)
    with suppress(OSError):  # an empty file that cannot be removed does not prevent training
        file.truncate(0)
    if sys.platform == "win32":  # where an open file cannot be removed
        file.close()
    with suppress(OSError):
        if is_own:
            path.unlink()
    file.close()
