"""The voxel sizes of many volumes, from the headers of their files: which are known, which differ, which are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_unet3d.data.formats.registry import split_path
from napari_unet3d.data.geometry import Geometry, VoxelSize, describe_voxel_size, similar_voxel_sizes, turn_onto
from napari_unet3d.data.layout import Subset
from napari_unet3d.data.pairs import list_pairs
from napari_unet3d.data.reading import VolumeHeader, read_header
from napari_unet3d.data.voxel_size import complete_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count

_N_NAMED = 3


@dataclass(frozen=True, slots=True)
class VolumeVoxelSize:
    """The geometry of one volume; None, with the reason, if its file cannot be read."""

    name: str
    geometry: Geometry | None
    problem: str = ""


def survey_files(paths: Iterable[Path]) -> Iterator[VolumeVoxelSize]:
    """Yield the voxel size of each file from its header.

    Parameters
    ----------
    paths : iterable of Path
        Files, or volumes inside files.
    """
    for path in paths:
        file, inner = split_path(path)
        yield _read(f"{file.name}/{inner}" if inner else file.name, path, None)


def survey_dataset(folder: Path, subset: Subset | None = None) -> Iterator[VolumeVoxelSize]:
    """Yield the voxel size of each volume of a dataset from the headers of its files.

    Parameters
    ----------
    folder : Path
        The dataset.
    subset : Subset, optional
        Only this subset; without it, both.

    Raises
    ------
    UserError
        If the folder is not a dataset.
    """
    for pair in list_pairs(folder, subset):
        if (image := pair.image or pair.labels) is not None:
            yield _read(pair.name if subset else f"{pair.subset.value}/{pair.name}", image, pair.labels)


def _read(name: str, image: Path, labels: Path | None, role: str = "") -> VolumeVoxelSize:
    try:
        geometry = read_header(image, role=role).geometry
        if geometry.voxel_size_um is None and labels is not None:  # as `volumes.read_sample` does
            of_labels = _turned(read_header(labels, role="labels"), geometry)
            geometry = geometry if of_labels.voxel_size_um is None else geometry.with_sizes_um(of_labels.sizes)
    except UserError as error:
        return VolumeVoxelSize(name, None, str(error))
    return VolumeVoxelSize(name, geometry)


def _turned(labels: VolumeHeader, image: Geometry) -> Geometry:
    try:
        return turn_onto(np.broadcast_to(np.uint8(0), labels.shape), labels.geometry, image)[1]
    except ValueError:  # which is explained when the volume is read
        return labels.geometry


class VoxelSizes:
    """What is known of the voxel sizes of volumes, with the one that is given for those without.

    Parameters
    ----------
    volumes : sequence of VolumeVoxelSize
        The volumes.
    given : tuple of float, optional
        The voxel size in µm along z, y, x of files that have none.

    Attributes
    ----------
    n_volumes : int
        The number of volumes whose header could be read.
    unknown, completed, unreadable : list of str
        The names of the volumes whose voxel size stays unknown, takes the given one along some axis, and cannot be
        read.

    Examples
    --------
    >>> volumes = [VolumeVoxelSize("a", Geometry((2.0, 0.5, 0.5))), VolumeVoxelSize("b", Geometry())]
    >>> VoxelSizes(volumes).describe()
    'Voxel size unknown for 1 of 2 volumes (b): distances and volumes are in voxels. The other has 2 × 0.5 × 0.5 µm'
    >>> VoxelSizes(volumes, (2.0, 0.5, 0.5)).describe()
    'Voxel size 2 × 0.5 × 0.5 µm, 2 volumes; given by you for 1 of them (b)'
    """

    def __init__(self, volumes: Sequence[VolumeVoxelSize], given: VoxelSize | None = None) -> None:
        self.given = given
        self._own = {each.name: each.geometry for each in volumes if each.geometry is not None}
        self._problems = {each.name: each.problem for each in volumes if each.geometry is None}
        self._final = {name: complete_voxel_size(own, given) for name, own in self._own.items()}
        self.n_volumes, self.unreadable = len(self._own), list(self._problems)
        self.unknown = [name for name, each in self._final.items() if not each.is_calibrated]
        self.completed = [name for name, own in self._own.items() if self._final[name] is not own]

    def describe(self) -> str:
        """Return the voxel sizes as one or two sentences."""
        parts = [self._sizes()] if self.n_volumes else []
        if self._problems:
            parts.append(f"{format_count(len(self._problems), 'file')} cannot be read ({_names(self.unreadable)})")
        return ". ".join(parts)

    def _sizes(self) -> str:
        known = [each for each in self._final.values() if each.is_calibrated]
        count = f", {self.n_volumes} volumes" if self.n_volumes > 1 else ""
        if self.unknown:
            others = f". The other{'s have' if len(known) > 1 else ' has'} {describe_range(known)}" if known else ""
            partly = describe_range([self._final[name] for name in self.unknown])
            which = (
                f" {partly}{count}" if not known else f" unknown for {len(self.unknown)} of {self.n_volumes} volumes"
            )
            names = f" ({_names(self.unknown)})" if known else ""
            return f"Voxel size{which}{names}: distances and volumes are in voxels{others}"
        text = f"Voxel size {describe_range(known)}"
        if self.given is None:
            return text + count
        given = describe_voxel_size(Geometry(self.given))
        if not self.completed:
            return f"{text}{count}, from the files; the given {given} is not used"
        if len(self.completed) == self.n_volumes:
            return f"{text}{count}; given by you, since the files have none"
        return f"{text}{count}; given by you for {len(self.completed)} of them ({_names(self.completed)})"

    def details(self) -> list[str]:
        """Return a line for each volume: its voxel size, where it is from, or why it cannot be read."""
        lines = []
        for name, final in self._final.items():
            source = " (given by you)" if name in self.completed else ""
            lines.append(f"{name}: {describe_voxel_size(final)}{source}")
        return lines + [f"{name}: {problem}" for name, problem in self._problems.items()]

    def to_offer(self) -> VoxelSize:
        """Return the voxel size to begin with when somebody sets one: the given one, else what is known, else 1."""
        if self.given is not None:
            return self.given
        unknown = [self._own[name] for name in self.unknown]
        known = [each.sizes for each in (*unknown, *self._own.values()) if each.is_um]
        z, y, x = (next((sizes[axis] for sizes in known if sizes[axis] is not None), None) or 1.0 for axis in range(3))
        return z, y, x


def describe_range(geometries: Sequence[Geometry]) -> str:
    """Return one voxel size for all, or the smallest and largest along each axis.

    >>> describe_range([Geometry((2.0, 0.3, 0.3)), Geometry((2.0, 0.5, 0.5))])
    '2 × 0.3–0.5 × 0.3–0.5 µm'
    >>> describe_range([Geometry(), Geometry((2.0, 0.3, None))])
    'unknown or partly unknown'
    """
    first = geometries[0]
    texts = {describe_voxel_size(each) for each in geometries}
    if len(texts) == 1:
        return describe_voxel_size(first)
    if not all(each.is_calibrated for each in geometries):
        return "unknown or partly unknown"
    if all(similar_voxel_sizes(first, each) for each in geometries):
        return describe_voxel_size(first)
    ranges = []
    for axis in range(3):
        lowest, highest = (f"{ends(each.spacing[axis] for each in geometries):.4g}" for ends in (min, max))
        ranges.append(lowest if lowest == highest else f"{lowest}–{highest}")
    return " × ".join(ranges) + " µm"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _N_NAMED
    return ", ".join(names[:_N_NAMED]) + (f" and {more} more" if more > 0 else "")
