"""A lock file, so that only one training at a time writes to a run folder."""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from napari_unet3d.errors import UserError, explain_os_errors

LOCK_FILE = ".training.lock"
_HELD_ERRORS = (
    errno.EACCES,
    errno.EAGAIN,
    errno.EWOULDBLOCK,
    errno.EDEADLK,
)  # a lock of another process

if sys.platform == "win32":
    import msvcrt

    def _lock(file: FileIO) -> None:
        file.seek(2**30)  # behind the text, since Windows does not allow reading locked bytes
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Holder(BaseModel):
    """The process that holds a lock, as written to the lock file."""

    host: str
    process: int
    started: float  # seconds since 1970; process ids are reused

    @classmethod
    def this(cls) -> _Holder:
        return cls(host=platform.node(), process=os.getpid(), started=psutil.Process().create_time())

    @property
    def is_here(self) -> bool:
        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """Whether the process is running; valid only for processes of this computer."""
        try:
            process = psutil.Process(self.process)
            is_same = bool(abs(process.create_time() - self.started) < 1)
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder; a missing folder is created, and removed again if it stays empty.

    The operating system releases the lock of a process that ends, even if it is killed, so a leftover lock file does
    not prevent training. The file names the process that holds the lock; this is what counts for other computers, and
    on file systems without locks.

    Parameters
    ----------
    folder : Path
        The run folder.

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
            file = _acquire(folder)
        try:
            yield
        finally:
            _release(file, folder / LOCK_FILE)
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()


def _acquire(folder: Path) -> FileIO:
    path = folder / LOCK_FILE
    while True:
        file = FileIO(path, "a+")
        try:
            _refuse_second(file, folder)
            if _is_at(path, file):
                file.truncate(0)
                file.write(_Holder.this().model_dump_json().encode())
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the holder has removed it since it was opened


def _refuse_second(file: FileIO, folder: Path) -> None:
    """Lock a file, or raise a `UserError` if another training holds the lock."""
    has_locks = True
    try:
        _lock(file)
    except OSError as error:
        if error.errno in _HELD_ERRORS:
            raise _in_use(folder, _read_holder(file)) from None
        has_locks = False
    holder = _read_holder(file)
    if holder is not None and (not holder.is_here or (not has_locks and holder.is_alive)):
        raise _in_use(folder, holder)


def _read_holder(file: FileIO) -> _Holder | None:
    """Read who holds a lock; None if the file is empty or incomplete."""
    file.seek(0)
    try:
        return _Holder.model_validate_json(file.read())
    except ValidationError:
        return None


def _in_use(folder: Path, holder: _Holder | None) -> UserError:
    remedy = "Wait until it has finished, or choose another run folder"
    if holder is not None and not holder.is_here:
        return UserError(
            f"The run folder {folder} is in use by a training on the computer {holder.host} (process "
            f"{holder.process}). {remedy}; if it is no longer running, remove {folder / LOCK_FILE}."
        )
    who = f" (process {holder.process})" if holder else ""
    return UserError(f"The run folder {folder} is in use by another training{who}. {remedy}.")


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _release(file: FileIO, path: Path) -> None:
    with suppress(OSError):  # an empty file that cannot be removed does not prevent training
        file.truncate(0)
    if sys.platform == "win32":  # where an open file cannot be removed
        file.close()
    with suppress(OSError):
        path.unlink()
    file.close()
