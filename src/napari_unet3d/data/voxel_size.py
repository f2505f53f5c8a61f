"""A voxel size that the user gives for files that do not have one."""

from __future__ import annotations

from dataclasses import replace

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
    given, before = (describe_voxel_size(each) for each in (Geometry(voxel_size_um), own))
    if own.is_calibrated:
        notice = (
            f"The voxel size of '{sample.name}' is {before}, as it is stored with it; {given} is used for volumes "
            "without a voxel size only."
        )
        is_done = any(each.endswith(_taken_as(own)) for each in sample.notices)  # it was completed before
        return sample if is_done else replace(sample, notices=tuple(dict.fromkeys((*sample.notices, notice))))
    known = own.sizes if own.is_um else (None, None, None)
    z, y, x = (new if old is None else old for old, new in zip(known, voxel_size_um, strict=True))
    geometry = own.with_sizes_um((z, y, x))
    notice = f"The voxel size of '{sample.name}' is {before}; with the given one, {given}, {_taken_as(geometry)}"
    return replace(sample, voxel_size_um=None, geometry=geometry, notices=(*sample.notices, notice))


def _taken_as(geometry: Geometry) -> str:
    return f"it is taken as {describe_voxel_size(geometry)}."
