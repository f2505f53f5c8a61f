"""What a model was trained and validated on, as hashes that go with the model, and whether a volume is among it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveInt

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.box_hashes import BOX_SIDE, LEAST_VALUES, box_hashes, found_hashes, smallest_shape, tiles_of
from napari_unet3d.data.boxes import bounding_box, expand_to, whole_box
from napari_unet3d.data.lazy_array import is_lazy
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.data.split import Role, Split
from napari_unet3d.data.statistics import fingerprint

_MOST_HASHES, _FEWEST_HASHES = 512, 32  # of boxes, and of slices, of a volume
_HASHES_OF_ALL = 2**16  # about as many of all volumes together, so that the header of a model stays small
_HASH_BYTES = 8
_MOST_SIDES = 64  # shapes of boxes that are searched for; each takes a pass over the image
_MOST_TRIED = 16  # times as many boxes, to find some with enough different intensities


class SeenIn(ChoiceEnum):
    """What a model has seen a volume in before it was scored on it."""

    TRAINING = "training"
    VALIDATION = "validation"
    NEVER = "never"
    UNKNOWN = "unknown"
    MIXED = "mixed"

    @property
    def label(self) -> str:
        """What stands beside a score."""
        return _LABELS[self]

    @property
    def short_label(self) -> str:
        """What stands in a narrow table."""
        return _SHORT_LABELS[self]

    @property
    def explanation(self) -> str:
        """What that means for the score."""
        return _EXPLANATIONS[self]

    @classmethod
    def of_all(cls, each: Iterable[SeenIn]) -> SeenIn:
        """Return what holds for several volumes together: `MIXED` where they differ."""
        kinds = set(each)
        return kinds.pop() if len(kinds) == 1 else cls.MIXED if kinds else cls.UNKNOWN


_LABELS = {
    SeenIn.TRAINING: "seen in training",
    SeenIn.VALIDATION: "seen in validation",
    SeenIn.NEVER: "never seen",
    SeenIn.UNKNOWN: "not known",
    SeenIn.MIXED: "some were seen",
}
_SHORT_LABELS = {
    SeenIn.TRAINING: "train",
    SeenIn.VALIDATION: "val",
    SeenIn.NEVER: "never",
    SeenIn.UNKNOWN: "?",
    SeenIn.MIXED: "mixed",
}
_EXPLANATIONS = {
    SeenIn.TRAINING: "The model was trained on this volume, or on a part of it: its score says little about new "
    "volumes.",
    SeenIn.VALIDATION: "The best epoch was chosen on this volume, or on a part of it: its score is slightly too good.",
    SeenIn.NEVER: "Nothing of this volume was found in what the model was trained or validated on. Intensities are "
    "compared, not names; rotated, resampled or rescaled copies are not recognised.",
    SeenIn.UNKNOWN: "It is not known whether the model has seen this volume, since it is not recorded what the model "
    "was trained on, or the image is not chosen.",
    SeenIn.MIXED: "Not the same for all volumes; see their rows.",
}


def _check_hashes(text: str) -> str:
    if len(base64.b64decode(text, validate=True)) % _HASH_BYTES:
        raise ValueError("hashes are cut short")
    return text


_Hashes = Annotated[str, AfterValidator(_check_hashes)]


class VolumeContent(BaseModel):
    """Hashes of a volume that a model was trained or validated on.

    Attributes
    ----------
    name : str
        Name of the volume.
    role : Role
        Training or validation.
    side_zyx : tuple of int
        Shape of the boxes.
    boxes : str
        Hashes of some boxes, in base64: of all those with enough different intensities, the smallest.
    slices : str
        Hashes of whole channels and z-slices, in base64; empty for a volume of which only a part is annotated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Role
    side_zyx: tuple[PositiveInt, PositiveInt, PositiveInt]
    boxes: _Hashes
    slices: _Hashes = ""


