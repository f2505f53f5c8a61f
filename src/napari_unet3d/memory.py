"""The memory that this process may use: that of the machine, within the limits of containers, schedulers and shells."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

if sys.platform != "win32":
    import resource


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
    yield from cgroup_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _process_limits() -> Iterator[_Limit]:
    """Yield the limit that a shell has set with ``ulimit -v``, which counts reserved memory, too."""
    if sys.platform == "win32":
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield _Limit(limit, int(psutil.Process().memory_info().vms))


def cgroup_limits(process: Path, mount: Path) -> Iterator[_Limit]:
    """Yield the memory limits of the control groups of Linux that this process is in, of version 2 and 1.

    Parameters
    ----------
    process : Path
        The file that names the groups of the process.
    mount : Path
        Where control groups are mounted.
    """
    with suppress(OSError):
        for line in process.read_text(encoding="utf-8", errors="replace").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, group = rest.partition(":")
            if not controllers:
                names = "memory.max", "memory.current", "inactive_file"
                for root in (mount, mount / "unified"):  # beside those of version 1
                    yield from _limits_above(root, group, *names)
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
                yield from _limits_above(mount / "memory", group, *names)


def _limits_above(mount: Path, group: str, limit: str, used: str, cached: str) -> Iterator[_Limit]:
    """Yield the limits of a group and of those that contain it; in a container, some of them cannot be seen."""
    inside = mount / group.lstrip("/")
    folders = [inside, *inside.parents]
    for folder in folders[: folders.index(mount) + 1] if mount in folders else [mount]:
        with suppress(OSError, ValueError):  # it has no limit, which version 2 calls max, or it cannot be seen
            n_bytes, n_used = (int((folder / name).read_text(encoding="utf-8")) for name in (limit, used))
            yield _Limit(n_bytes, max(0, n_used - _cached_files(folder, cached)))


def _cached_files(folder: Path, name: str) -> int:
    """Return how many bytes of a group are copies of files, which the system drops when memory is needed."""
    with suppress(OSError, ValueError):
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))
    return 0
