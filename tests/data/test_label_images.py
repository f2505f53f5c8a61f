"""Labels that are called an image are told from intensities and probabilities by a few windows."""

from __future__ import annotations

from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_unet3d.data.label_images import looks_like_labels

SHAPE = (12, 60, 70)


def smooth(sigma: float = 3.0) -> np.ndarray:
    """Blurred noise from 0 to 1, as a smooth image without noise."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random(SHAPE), sigma)
    return (noise - noise.min()) / np.ptp(noise)


def touching_cells(n_cells: int = 60) -> np.ndarray:
    """Cells without background between them, numbered at random."""
    rng = np.random.default_rng(1)
    seeds = np.zeros(SHAPE, np.int32)
    seeds[tuple(rng.integers(0, np.array(SHAPE)[:, None], (3, n_cells)))] = rng.permutation(n_cells) + 1
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return seeds[tuple(nearest)]


BLOBS = smooth() > 0.6
OBJECTS = ndimage.label(BLOBS)[0]
LABELS = {
    "bool": BLOBS,
    "mask": BLOBS.astype(np.uint8),
    "mask of ImageJ": BLOBS.astype(np.uint8) * 255,
    "float mask": BLOBS.astype(np.float32),
    "objects": OBJECTS.astype(np.uint16),
    "objects as float": OBJECTS.astype(np.float64),
    "touching cells": touching_cells(),
    "touching cells from 1000 on": touching_cells() + 1000,
    "classes one inside the other": BLOBS.astype(int) + (smooth() > 0.4) + (smooth() > 0.75),
    "ignore label -1": np.where(smooth() < 0.3, -1, BLOBS),
    "ignore label 255": np.where(smooth() < 0.3, 255, BLOBS).astype(np.uint8),
}
INTENSITIES = {
    "noise": np.random.default_rng(2).integers(0, 256, SHAPE).astype(np.uint8),
    "noise of few values": np.random.default_rng(2).integers(0, 4, SHAPE).astype(np.uint8),
    "single photons": np.random.default_rng(3).poisson(0.1, SHAPE).astype(np.uint8),
    "float whole numbers": np.random.default_rng(2).integers(0, 4096, SHAPE).astype(np.float32),
    "smooth": (smooth() * 255).astype(np.uint8),
    "smooth of few values": (smooth() * 20).astype(np.uint8),
    "saturated": np.clip(smooth() * 900 - 200, 0, 255).astype(np.uint8),
    "on black": (BLOBS * smooth() * 255).astype(np.uint8),
    "in steps of 16": (smooth() * 16).astype(np.uint16) * 16,
    "probability": smooth(),
    "sure probability": ndimage.gaussian_filter(BLOBS.astype(np.float32), 0.5),
    "signed": np.random.default_rng(2).normal(0, 100, SHAPE).round().astype(np.int16),
    "all 0": np.zeros(SHAPE, np.uint8),
    "all 1": np.ones(SHAPE, np.uint8),
    "not a number": np.where(BLOBS, np.nan, 0),
    "complex": BLOBS.astype(np.complex64),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_recognised(name: str) -> None:
    assert looks_like_labels(LABELS[name])


@pytest.mark.parametrize("name", INTENSITIES)
def test_images_and_probabilities_are_not_taken_for_labels(name: str) -> None:
    assert not looks_like_labels(INTENSITIES[name])


def test_a_time_series_and_a_slice_are_recognised() -> None:
    assert looks_like_labels(np.stack([OBJECTS, OBJECTS]))
    assert looks_like_labels(OBJECTS[6])
    assert not looks_like_labels(np.zeros((0, 5, 5), np.uint8))


def test_objects_far_from_the_middle_of_large_planes_are_found() -> None:
    large = np.zeros((30, 700, 900), np.uint16)
    large[:, 620:660, 40:80] = 3
    large[:, 620:660, 80:110] = 9
    assert looks_like_labels(large)


class Counting:
    """An array that is read from files, which counts what is read of it."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...]) -> None:
        self._array, self.chunks, self.n_read = array, chunks, 0
        self.dtype, self.shape, self.ndim = array.dtype, array.shape, array.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        self.n_read += (part := self._array[index]).size
        return part


def test_of_an_array_on_disk_a_few_windows_are_read() -> None:
    cells = np.kron(np.arange(1, 151).reshape(1, 10, 15), np.ones((50, 40, 40), np.int32))
    on_disk = Counting(cells, (1, 100, 100))
    assert looks_like_labels(on_disk)
    assert 0 < on_disk.n_read <= 3 * 128 * 128, "of 12 million voxels"


def test_a_single_large_chunk_is_not_read() -> None:
    on_disk = Counting(np.broadcast_to(np.kron(OBJECTS[6], np.ones((20, 20), int)), (50, 1200, 1400)), (50, 1200, 1400))
    assert not looks_like_labels(on_disk)
    assert on_disk.n_read == 0


@pytest.mark.parametrize("kind", ["dask", "zarr", "hdf5", "memmap"])
def test_arrays_of_files_are_recognised(kind: str, tmp_path: Any) -> None:
    def stored(array: np.ndarray, name: str) -> Any:
        if kind == "dask":
            return da.from_array(array, chunks=(4, 30, 30))
        if kind == "zarr":
            made = zarr.create_array(tmp_path / name, shape=array.shape, dtype=array.dtype, chunks=(4, 30, 30))
            made[:] = array
            return made
        if kind == "hdf5":
            return h5py.File(tmp_path / name, "w").create_dataset("a", data=array)
        np.save(tmp_path / f"{name}.npy", array)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    assert looks_like_labels(stored(OBJECTS, "labels"))
    assert not looks_like_labels(stored(INTENSITIES["smooth"], "image"))
