"""The cases of a dataset of nnU-Net: ``imagesTr/ID_0000``, one file for each channel, and ``labelsTr/ID``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.geometry import describe_voxel_size, grid_notices, similar_voxel_sizes
from napari_unet3d.data.label_reading import read_labels_like
from napari_unet3d.data.nnunet.description import DESCRIPTION_FILE, Description
from napari_unet3d.data.nnunet.spacing import read_spacing, with_spacing
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample, format_shape
from napari_unet3d.errors import UserError, explain_os_errors

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})", re.DOTALL)
_SPACED = (".tif", ".tiff")  # the formats with a file for the voxel size


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files of a case.

    Attributes
    ----------
    name : str
        What nnU-Net calls its identifier.
    channels : tuple of Path
        The images, one for each channel.
    labels : Path or None
        The labels; None if there are none.
    """

    name: str
    channels: tuple[Path, ...]
    labels: Path | None


def list_cases(dataset: Path, end: str, description: Description) -> list[CaseFiles]:
    """Return the cases of a subset in natural order of their names; none if it has no folder.

    Parameters
    ----------
    dataset : Path
        The dataset.
    end : str
        ``"Tr"`` or ``"Ts"``.
    description : Description
        Its description.

    Raises
    ------
    UserError
        If a case has other channels than the description says.
    """
    ending, images, labels = description.file_ending, dataset / f"images{end}", dataset / f"labels{end}"
    if not os.path.isdir(images):
        return []
    with explain_os_errors(images, "read"):
        files = [images / name for name in os.listdir(images) if name.endswith(ending) and not name.startswith(".")]
    cases: dict[str, dict[int, Path]] = {}
    for file in files:
        found = _CHANNEL.fullmatch(file.name.removesuffix(ending))
        if found is None:
            raise UserError(
                f"{file} has no number of a channel at the end of its name, as {file.name.removesuffix(ending)}_0000"
                f"{ending} has. Rename it, or remove it."
            )
        cases.setdefault(found["case"], {})[int(found["channel"])] = file
    wanted = range(len(description.channels))
    for name, channels in cases.items():
        if sorted(channels) != list(wanted):
            numbers = ", ".join(f"{number:04d}" for number in sorted(channels))
            raise UserError(
                f"The case '{name}' of {images} has the channels {numbers}, but {DESCRIPTION_FILE} names "
                f"{len(wanted)}, which every case must have. Add or remove files."
            )
    return [
        CaseFiles(name, tuple(cases[name][number] for number in wanted), file if os.path.exists(file) else None)
        for name in sorted(cases, key=natural_order)
        for file in [labels / f"{name}{ending}"]
    ]


def read_case(case: CaseFiles, description: Description, um: float | None = None) -> Sample:
    """Read the images of a case and, if there are any, its labels.

    Parameters
    ----------
    case : CaseFiles
        Its files.
    description : Description
        That of the dataset. Voxels with its ignore label become background that is not annotated.
    um : float, optional
        The unit of the voxel sizes beside TIFF files, in µm.

    Raises
    ------
    UserError
        If a file cannot be read, channels or labels do not have the same shape and voxel size, or labels have values
        that the description does not name.
    """
    volumes = [_read_channel(file, case.name, um) for file in case.channels]
    first = volumes[0]
    for file, volume in zip(case.channels[1:], volumes[1:], strict=True):
        _check_same_grid(case.channels[0], first, file, volume)
    notices = tuple(dict.fromkeys(notice for volume in volumes for notice in volume.notices))
    image = first.array if len(volumes) == 1 else np.stack([volume.array for volume in volumes])
    names = description.channels if len(volumes) > 1 else ()
    sample = Sample(case.name, image, geometry=first.geometry, channel_names=names, notices=notices)
    return sample if case.labels is None else _with_labels(sample, case.channels[0], case.labels, description)


def _read_channel(file: Path, case: str, um: float | None) -> VolumeData:
    volume = read_volume(file, role="images")
    if not file.name.lower().endswith(_SPACED):
        return volume
    geometry, notice = with_spacing(volume.geometry, read_spacing(file.parent, case), file.name, um)
    return replace(volume, geometry=geometry, notices=(*volume.notices, *[notice] * bool(notice)))


def _check_same_grid(first_file: Path, first: VolumeData, file: Path, volume: VolumeData) -> None:
    if volume.array.shape != first.array.shape:
        raise UserError(
            f"{first_file} has the shape {format_shape(first.array.shape)} and {file} "
            f"{format_shape(volume.array.shape)}; channels of one volume have one shape. Resample one to the other."
        )
    one, other = first.geometry, volume.geometry
    if one.unit != other.unit or not similar_voxel_sizes(one, other):
        raise UserError(
            f"{first_file} has voxels of {describe_voxel_size(one)} and {file} of {describe_voxel_size(other)}; "
            "channels of one volume have one voxel size. Correct the wrong one."
        )
    has_other_axes = one.directions is not None and other.directions is not None
    if (has_other_axes and not np.allclose(one.directions or 0, other.directions or 0, atol=0.02)) or grid_notices(
        str(first_file), one, str(file), other
    ):
        raise UserError(
            f"{first_file} and {file} lie in different places: their orientation or origin differs. Resample one to "
            "the other."
        )


def _with_labels(sample: Sample, image: Path, file: Path, description: Description) -> Sample:
    volume = read_labels_like(file, str(image), sample.geometry, shape=sample.shape)
    labels = volume.array
    known = set(description.labels.values())
    if wrong := sorted({int(value) for value in np.unique(labels)} - known):
        raise UserError(
            f"{file} has the label {wrong[0]}, which {DESCRIPTION_FILE} does not name; it names "
            f"{', '.join(f'{name}: {value}' for name, value in description.labels.items())}. Correct one of them."
        )
    notices = (*sample.notices, *volume.notices)
    if description.ignore_label is None:
        return replace(sample, labels=labels, notices=notices)
    mask = labels != description.ignore_label
    labels = np.where(mask, labels, 0).astype(labels.dtype)
    return replace(sample, labels=labels, label_mask=None if mask.all() else mask, notices=notices)
