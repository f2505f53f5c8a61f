"""Which image and which labels belong together, by their names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.time_points import split_name

# Words that distinguish images from labels; they are ignored when names are compared.
_ROLES = (
    "images?|imgs?|im|raw|scans?|vol|volumes?|intensity|labels?|lab|lbl|masks?|annotated|annotations?|seg|segs|"
    "segmentations?|gt|ground_?truth"
)
# What Cellpose and ilastik append to the names of their results.
_RESULTS = r"cp_masks?|simple[ _]segmentation|object[ _](predictions|identities)|finalprediction|predictions?"
_AT_END = re.compile(rf"[_\-. ]({_ROLES}|{_RESULTS})$", re.IGNORECASE)
_WORD = re.compile(rf"({_ROLES})", re.IGNORECASE)
_NNUNET_CHANNEL = re.compile(r"_(\d{4})$")

Key = Callable[[Path], str | tuple[str | int, ...]]


def plain_name(path: Path) -> str:
    """Return the name of a volume in one normal form of Unicode, without regard to case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", volume_name(path)).casefold())


def bare_name(path: Path) -> str:
    """Return the name without a suffix such as ``_image``, ``_label``, ``_mask`` or ``_seg``."""
    return _AT_END.sub("", plain_name(path))


def _words(path: Path) -> tuple[str | int, ...]:
    """Return the words and numbers of a name, without those that say image or labels: ``img-007`` as ``(7,)``."""
    parts = re.findall(r"\d+|[^\W\d_]+", plain_name(path))
    return tuple(int(part) if part.isdecimal() else part for part in parts if not _WORD.fullmatch(part))


def _case(path: Path) -> str:
    """Return the name of a case of nnU-Net, whose images end in the number of the channel."""
    return _NNUNET_CHANNEL.sub("", plain_name(path))


def match(images: Sequence[Path], labels: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return the pairs of images and labels with the same name.

    Names are the same if they differ in case, in the normal form of Unicode, in words such as ``image`` and ``mask``,
    in leading zeros, or in the number of a channel that nnU-Net appends. Names that become the same by this on one side
    are not matched so.

    Parameters
    ----------
    images, labels : sequence of Path
        The files, in natural order.

    Examples
    --------
    >>> files = [Path("image_1.tif"), Path("image_2.tif")], [Path("label_01.tif"), Path("label_9.tif")]
    >>> [(image.name, partner.name) for image, partner in match(*files)]
    [('image_1.tif', 'label_01.tif')]
    """
    pairs: list[tuple[Path, Path]] = []
    keys: list[tuple[Key, Key]] = [(volume_name, volume_name), (plain_name, plain_name), (bare_name, bare_name)]
    keys += [(_case, plain_name), (_words, _words)]
    left, waiting = list(images), list(labels)
    for of_image, of_labels in keys:
        counts, label_counts = Counter(map(of_image, left)), Counter(map(of_labels, waiting))
        by_key = {of_labels(path): path for path in reversed(waiting)}  # of two with the same name, the first
        is_exact = of_image in (volume_name, plain_name, bare_name)
        for image in left:
            key = of_image(image)
            is_clear = is_exact or (counts[key] == 1 and label_counts[key] == 1)
            # Of the channels of nnU-Net, the first is the image; a notice names the others.
            is_clear = is_clear or (of_image is _case and plain_name(image).endswith("_0000"))
            if key and is_clear and (partner := by_key.pop(key, None)) is not None:
                pairs.append((image, partner))
        matched = {path for pair in pairs for path in pair}
        left, waiting = ([path for path in side if path not in matched] for side in (left, waiting))
    return pairs


def match_by_number(images: Sequence[Path], labels: Sequence[Path]) -> list[tuple[Path, Path]] | None:
    """Return the pairs of files whose names have the same numbers; None if names have no numbers that tell them apart.

    Numbers that are the same in all names of a side are ignored.

    >>> files = [Path("fish_1.tif"), Path("bird_2.tif")], [Path("b 2.tif"), Path("a 3.tif")]
    >>> [(image.name, partner.name) for image, partner in match_by_number(*files)]
    [('bird_2.tif', 'b 2.tif')]
    """
    of_images, of_labels = _numbers(images), _numbers(labels)
    if of_images is None or of_labels is None:
        return None
    if len({len(numbers) for numbers in (*of_images, *of_labels)}) > 1:
        return None
    by_numbers = dict(zip(of_labels, labels, strict=True))
    found = [(image, by_numbers.get(numbers)) for image, numbers in zip(images, of_images, strict=True)]
    return [(image, partner) for image, partner in found if partner is not None]


def match_time_points(images: Sequence[Path], labels: Sequence[Path]) -> list[tuple[Path, Path, int]]:
    """Return the images and labels where these are named after an image and one of its time points.

    >>> files = [Path("cells.tif")], [Path("cells_labels t=3.tif"), Path("b.tif")]
    >>> [(image.name, partner.name, time) for image, partner, time in match_time_points(*files)]
    [('cells.tif', 'cells_labels t=3.tif', 3)]
    """
    of_images = {bare_name(path): path for path in reversed(images)}
    found = []
    for path in labels:
        series, time = split_name(plain_name(path))
        if time is not None and (image := of_images.get(_AT_END.sub("", series))) is not None:
            found.append((image, path, time))
    return found


def _numbers(files: Sequence[Path]) -> list[tuple[int, ...]] | None:
    """Return the numbers in names that differ from name to name; None unless they tell all names apart."""
    found = [tuple(map(int, re.findall(r"\d+", plain_name(path)))) for path in files]
    if len({len(numbers) for numbers in found}) == 1 and len(found) > 1:
        varying = [place for place in range(len(found[0])) if len({numbers[place] for numbers in found}) > 1]
        found = [tuple(numbers[place] for place in varying) for numbers in found]
    is_clear = all(found) and len({*found}) == len(found)
    return found if is_clear else None


def other_channels(images: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return for each first channel of a case of nnU-Net the files of its other channels."""
    found: dict[Path, list[Path]] = {}
    firsts = {_case(path): path for path in images if plain_name(path).endswith("_0000")}
    for path in images:
        first = firsts.get(_case(path))
        if first is not None and path is not first and _NNUNET_CHANNEL.search(plain_name(path)):
            found.setdefault(first, []).append(path)
    return found
