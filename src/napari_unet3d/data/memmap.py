"""What a run holds of volumes that do not fit into memory: open files with a cache, and memory-mapped copies."""

from __future__ import annotations

import shutil
import weakref
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.chunk_cache import ChunkCache, cache_bytes
from napari_unet3d.data.lazy_array import as_array, is_lazy
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.leftovers import remove_leftovers, temporary_name
from napari_unet3d.memory import available_memory

_FRACTION_OF_MEMORY = 0.4  # the rest is for the network, augmented copies and the viewer


def volume_budget() -> int:
    """Return how many bytes volumes may take in memory."""
    return int(_FRACTION_OF_MEMORY * available_memory())


class MemmapStore:
    """Keeps arrays in memory as long as they fit, and the others in memory-mapped temporary files.

    It also holds the files of volumes open that are read in parts; see `streamed_samples`.

    The temporary files are deleted when the store is closed or garbage-collected and when the process ends, even if it
    is killed.
    Files of the user that cannot be read in parts are copied rather than mapped: if another program truncated a mapped
    file, this process would crash.

    Parameters
    ----------
    folder : Path
        Folder for the temporary files, such as the run folder, since the temporary folder of the system is often in
        memory. It is created when it is needed.
    budget_bytes : int, optional
        Maximum size of the arrays in memory; without it, a fraction of the memory that is available now.

    Attributes
    ----------
    budget_bytes : int
        Maximum size of the arrays in memory.
    files : ExitStack
        Closed with the store.
    n_bytes_on_disk, n_bytes_streamed : int
        Size of the arrays in temporary files, and of those that are read in parts from their own files.

    Examples
    --------
    >>> with MemmapStore(Path("run")) as store:
    ...     store.store(np.zeros((2, 3, 4))).shape, store.n_bytes_on_disk
    ((2, 3, 4), 0)
    """

    def __init__(self, folder: Path, budget_bytes: int | None = None) -> None:
        self.budget_bytes = self._left = volume_budget() if budget_bytes is None else budget_bytes
        self._folder = folder
        self._files: Path | None = None
        self._empty: weakref.finalize[..., MemmapStore] | None = None
        self.n_bytes_on_disk = self.n_bytes_streamed = 0
        self.files = ExitStack()

    @property
    def n_bytes_left(self) -> int:
        """How many bytes of further arrays are kept in memory."""
        return self._left

    @cached_property
    def cache(self) -> ChunkCache:
        """The cache of what is read in parts."""
        return ChunkCache(cache_bytes())

    def note_streamed(self, n_bytes: int) -> None:
        """Note that arrays are read in parts."""
        self.n_bytes_streamed += n_bytes

    def __enter__(self) -> Self:
        """Return the store, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def store(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the same array if it fits into memory, else a read-only memory-mapped copy.

        Parameters
        ----------
        array : ndarray of any shape and number type
            The array; it counts towards the budget if it stays in memory.

        Raises
        ------
        UserError
            If there is no space on the disk.
        """
        if array.nbytes <= self._left and not is_lazy(array):
            self._left -= array.nbytes
            return array
        if is_lazy(array):  # it stays in its file
            return as_array(array)
        self.n_bytes_on_disk += array.nbytes
        return self._on_disk(array)

    def store_sample(self, sample: Sample) -> Sample:
        """Return a sample whose image, labels and mask are stored; see `store`."""
        own = sample.labels, sample.label_mask, sample.image
        labels, annotated, image = (None if array is None else self.store(array) for array in own)
        if all(kept is array for kept, array in zip((labels, annotated, image), own, strict=True)):
            return sample
        assert image is not None  # every sample has one
        return replace(sample, image=image, labels=labels, label_mask=annotated)

    @property
    def notice(self) -> str | None:
        """A message if arrays are on disk."""
        messages = []
        if self.n_bytes_streamed:
            messages.append(
                f"{self.n_bytes_streamed / 1e9:,.1f} GB of the volumes do not fit into memory and are read in parts "
                f"from their files, of which up to {self.cache.most_bytes / 1e9:,.2g} GB are kept in memory. "
                "Hot pixels that are too many to be outliers are not searched for in them."
            )
        if self.n_bytes_on_disk:
            messages.append(
                f"{self.n_bytes_on_disk / 1e9:,.1f} GB of the volumes do not fit into memory and are read from "
                f"temporary files in {self._folder} as they are needed, which takes longer."
            )
        return " ".join(messages) or None

    def close(self) -> None:
        """Close files and delete the temporary ones; arrays on disk must not be used afterwards."""
        self.files.close()
        if "cache" in self.__dict__:
            self.cache.clear()
        if self._empty is not None:
            self._empty()

    def _on_disk(self, array: NDArray[Any]) -> NDArray[Any]:
        with explain_os_errors(self._folder, "write volumes that do not fit into memory to"):
            path = self._open_files() / f"{self.n_bytes_on_disk}.npy"
            np.save(path, array, allow_pickle=False)
            mapped: NDArray[Any] = np.load(path, mmap_mode="r").view(np.ndarray)
        # Where a file in use can be unlinked, not even a killed process leaves it behind.
        with suppress(OSError):
            path.unlink()
        return mapped

    def _open_files(self) -> Path:
        if self._files is None:
            is_new = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._folder)
            files = self._folder / temporary_name("volumes")
            files.mkdir(mode=0o700)
            self._files = files
            self._empty = weakref.finalize(self, _remove, self._files, self._folder if is_new else None)
        return self._files


def _remove(files: Path, folder: Path | None) -> None:
    shutil.rmtree(files, ignore_errors=True)
    if folder is not None:
        with suppress(OSError):  # it contains other files by now
            folder.rmdir()
