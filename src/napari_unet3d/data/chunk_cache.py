"""A cache of the parts of volumes that were read last, of limited size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.memory import available_memory

_FRACTION_OF_MEMORY = 0.1
_LEAST_BYTES, _MOST_BYTES = 2**25, 2**29  # more hardly helps: patches are drawn everywhere


def cache_bytes() -> int:
    """Return how many bytes a cache should have: a part of the memory that is free now, within limits."""
    return max(_LEAST_BYTES, min(_MOST_BYTES, int(_FRACTION_OF_MEMORY * available_memory())))


class ChunkCache:
    """Keeps the arrays that were used last; several threads may use it.

    Parameters
    ----------
    most_bytes : int
        How many bytes they take together. A larger array is not kept.

    Examples
    --------
    >>> import numpy as np
    >>> cache = ChunkCache(8)
    >>> first = cache.get("a", lambda: np.zeros(8, np.uint8))
    >>> cache.get("a", lambda: None) is first, cache.n_bytes
    (True, 8)
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.n_bytes = most_bytes, 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, load: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return an array, which is loaded if it is not there; it must not be changed."""
        with self._lock:
            if (found := self._arrays.get(key)) is not None:
                self._arrays.move_to_end(key)
                return found
        loaded = load()
        with self._lock:
            if key not in self._arrays and loaded.nbytes <= self.most_bytes:
                self._arrays[key] = loaded
                self.n_bytes += loaded.nbytes
                while self.n_bytes > self.most_bytes:
                    self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
        return loaded

    def clear(self) -> None:
        """Drop all arrays."""
        with self._lock:
            self._arrays.clear()
            self.n_bytes = 0