class SeenContent(BaseModel):
    """What a model was trained and validated on.

    Attributes
    ----------
    volumes : tuple of VolumeContent
        The volumes, also those of the model that it started from.
    is_complete : bool
        Whether these are all; false after a start from a model of which this is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    volumes: tuple[VolumeContent, ...] = ()
    is_complete: bool = True


def record_content(split: Split, before: SeenContent | None = None) -> SeenContent:
    """Compute what a model sees that is trained on a split.

    Parameters
    ----------
    split : Split
        The volumes.
    before : SeenContent, optional
        What the model has seen that it starts from.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 255, (16, 16, 16))
    >>> seen = record_content(Split((Sample("a", image),), ()))
    >>> str(seen_in(seen, image[:12, :12, :12])), str(seen_in(seen, image[:, ::-1]))
    ('training', 'never')
    """
    samples = [(Role.TRAINING, sample) for sample in split.train] + [(Role.VALIDATION, sample) for sample in split.val]
    most = min(_MOST_HASHES, max(_FEWEST_HASHES, _HASHES_OF_ALL // max(1, len(samples))))
    own = tuple(_content_of(sample, role, most) for role, sample in samples)
    if before is None:
        return SeenContent(volumes=own)
    earlier = tuple(volume for volume in before.volumes if volume not in own)
    return SeenContent(volumes=own + earlier, is_complete=before.is_complete)


def seen_in(seen: SeenContent | None, image: NDArray[Any]) -> SeenIn:
    """Return whether a model has seen an image, or a part of it, in training or in validation.

    Volumes are compared by intensities: whole channels and z-slices, and boxes of 8 × 8 × 8 voxels at every position
    of the image. A small part of a large training volume may be missed, a corrected part of the image is found.

    Parameters
    ----------
    seen : SeenContent or None
        What the model has seen; None if it is not known.
    image : ndarray of real numbers, shape (z, y, x) or (channel, z, y, x)
        Intensities; one channel in common is enough.
    """
    if seen is None:
        return SeenIn.UNKNOWN
    channels = image if image.ndim == 4 else image[None]
    slices = np.unique(np.concatenate([_hashes_of_slices(channel) for channel in channels]))
    for role in Role:  # training comes first
        volumes = [volume for volume in seen.volumes if volume.role is role]
        if any(np.isin(_unpack(each.slices), slices).any() for each in volumes) or _has_box(volumes, channels):
            return SeenIn(role.value)
    is_searched = len({volume.side_zyx for volume in seen.volumes}) <= _MOST_SIDES
    return SeenIn.NEVER if seen.is_complete and is_searched else SeenIn.UNKNOWN


def _has_box(volumes: Sequence[VolumeContent], channels: NDArray[Any]) -> bool:
    """Return whether a box of a volume is in one of the channels."""
    by_side: dict[Shape3D, list[NDArray[np.uint64]]] = {}
    for volume in volumes:
        by_side.setdefault(volume.side_zyx, []).append(_unpack(volume.boxes))
    for side, hashes in islice(by_side.items(), _MOST_SIDES):
        sought = np.concatenate(hashes)
        if sought.size and smallest_shape(side, channels.shape[1:]) == side:
            for channel in channels:
                if any(found.size for found in found_hashes(channel, side, sought)):
                    return True
    return False


def _content_of(sample: Sample, role: Role, most: int) -> VolumeContent:
    box = whole_box(sample.shape) if sample.label_mask is None else bounding_box(sample.label_mask)
    side = smallest_shape(sample.shape, (BOX_SIDE,) * 3)
    if box is None:  # nothing is annotated
        return VolumeContent(name=sample.name, role=role, side_zyx=side, boxes="")
    box = expand_to(box, (BOX_SIDE,) * 3, sample.shape)
    annotated = None if sample.label_mask is None else sample.label_mask[box]
    parts = sample.channels[(slice(None), *box)]
    boxes = np.concatenate([_smallest_hashes(part, annotated, side, most) for part in parts])
    # With too few intensities, only the whole part is evidence; what is not in memory is known by its slices.
    if not boxes.size and not is_lazy(sample.image):
        whole = smallest_shape(parts.shape[1:])
        boxes = np.concatenate([_whole_hash(part, whole) for part in parts])
        side = whole if boxes.size else side
    slices = np.empty(0, np.uint64)
    if sample.provenance is None:
        slices = np.unique(np.concatenate([_hashes_of_slices(channel) for channel in sample.channels]))[:most]
    return VolumeContent(
        name=sample.name, role=role, side_zyx=side, boxes=_pack(np.unique(boxes)[:most]), slices=_pack(slices)
    )


def _whole_hash(part: NDArray[Any], side: Shape3D) -> NDArray[np.uint64]:
    if part.min() == part.max():
        return np.empty(0, np.uint64)
    return np.concatenate([hashes.ravel() for _, hashes in box_hashes(part, side)])


def _smallest_hashes(
    image: NDArray[Any], annotated: NDArray[np.bool_] | None, side: Shape3D, most: int
) -> NDArray[np.uint64]:
    """Return the smallest hashes of boxes with enough different intensities: the same ones wherever a part lies."""
    kept = np.empty(0, np.uint64)
    if is_lazy(image):
        for tile in tiles_of(image.shape, side):
            known = None if annotated is None else np.asarray(annotated[tile])
            found_here = _smallest_hashes(np.asarray(image[tile]), known, side, most)
            kept = np.unique(np.concatenate([kept, found_here]))[:most]
        return kept
    every = tuple(slice(None, None, max(1, n // 2)) for n in side)
    for z, hashes in box_hashes(image, side):
        rows = slice(z, z + len(hashes) + side[0] - 1)
        found = hashes[every]
        positions = np.arange(found.size)
        if annotated is not None:
            has_labels = sliding_window_view(np.asarray(annotated[rows]), side)[every].any(axis=(3, 4, 5))
            positions = np.flatnonzero(has_labels)
        values, first = np.unique(found.ravel()[positions], return_index=True)
        boxes = sliding_window_view(np.asarray(image[rows]), side)[every]
        rich = _rich(values, (boxes[np.unravel_index(positions[at], found.shape)] for at in first), most)
        kept = np.unique(np.concatenate([kept, rich]))[:most]
    return kept


def _rich(values: NDArray[np.uint64], boxes: Iterator[NDArray[Any]], most: int) -> NDArray[np.uint64]:
    """Return the first hashes whose boxes have enough different intensities."""
    chosen: list[np.uint64] = []
    for value, box in zip(values[: most * _MOST_TRIED], boxes, strict=False):
        if np.unique(box).size >= LEAST_VALUES:
            chosen.append(value)
            if len(chosen) == most:
                break
    return np.array(chosen, np.uint64)


def _hashes_of_slices(channel: NDArray[Any]) -> NDArray[np.uint64]:
    """Return hashes of a channel and of its slices, but of none that is constant."""
    hashes = fingerprint(channel)
    digests = [*hashes.slices, hashes.volume] if hashes.slices else []
    return np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)


def _pack(hashes: NDArray[np.uint64]) -> str:
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode("ascii")


def _unpack(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64)
