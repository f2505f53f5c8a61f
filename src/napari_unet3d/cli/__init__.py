"""The command ``napari-unet3d``: the engine without a viewer, with the same settings as the docks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from napari_unet3d.errors import NO_MEMORY, is_out_of_memory

_MIN_BYTES, _MIN_BYTES_PER_CORE = 512 * 2**20, 40 * 2**20


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command; see `napari_unet3d.cli.app.main`.

    Libraries are loaded in here, since a memory limit may not even allow that. OpenBLAS, which reserves memory for each
    core, does not fail below a certain limit, but tries for ever.
    """
    try:
        if _memory_limit() < _MIN_BYTES + _MIN_BYTES_PER_CORE * (os.cpu_count() or 1):
            raise MemoryError
        from napari_unet3d.cli.app import main as run
    except (MemoryError, ImportError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"napari-unet3d: {NO_MEMORY}", file=sys.stderr)  # noqa: T201 - nothing else could be loaded
        return 1
    return run(tokens)


def _memory_limit() -> float:
    """Return the limit in bytes that a shell has set with ``ulimit -v``; infinity without one."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return float("inf") if limit == resource.RLIM_INFINITY else limit


__all__ = ["main"]
