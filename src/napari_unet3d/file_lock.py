"""Locks on open files, which the operating system releases when a process ends, even if it is killed."""

from __future__ import annotations

import errno
import sys
from io import FileIO

HELD_ERRORS = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
"""What `lock` raises an `OSError` with if another process holds the lock; others mean that there are no locks here."""

if sys.platform == "win32":
    import msvcrt

    def lock(file: FileIO) -> None:
        """Lock an open file without waiting."""
        file.seek(2**30)  # behind the text, since Windows does not allow reading locked bytes
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def lock(file: FileIO) -> None:
        """Lock an open file without waiting."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
