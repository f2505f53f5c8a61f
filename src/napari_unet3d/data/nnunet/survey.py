"""What the volumes of a dataset have in common: classes, channels, voxel sizes; checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_unet3d.configs import Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import describe_voxel_size
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.nnunet.classes import MAX_CLASSES
from napari_unet3d.data.nnunet.events import VolumeDone
from napari_unet3d.data.nnunet.volumes import Case, read_cases
from napari_unet3d.data.pairs import Pair, Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError

_NORMALISED_BY_NAME = ("ct", "nonorm", "zscore", "rescale_to_0_1", "rgb_to_0_1")


@dataclass
class Survey:
    """What is collected volume by volume.

    Parameters
    ----------
    ignore_label : int or None
        The label value of voxels that are not annotated.

    Attributes
    ----------
    values : set of int
        The label values of foreground.
    has_ignored : bool
        Whether there are voxels that are not annotated.
    channel_names : tuple of str
        Of all volumes.
    has_place : bool
        Whether a volume has an orientation or origin, which TIFF cannot hold.
    corrected : list of Sample
        The corrected training volumes.
    """

    ignore_label: int | None
    values: set[int] = field(default_factory=set)
    has_ignored: bool = False
    channel_names: tuple[str, ...] = ()
    has_place: bool = False
    corrected: list[Sample] = field(default_factory=list)
    _first: Sample | None = None

    def add(self, case: Case) -> None:
        """Collect what a volume has.

        Raises
        ------
        UserError
            If nnU-Net could not use it together with the others.
        """
        sample = case.sample
        self._check_voxel_size(sample)
        self.channel_names = sample.channel_names or ("image",)
        self.has_place |= sample.geometry.directions is not None or sample.geometry.origin is not None
        if case.subset is Subset.TRAIN and sample.provenance is not None:
            self.corrected.append(sample)
        if sample.labels is not None:
            truth = decode(sample, Task.SEMANTIC, self.ignore_label)
            self.values |= {int(value) for value in np.unique(truth.labels)} - {0}
            self.has_ignored |= truth.label_mask is not None and not truth.label_mask.all()
        if len(self.values) > MAX_CLASSES:
            self.values = set(sorted(self.values)[: MAX_CLASSES + 1])  # enough to know that they are no classes

    def _check_voxel_size(self, sample: Sample) -> None:
        sizes, first = sample.geometry.sizes, self._first
        if None in sizes and any(sizes):
            raise UserError(
                f"The voxel size of '{sample.name}' is {describe_voxel_size(sample.geometry)}, and nnU-Net needs all "
                "three sides or none. Set the voxel size of the dataset in the dock Dataset, or in voxel_size.json."
            )
        if first is None:
            self._first = first = sample
        if _kind_of_size(sample) != _kind_of_size(first):
            raise UserError(
                f"The voxel size of '{first.name}' is {describe_voxel_size(first.geometry)} and that of "
                f"'{sample.name}' {describe_voxel_size(sample.geometry)}; nnU-Net would take both as lengths of one "
                "unit. Set the voxel size of the dataset in the dock Dataset, or in voxel_size.json."
            )

    def notices(self) -> Iterator[Notice]:
        """Yield what nnU-Net takes otherwise than this package does.

        Raises
        ------
        UserError
            If a volume has a place that no format of nnU-Net holds without a voxel size.
        """
        assert self._first is not None, "there is a training volume"
        if self.has_place and not self._first.geometry.is_calibrated:
            raise UserError(
                f"The voxel size of '{self._first.name}' is {describe_voxel_size(self._first.geometry)}, without which "
                "origin and orientation cannot be written. Set the voxel size of the dataset in the dock Dataset or in "
                "voxel_size.json."
            )
        if None in self._first.geometry.sizes:
            yield Notice("The voxel size is unknown: nnU-Net takes voxels as cubes of side 1, and warns of it.")
        for name in self.channel_names:
            if name.casefold() in _NORMALISED_BY_NAME:
                yield Notice(f"nnU-Net normalises the channel '{name}' in a way of its own, because of this name.")
        if self.corrected:
            yield Notice(
                f"{len(self.corrected)} corrected parts are cases of their own, and nnU-Net may validate on them."
            )


def decode(sample: Sample, task: Task, ignore_label: int | None) -> GroundTruth:
    """Return what the labels of a volume mean."""
    return decode_labels(np.asarray(sample.labels), task, ignore_label, sample.label_mask, name=sample.name)


def _kind_of_size(sample: Sample) -> tuple[bool, bool]:
    known = None not in sample.geometry.sizes
    return known, known and sample.geometry.is_um


def survey(pairs: Sequence[Pair], ignore_label: int | None) -> Iterator[VolumeDone | Notice | Survey]:
    """Read all volumes once and collect what they have in common; the last event is the `Survey`.

    Raises
    ------
    UserError
        If a file cannot be read, or nnU-Net cannot use the volumes together.
    """
    found = Survey(ignore_label)
    for case in read_cases(pairs):
        found.add(case)
        for message in case.sample.notices:
            yield Notice(message)
        if case.name != case.sample.name:
            yield Notice(f"'{case.sample.name}' is the case '{case.name}' in nnU-Net.")
        yield VolumeDone("checked", case.n_read, len(pairs))
    yield from found.notices()
    yield found
