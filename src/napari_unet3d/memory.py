"""The memory that this process may use: that of the machine, within the limits of containers, schedulers and shells."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from napari_unet3d.cgroups import limit_files

if sys.platform != "win32":
    import resource


# Files of a control group: how much is in use, and the row of memory.stat with copies of files.
_NAMES_V1 = "memory.usage_in_bytes", "total_inactive_file"
_NAMES_V2 = "memory.current", "inactive_file"


class _Limit(NamedTuple):
    """A limit and how much of it is in use, in bytes."""

    n_bytes: int
    n_used: int


def total_memory() -> int:
    """Return the memory in bytes that this process may use if nothing else did."""
    return min([int(psutil.virtual_memory().total), *(limit.n_bytes for limit in _limits())])


def available_memory() -> int:
    """Return the memory in bytes that this process may still use."""
    free = (max(0, limit.n_bytes - limit.n_used) for limit in _limits())
    return min([int(psutil.virtual_memory().available), *free])


def _limits() -> Iterator[_Limit]:
    yield from _process_limits()
    yield from cgroup_limits()


def _process_limits() -> Iterator[_Limit]:
    """Yield the limit that a shell has set with ``ulimit -v``, which counts reserved memory, too."""
    if sys.platform == "win32":
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield _Limit(limit, int(psutil.Process().memory_info().vms))


def cgroup_limits(root: Path = Path("/")) -> Iterator[_Limit]:
    """Yield the memory limits of the control groups of Linux that this process is in, of version 2 and 1.

    Parameters
    ----------
    root : Path
        The root of the file system.
    """
    for path in limit_files("memory", "memory.limit_in_bytes", "memory.max", root):
        is_v2 = path.name == "memory.max"
        used, cached = _NAMES_V2 if is_v2 else _NAMES_V1
        with suppress(OSError, ValueError):  # it has no limit, which version 2 calls max, or it has just been removed
            n_bytes, n_used = (int(each.read_text(encoding="utf-8")) for each in (path, path.with_name(used)))
            yield _Limit(n_bytes, max(0, n_used - _cached_files(path.parent, cached)))


def _cached_files(folder: Path, name: str) -> int:
    """Return how many bytes of a group are copies of files, which the system drops when memory is needed."""
    with suppress(OSError, ValueError):
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))
    return 0
