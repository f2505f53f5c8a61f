"""What is wrong with a dataset, said before anyone trains on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.place import Place, check_same_directions, origin_notice
from napari_unet3d.data.formats.registry import is_volume, readable_suffixes
from napari_unet3d.data.pairs import (
    Pair,
    Subset,
    files_beside,
    list_pairs,
    missing_partner,
    pairing_notice,
    provenance_file,
)
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import (
    Sample,
    Shape3D,
    VoxelSize,
    check_labels,
    check_mask,
    format_um,
    read_mask,
    to_label_dtype,
)
from napari_unet3d.data.statistics import fingerprint
from napari_unet3d.data.volumes import read_labels, read_volume
from napari_unet3d.errors import UserError


class Severity(ChoiceEnum):
    """Whether a finding makes training impossible or wrong, deserves a look, or is only good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem or fact: what is wrong, with which file, and what to do."""

    severity: Severity
    message: str

    @classmethod
    def error(cls, message: str) -> Issue:
        """Make a finding that makes training impossible or wrong."""
        return cls(Severity.ERROR, message)

    @classmethod
    def warning(cls, message: str) -> Issue:
        """Make a finding that deserves a look."""
        return cls(Severity.WARNING, message)

    @classmethod
    def info(cls, message: str) -> Issue:
        """Make a finding that is good to know."""
        return cls(Severity.INFO, message)


@dataclass(frozen=True, slots=True)
class PairChecked:
    """One more pair has been read; its findings came before."""

    pair: Pair
    n_checked: int
    n_pairs: int


CheckEvent = Issue | PairChecked


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is remembered of a pair, so that only one volume is in memory at a time."""

    part: Subset
    name: str
    digest: bytes
    voxel_size_um: VoxelSize | None
    has_foreground: bool
    is_corrected: bool


def check_dataset(folder: Path | str) -> Iterator[Issue]:
    """Check a dataset and yield only its problems; see `check_events`."""
    for event in check_events(folder):
        if isinstance(event, Issue):
            yield event


def check_events(folder: Path | str) -> Iterator[CheckEvent]:
    """Check a dataset, reading one volume at a time.

    Parameters
    ----------
    folder : Path or str
        The dataset.

    Yields
    ------
    Finding or PairChecked
        Problems as they are found, and after each pair that it is done.

    Raises
    ------
    UserError
        If the folder is no dataset.
    """
    folder = Path(folder)
    pairs = list_pairs(folder)
    yield from _check_names(folder, pairs)
    facts: list[_Facts] = []
    for n_checked, pair in enumerate(pairs, start=1):
        findings, known = _check_pair(pair)
        yield from findings
        facts += known
        yield PairChecked(pair, n_checked, len(pairs))
    yield from _check_foreground(facts)
    yield from _check_copies(facts)
    yield from _check_voxel_sizes(facts)


def _check_names(folder: Path, pairs: Sequence[Pair]) -> Iterator[Issue]:
    for part, finding in ((Subset.TRAIN, Issue.error), (Subset.TEST, Issue.warning)):
        if not any(pair.subset is part for pair in pairs):
            yield finding(f"{part} holds no volumes; add images to {part}/images and their labels to {part}/labels.")
    notice = pairing_notice(folder)
    if notice:
        yield Issue.warning(notice)
    for part in Subset:
        for kind in ("images", "labels", "annotated"):
            yield from _check_ignored(folder / part / kind, f"{part}/{kind}")


def _check_ignored(folder: Path, words: str) -> Iterator[Issue]:
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    ours = {path.name for name in entries if is_volume(name) for path in files_beside(folder / name)}
    ignored = [name for name in entries if not (name.startswith(".") or is_volume(name) or name in ours)]
    if ignored:
        others = f" and {len(ignored) - 1} more are" if len(ignored) > 1 else " is"
        yield Issue.warning(
            f"{words}/{ignored[0]}{others} left out; the formats that can be read are {' '.join(readable_suffixes())}."
        )


