"""Volumes that lie in memory, written so that another process reads the very same ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_unet3d.data.dataset import Part, create_dataset, file_name
from napari_unet3d.data.free_names import free_name
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError


def write_exactly(folder: Path, samples: Sequence[Sample]) -> None:
    """Write volumes as the training part of a dataset, with their very values, number types and voxel sizes.

    Parameters
    ----------
    folder : Path
        A new folder.
    samples : sequence of Sample
        With labels.

    Raises
    ------
    UserError
        If a volume has no labels, or the disk is full.
    """
    part = create_dataset(folder) / Part.TRAIN.value
    taken: list[str] = []
    for sample in samples:
        if sample.labels is None:
            raise UserError(f"The volume '{sample.name}' has no labels; label it, or leave it out of training.")
        name = free_name(file_name(sample.name), taken)
        taken.append(name)
        arrays = {"images": sample.image, "labels": sample.labels, "annotated": sample.annotated}
        for kind, array in arrays.items():
            if array is not None:
                write_volume(part / kind / f"{name}.npy", array, sample.voxel_size_um)
