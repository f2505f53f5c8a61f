"""Limits that a container or a batch system sets to the processor and the memory (Linux control groups)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_MOUNT = "sys/fs/cgroup"


def limit_files(controller: str, name_v1: str, name_v2: str, root: Path = Path("/")) -> Iterator[Path]:
    """Yield the files that may limit this process, from its own control group up to the outermost.

    All of them apply. A container often sees its own group as the outermost one, wherever it lies outside; folders that
    do not exist are therefore skipped.

    Parameters
    ----------
    controller : str
        Such as ``"cpu"``.
    name_v1, name_v2 : str
        Name of the file in version 1 and 2 of control groups, such as ``"cpu.cfs_quota_us"`` and ``"cpu.max"``.
    root : Path
        The root of the file system.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            mounts, name = [root / _MOUNT, root / _MOUNT / "unified"], name_v2  # the second one beside version 1
        elif controller in controllers.split(","):
            mounts, name = [root / _MOUNT / folder for folder in dict.fromkeys((controllers, controller))], name_v1
        else:
            continue
        path = PurePosixPath(group.lstrip("/"))
        if ".." in path.parts:
            path = PurePosixPath()
        for mount in mounts:
            yield from (mount / folder / name for folder in (path, *path.parents) if (mount / folder / name).is_file())


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return how many cores this process may use on average, such as 1.5; None without a quota.

    Parameters
    ----------
    root : Path
        The root of the file system.
    """
    quotas = []
    for path in limit_files("cpu", "cpu.cfs_quota_us", "cpu.max", root):
        with suppress(OSError, ValueError, IndexError):  # "max", or a folder that has just been removed
            words = path.read_text(encoding="ascii").split()
            if path.name != "cpu.max":
                words.append(path.with_name("cpu.cfs_period_us").read_text(encoding="ascii"))
            quota, period = int(words[0]), int(words[1])
            if quota > 0 and period > 0:
                quotas.append(quota / period)
    return min(quotas, default=None)
