"""What the user says about the axes of a volume where its file does not, or is wrong about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.formats.base import StoredVolume

_N_SPACE = 3
_UNNAMED = "?"


def with_fourth_axis(path: Path, stored: StoredVolume, chosen: FourthAxis) -> StoredVolume:
    """Return a stored volume whose axes are called what a user says.

    Parameters
    ----------
    path : Path
        The file, for the notice.
    stored : StoredVolume
        The volume.
    chosen : FourthAxis
        What the axis beside z, y and x is. Of five axes without names, the first is time and the second are channels.

    Returns
    -------
    StoredVolume
        The same one if the file says so itself; with a notice if it says something else.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.zeros((3, 4, 5, 6), np.uint8)
    >>> stored = StoredVolume(shape=array.shape, dtype=array.dtype, load=lambda index: array[index])
    >>> with_fourth_axis(Path("a.npy"), stored, FourthAxis.TIME_POINTS).axes
    't???'
    """
    if chosen is FourthAxis.AUTO:
        return stored
    letters = list(stored.axes.lower() if len(stored.axes) == len(stored.shape) else _UNNAMED * len(stored.shape))
    long = [axis for axis, length in enumerate(stored.shape) if length > 1]
    wanted, other = ("t", "c") if chosen is FourthAxis.TIME_POINTS else ("c", "t")
    named = {letters[axis] for axis in long}
    if wanted in named or len(long) <= _N_SPACE or "s" in named:
        return stored
    unnamed = [axis for axis in long if letters[axis] not in "zyxtc"]
    if len(long) - len(named & {"t", "c"}) == _N_SPACE:  # the only other axis has the other name
        renamed = next(axis for axis in long if letters[axis] == other)
        letters[renamed] = wanted
        what = "time points" if wanted == "t" else "channels"
        named_as = "channels" if wanted == "t" else "time points"
        notice = (
            f"{path} calls its {stored.shape[renamed]} {what} {named_as}; they are used as {what}, as the setting "
            "fourth axis says."
        )
        return replace(stored, axes="".join(letters), notices=(*stored.notices, notice))
    if not unnamed:
        return stored
    letters[unnamed[0]] = wanted
    if len(long) == _N_SPACE + 2 and not named & {"t", "c"}:
        letters[unnamed[0]], letters[unnamed[1]] = "t", "c"
    return replace(stored, axes="".join(letters))
