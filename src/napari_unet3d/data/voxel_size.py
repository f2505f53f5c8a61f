"""A voxel size that the user gives for files that do not have one."""

from __future__ import annotations

from dataclasses import replace

from napari_unet3d.data.dataset_voxel_size import VOXEL_SIZE_FILE
from napari_unet3d.data.geometry import Geometry, VoxelSize, describe_voxel_size, similar_voxel_sizes
from napari_unet3d.data.sample import Sample


def with_voxel_size(sample: Sample, voxel_size_um: VoxelSize | None) -> Sample:
    """Return a volume with a given voxel size where its file has none; what the file says is kept.

    Parameters
    ----------
    sample : Sample
        The volume.
    voxel_size_um : tuple of float, or None
        Size of a voxel along z, y, x in µm; None leaves the volume as it is.

    Returns
    -------
    Sample
        With a notice of what was used: the given size along axes whose size is unknown, along all axes if the file
        has numbers without a unit, and along none if it has a voxel size.

    Examples
    --------
    >>> import numpy as np
    >>> partly = Sample("brain", np.zeros((4, 5, 6)), voxel_size_um=(None, 0.5, 0.5))
    >>> with_voxel_size(partly, (2.0, 0.4, 0.4)).voxel_size_um
    (2.0, 0.5, 0.5)
    """
    own = sample.geometry
    if voxel_size_um is None or (own.is_calibrated and similar_voxel_sizes(own, Geometry(voxel_size_um))):
        return sample
    given = describe_voxel_size(Geometry(voxel_size_um))
    if not own.is_calibrated:
        return _completed(sample, voxel_size_um, f"the given one, {given}")
    was_done = f"; with the given one, {given}, {_taken_as(own)}"  # it was completed before
    if any(each.endswith(was_done) for each in sample.notices):
        return sample
    notice = (
        f"The voxel size of '{sample.name}' is {describe_voxel_size(own)}, as it is stored with it; {given} is used "
        "for volumes without a voxel size only."
    )
    return replace(sample, notices=tuple(dict.fromkeys((*sample.notices, notice))))


def with_dataset_voxel_size(sample: Sample, voxel_size_um: VoxelSize | None) -> Sample:
    """Return a volume of a dataset with the voxel size that its folder gives for files without one, with a notice.

    Parameters
    ----------
    sample : Sample
        The volume.
    voxel_size_um : tuple of float, or None
        What `dataset_voxel_size.read_given_voxel_size` returns.
    """
    if voxel_size_um is None or sample.geometry.is_calibrated:
        return sample
    given = describe_voxel_size(Geometry(voxel_size_um))
    return _completed(sample, voxel_size_um, f"that of {VOXEL_SIZE_FILE} of the dataset, {given}")


def complete_voxel_size(geometry: Geometry, voxel_size_um: VoxelSize | None) -> Geometry:
    """Return a geometry with the given sizes along axes whose size in µm is unknown.

    >>> complete_voxel_size(Geometry((None, 0.5, 0.5)), (2.0, 0.4, 0.4)).sizes
    (2.0, 0.5, 0.5)
    """
    if voxel_size_um is None or geometry.is_calibrated:
        return geometry
    known = geometry.sizes if geometry.is_um else (None, None, None)
    return geometry.with_sizes_um([new if old is None else old for old, new in zip(known, voxel_size_um, strict=True)])


def _completed(sample: Sample, voxel_size_um: VoxelSize, source: str) -> Sample:
    geometry, before = complete_voxel_size(sample.geometry, voxel_size_um), describe_voxel_size(sample.geometry)
    notice = f"The voxel size of '{sample.name}' is {before}; with {source}, {_taken_as(geometry)}"
    return replace(sample, voxel_size_um=None, geometry=geometry, notices=(*sample.notices, notice))


def _taken_as(geometry: Geometry) -> str:
    return f"it is taken as {describe_voxel_size(geometry)}."
