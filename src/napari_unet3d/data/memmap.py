"""Volumes that do not fit into memory together: what is too much lies in temporary files until it is needed."""

from __future__ import annotations

import shutil
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import explain_os_errors

# The rest is for the network, for copies that are varied, and for the viewer.
_SHARE_OF_MEMORY = 0.4


class MemmapStore:
    """Keeps arrays in memory as long as they fit, and the others in temporary files.

    The files go when the shelf is closed, when nobody holds it any more, and when the process ends, however it does.
    Files of the user are copied and not mapped themselves: a program that shortens a mapped file would end this
    process, viewer and all.

    Parameters
    ----------
    folder : Path
        Where the temporary files lie while the shelf is open, such as the run folder: the system's own folder for
        them is often a part of memory. It is made when it is needed.
    budget_bytes : int, optional
        How much may be kept in memory; without it a share of what is available now.
    """

    def __init__(self, folder: Path, budget_bytes: int | None = None) -> None:
        available = int(_SHARE_OF_MEMORY * psutil.virtual_memory().available)
        self._left = available if budget_bytes is None else budget_bytes
        self._folder = folder
        self._files: Path | None = None
        self._empty: weakref.finalize[..., MemmapStore] | None = None
        self.n_bytes_on_disk = 0

    def __enter__(self) -> Self:
        """Return the shelf, which is emptied at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Empty the shelf, whatever has happened."""
        self.close()

    def store(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array back as it is, or a read-only one of the same values that lies on disk.

        Parameters
        ----------
        array : ndarray, any shape and number type
            It counts towards the budget when it stays in memory.

        Raises
        ------
        UserError
            If it has no place on the disk either.
        """
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            return array
        self.n_bytes_on_disk += array.nbytes
        return self._on_disk(array)

    def store_sample(self, sample: Sample) -> Sample:
        """Keep image, labels and mask of a sample; see `keep`."""
        own = sample.labels, sample.label_mask, sample.image
        labels, annotated, image = (None if array is None else self.store(array) for array in own)
        if all(kept is array for kept, array in zip((labels, annotated, image), own, strict=True)):
            return sample
        assert image is not None  # every sample has one
        return replace(sample, image=image, labels=labels, label_mask=annotated)

    @property
    def notice(self) -> str | None:
        """A sentence when something lies on disk."""
        if not self.n_bytes_on_disk:
            return None
        return (
            f"{self.n_bytes_on_disk / 1e9:,.1f} GB of the volumes do not fit into memory and are read from temporary "
            f"files in {self._folder} as they are needed, which takes longer."
        )

    def close(self) -> None:
        """Remove the temporary files; arrays on disk are of no use from now on."""
        if self._empty is not None:
            self._empty()

    def _on_disk(self, array: NDArray[Any]) -> NDArray[Any]:
        with explain_os_errors(self._folder, "write volumes that do not fit into memory to"):
            path = self._open_files() / f"{self.n_bytes_on_disk}.npy"
            np.save(path, array, allow_pickle=False)
            mapped: NDArray[Any] = np.load(path, mmap_mode="r").view(np.ndarray)
        # Where a file in use can lose its name, nothing is left behind even by a process that is killed.
        with suppress(OSError):
            path.unlink()
        return mapped

    def _open_files(self) -> Path:
        if self._files is None:
            is_new = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files = Path(mkdtemp(prefix=".volumes-", dir=self._folder))
            self._empty = weakref.finalize(self, _remove, self._files, self._folder if is_new else None)
        return self._files


def _remove(files: Path, folder: Path | None) -> None:
    shutil.rmtree(files, ignore_errors=True)
    if folder is not None:
        with suppress(OSError):  # something else lies in it by now
            folder.rmdir()
