"""Time points of a series: what they are called, which volumes are of one series, and how many there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_unet3d.errors import UserError

if TYPE_CHECKING:
    from napari_unet3d.data.opening import OpenVolume

_NAME = re.compile(r"(?P<series>.+) t=(?P<time>\d+)")


def time_point_name(series: str, time: int) -> str:
    """Return the name of a time point of a series.

    >>> time_point_name("cells", 3)
    'cells t=3'
    """
    return f"{series} t={time}"


def split_name(name: str) -> tuple[str, int | None]:
    """Return the series and the time point that the name of a volume stands for; its name and None if it is of none.

    >>> split_name("cells t=3"), split_name("cells")
    (('cells', 3), ('cells', None))
    """
    found = _NAME.fullmatch(name)
    return (found["series"], int(found["time"])) if found else (name, None)


def series_of(name: str) -> str:
    """Return the name of the series that a volume is a time point of, or its own."""
    return split_name(name)[0]


def group_series(names: Sequence[str]) -> list[list[int]]:
    """Return the indices of volumes, those of one series together, in the order of the first of each.

    >>> group_series(["a t=0", "b", "a t=1"])
    [[0, 2], [1]]
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        series, time = split_name(name)
        groups.setdefault(name if time is None else f"{series} t=", []).append(index)
    return list(groups.values())


def check_same_times(image: OpenVolume, labels: OpenVolume) -> None:
    """Raise a `UserError` if labels do not have as many time points as their image.

    Parameters
    ----------
    image, labels : OpenVolume
        The image, which is a series, and its labels.
    """
    n_image, n_labels = image.n_times or 1, labels.n_times or 1
    if n_image == n_labels:
        return
    have = f"{n_labels} time points" if n_labels > 1 else "no axis of time"
    remedy = (
        f"Save labels for each time point, as an array of {n_image} volumes; those of a single one can be saved as a "
        f"file that is named after image and time point, such as 'NAME t=3', and voxels that are not annotated can "
        "have the ignore label."
    )
    channels = " If they are channels of one volume, set fourth axis to channels." if n_labels == 1 else ""
    raise UserError(
        f"{image.path} has {n_image} time points, but its labels {labels.path} have {have}. {remedy}{channels}"
    )


def several_time_points(volume: OpenVolume) -> UserError:
    """Return the error for a series where a single volume is needed."""
    return UserError(
        f"{volume.path} has {volume.n_times} time points (shape {volume.stored.shape}, axes {volume.roles.axes}), "
        "where a single volume is needed. Save one time point as a separate file."
    )
