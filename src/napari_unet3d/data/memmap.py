"""Arrays that do not fit into memory are memory-mapped from temporary files."""

from __future__ import annotations

import shutil
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.leftovers import remove_leftovers, temporary_name
from napari_unet3d.memory import available_memory

_FRACTION_OF_MEMORY = 0.4  # the rest is for the network, augmented copies and the viewer


class MemmapStore:
    """Keeps arrays in memory as long as they fit, and the others in memory-mapped temporary files.

    The files are deleted when the store is closed or garbage-collected and when the process ends, even if it is killed.
    Files of the user are copied rather than mapped: if another program truncated a mapped file, this process would
    crash.

    Parameters
    ----------
    folder : Path
        Folder for the temporary files, such as the run folder, since the temporary folder of the system is often in
        memory. It is created when it is needed.
    budget_bytes : int, optional
        Maximum size of the arrays in memory; without it, a fraction of the memory that is available now.

    Examples
    --------
    >>> with MemmapStore(Path("run")) as store:
    ...     store.store(np.zeros((2, 3, 4))).shape, store.n_bytes_on_disk
    ((2, 3, 4), 0)
    """

    def __init__(self, folder: Path, budget_bytes: int | None = None) -> None:
        available = int(_FRACTION_OF_MEMORY * available_memory())
        self._left = available if budget_bytes is None else budget_bytes
        self._folder = folder
        self._files: Path | None = None
        self._empty: weakref.finalize[..., MemmapStore] | None = None
        self.n_bytes_on_disk = 0

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
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            return array
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
        if not self.n_bytes_on_disk:
            return None
        return (
            f"{self.n_bytes_on_disk / 1e9:,.1f} GB of the volumes do not fit into memory and are read from temporary "
            f"files in {self._folder} as they are needed, which takes longer."
        )

    def close(self) -> None:
        """Delete the temporary files; arrays on disk must not be used afterwards."""
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