def _check_pair(pair: Pair) -> tuple[list[Issue], list[_Facts]]:
    if pair.image is None or pair.labels is None:
        return [Issue.error(missing_partner(pair))], []
    image_words, label_words = f"{pair.subset}/images/{pair.image.name}", f"{pair.subset}/labels/{pair.labels.name}"
    try:
        image = read_volume(pair.image)
        sample = Sample(image_words, image.array)
        shape, digest = sample.shape, fingerprint(image.array).volume
        is_constant = image.array.min() == image.array.max()
        voxel_size, place = image.voxel_size_um, image.place
        del image, sample  # before the labels come into memory
        labels = read_volume(pair.labels)
        check_same_directions(image_words, place, label_words, labels.place)
        check_labels(label_words, to_label_dtype(label_words, labels.array), shape)
        mask, is_corrected = _read_mask(pair, shape, place)
    except UserError as error:
        return [Issue.error(str(error))], []
    findings = []
    if is_constant:
        findings.append(Issue.warning(f"{image_words} has one grey value everywhere; export it again."))
    known = labels.array if mask is None else labels.array[mask]
    if (lowest := int(known.min(initial=0))) < 0:
        findings.append(
            Issue.warning(
                f"{label_words} goes down to {lowest}; set the ignore label to {lowest} if it marks voxels that are not "
                "annotated, or number the labels from 0."
            )
        )
    has_foreground = bool((known > 0).any())
    if not has_foreground and not is_corrected:
        findings.append(Issue.warning(f"{label_words} has no foreground; label an object in it or remove the pair."))
    elif known.all() and not is_corrected:
        findings.append(
            Issue.warning(
                f"{label_words} has no background; 0 must stand for what is no object, "
                "unless the ignore label is 0 and 1 is background."
            )
        )
    findings += _check_same_grid(image_words, voxel_size, place, label_words, labels)
    voxel_size = voxel_size or labels.voxel_size_um
    return findings, [_Facts(pair.subset, image_words, digest, voxel_size, has_foreground, is_corrected)]


def _check_same_grid(
    image_words: str, voxel_size: VoxelSize | None, place: Place | None, label_words: str, labels: VolumeData
) -> Iterator[Issue]:
    if not voxel_size or not labels.voxel_size_um:
        return
    if not similar_voxel_sizes(voxel_size, labels.voxel_size_um):
        yield Issue.warning(
            f"{image_words} has voxels of {format_um(voxel_size)} and its labels of {format_um(labels.voxel_size_um)}; "
            "that of the image is used, so check that both are of the same volume."
        )
    notice = origin_notice(image_words, place, label_words, labels.place, voxel_size)
    if notice:
        yield Issue.warning(notice)


def _read_mask(pair: Pair, shape: Shape3D, place: Place | None) -> tuple[NDArray[np.bool_] | None, bool]:
    """Return the mask of a pair, if it has one, and whether the pair is a corrected volume."""
    if pair.label_mask is None:
        return None, False
    words = f"{pair.subset}/annotated/{pair.label_mask.name}"
    volume = read_labels(pair.label_mask)
    check_same_directions(f"{pair.subset}/images/{pair.name}", place, words, volume.place)
    mask = read_mask(words, volume.array)
    check_mask(words, mask, shape)
    return mask, read_provenance(provenance_file(pair.label_mask)) is not None


def _check_foreground(facts: Sequence[_Facts]) -> Iterator[Issue]:
    train = [fact for fact in facts if fact.part is Subset.TRAIN]
    if train and not any(fact.has_foreground for fact in train):
        yield Issue.error(
            f"None of the {len(train)} training volumes has foreground; label the objects before you train."
        )


def _check_copies(facts: Sequence[_Facts]) -> Iterator[Issue]:
    first: dict[bytes, _Facts] = {}
    for fact in facts:
        original = first.setdefault(fact.digest, fact)
        if fact.is_corrected and original.part is fact.part:
            continue  # it always trains, and what it corrects does not train twice
        if original.part is not fact.part:
            yield Issue.error(
                f"{original.name} and {fact.name} are the same volume, so the test would flatter the model; "
                "remove one of the two."
            )
        elif original is not fact:
            yield Issue.warning(
                f"{original.name} and {fact.name} are the same volume; remove one, or it may both train and validate."
            )


def _check_voxel_sizes(facts: Sequence[_Facts]) -> Iterator[Issue]:
    sized = [(fact.name, fact.voxel_size_um) for fact in facts if fact.voxel_size_um]
    unsized = [fact.name for fact in facts if not fact.voxel_size_um]
    if sized and unsized:
        yield Issue.warning(
            f"{unsized[0]} does not say its voxel size and {sized[0][0]} does ({len(unsized)} of {len(facts)} volumes "
            "do not); 1 µm is taken, so save it with its voxel size."
        )
    for name, voxel_size in sized[1:]:
        if not similar_voxel_sizes(voxel_size, sized[0][1]):
            yield Issue.warning(
                f"Voxel sizes are mixed: {sized[0][0]} has {format_um(sized[0][1])} and {name} has "
                f"{format_um(voxel_size)}; train with the voxel size set to median, or the network sees objects of "
                "different sizes."
            )
            return


def similar_voxel_sizes(a: VoxelSize, b: VoxelSize) -> bool:
    """Return whether two voxel sizes are the same but for the rounding of formats."""
    return bool(np.allclose(a, b, rtol=1e-3, atol=0))
