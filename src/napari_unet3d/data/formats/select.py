"""From the volumes stored in a file to the one that is used: the choice of volume, channel and time point."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.data.formats.base import StoredVolume, VolumeData
from napari_unet3d.data.formats.colours import COLOURS, without_colour
from napari_unet3d.data.formats.header_checks import check_type_and_memory, too_few_axes, too_many_axes
from napari_unet3d.errors import UserError

_N_LISTED = 12
_MOST_CHANNELS = 16  # an axis without a name that is longer is not taken as channels
_ROLES = {
    "images": re.compile(r"(^|[/_. -])(raw|images?|img|intensity|exported_data|volumes?/raw)$", re.IGNORECASE),
    "labels": re.compile(
        r"(^|[/_. -])(labels?|masks?|seg|segmentation|gt|ground_?truth|annotations?|neuron_ids)$", re.IGNORECASE
    ),
}


@dataclass(frozen=True, slots=True)
class AxisRoles:
    """Which axes of an array are time, channels and z, y, x; all others have length 1.

    Attributes
    ----------
    zyx : tuple of int
        Indices of z, y and x.
    c, t : int or None
        Indices of channels and time; None if there is only one.
    is_colour : bool
        Whether the channels are the samples of a colour image.
    is_guessed : bool
        Whether the file does not name the axis of the channels.
    notices : tuple of str
        What was assumed.
    """

    zyx: tuple[int, int, int]
    c: int | None = None
    t: int | None = None
    is_colour: bool = False
    is_guessed: bool = False
    notices: tuple[str, ...] = ()

    @property
    def axes(self) -> str:
        """The axes in the order in which they are returned, such as ``"czyx"``."""
        return ("" if self.t is None else "t") + ("" if self.c is None else "c") + "zyx"


def find_axes(path: Path, shape: Sequence[int], axes: str = "") -> AxisRoles:
    """Return the roles of the axes of an array.

    Parameters
    ----------
    path : Path
        The file, for messages.
    shape : sequence of int
        Shape in the file; axes of length 1 have no role.
    axes : str
        As of `StoredVolume`.

    Raises
    ------
    UserError
        If the array is not 3D apart from channels and time points.

    Examples
    --------
    >>> find_axes(Path("a.tif"), (1, 20, 2, 30, 40), "tzcyx")
    AxisRoles(zyx=(1, 3, 4), c=2, t=None, is_colour=False, is_guessed=False, notices=())
    >>> find_axes(Path("a.npy"), (20, 30, 40)).axes
    'zyx'
    """
    if 0 in shape:
        raise UserError(f"{path} is empty: its shape is {tuple(shape)}. Export the volume again.")
    letters = axes.lower() if len(axes) == len(shape) else "?" * len(shape)
    long = [axis for axis, length in enumerate(shape) if length != 1]
    c, t, samples = (next((axis for axis in long if letters[axis] == letter), None) for letter in "cts")
    if c is not None and samples is not None:
        raise UserError(f"{path} is a colour image with channels of shape {tuple(shape)}; convert it to greyscale.")
    channels = samples if c is None else c
    space = [axis for axis in long if axis not in (channels, t)]
    notices: tuple[str, ...] = ()
    if len(space) == 2 and t is not None:
        space, t = sorted([*space, t]), None
        notices = (f"{path} has no z axis; its {shape[space[0]]} time points are taken as slices.",)
    if len(space) == 2 and channels is not None:
        raise UserError(
            f"{path} has {shape[channels]} channels and no z axis (shape {tuple(shape)}); a 3D volume (z, y, x) is "
            "needed. Save the slices as a stack; if the channels are slices, save them along z."
        )
    is_guessed = len(space) == 4 and channels is None
    if is_guessed and (channels := _channels_by_size(shape, space)) is not None:
        space.remove(channels)
        order = "c, z, y, x" if channels < space[0] else "z, y, x, c"
        notices = (f"{path} does not name its axes; its shape {tuple(shape)} is taken as ({order}).",)
    if len(space) != 3:
        raise (too_few_axes if len(space) < 3 else too_many_axes)(path, shape)
    named = {letters[axis]: axis for axis in space}
    z, y, x = (named[letter] for letter in "zyx") if {*named} == {*"zyx"} else space
    return AxisRoles((z, y, x), channels, t, c is None and samples is not None, is_guessed, notices)


def _channels_by_size(shape: Sequence[int], space: Sequence[int]) -> int | None:
    lengths = [shape[axis] for axis in space]
    if lengths[0] <= _MOST_CHANNELS and lengths[0] < min(lengths[1:]):
        return space[0]
    return space[-1] if lengths[-1] <= max(COLOURS) and lengths[-1] < min(lengths[:-1]) else None


def select(
    path: Path, stored: StoredVolume, *, whole: bool, channel: int | str | None = None, time: int | None = None
) -> VolumeData:
    """Read a stored volume, or one channel and time point of it.

    Parameters
    ----------
    path : Path
        The file, for messages.
    stored : StoredVolume
        The volume.
    whole : bool
        Whether all channels and time points are returned that are not chosen; otherwise there must be only one.
    channel : int or str, optional
        Number of a channel, from 0, or its name.
    time : int, optional
        Number of a time point, from 0.

    Raises
    ------
    UserError
        If the volume is not 3D, has no such channel or time point, or several and none is chosen.
    """
    roles = find_axes(path, stored.shape, stored.axes)
    names = channel_names_of(stored, roles)
    if not whole:
        _check_single(path, stored, roles, channel, time)
    index: list[int | slice] = [slice(None) if axis in roles.zyx else 0 for axis in range(len(stored.shape))]
    for axis, number in ((roles.c, _channel_number(path, names, channel)), (roles.t, _time_number(path, stored, time))):
        if axis is not None:
            index[axis] = slice(None) if number is None else number
    kept = [axis for axis, part in enumerate(index) if isinstance(part, slice)]
    check_type_and_memory(path, [stored.shape[axis] for axis in kept], stored.dtype)
    order = {letter: axis for letter, axis in zip("tczyx", (roles.t, roles.c, *roles.zyx), strict=True) if axis in kept}
    array = stored.load(tuple(index)).transpose([kept.index(axis) for axis in order.values()])
    notices = (*stored.notices, *roles.notices)
    geometry = stored.geometry_of(roles.zyx)
    channel_names = names if "c" in order else ()
    volume = VolumeData(array, geometry, notices, "".join(order), channel_names, is_lossy=stored.is_lossy)
    if not (roles.is_colour and "c" in order):
        return volume
    volume = without_colour(path, volume)
    if not whole and "c" in volume.axes:
        raise UserError(
            f"{path} is a colour image of shape {stored.shape}; convert it to greyscale first, or labels in colours to "
            "numbers: 0 for background, and 1, 2, … for classes or objects."
        )
    return volume


def channel_names_of(stored: StoredVolume, roles: AxisRoles) -> tuple[str, ...]:
    """Return a different name for each channel: those of the file, or ``"channel 1"`` and so on."""
    n_channels = 1 if roles.c is None else stored.shape[roles.c]
    names = stored.channel_names
    if roles.is_colour and n_channels in COLOURS:
        names = COLOURS[n_channels]
    if len(names) != n_channels:
        names = ("",) * n_channels
    names = tuple(name.strip() or f"channel {number}" for number, name in enumerate(names, start=1))
    is_unique = len({*names}) == n_channels
    return names if is_unique else tuple(f"{name} {number}" for number, name in enumerate(names, start=1))


def _channel_number(path: Path, names: Sequence[str], channel: int | str | None) -> int | None:
    if channel is None:
        return None
    if channel in names:
        return names.index(str(channel))
    if isinstance(channel, int) and 0 <= channel < len(names):
        return channel
    listed = ", ".join(f"{number} ({name})" for number, name in enumerate(names))
    raise UserError(f"{path} has no channel {channel!r}. Choose one of {listed}.")


def _time_number(path: Path, stored: StoredVolume, time: int | None) -> int | None:
    roles = find_axes(path, stored.shape, stored.axes)
    n_times = 1 if roles.t is None else stored.shape[roles.t]
    if time is not None and not 0 <= time < n_times:
        raise UserError(f"{path} has no time point {time}. Choose one from 0 to {n_times - 1}.")
    return time


def _check_single(
    path: Path, stored: StoredVolume, roles: AxisRoles, channel: int | str | None, time: int | None
) -> None:
    """Raise a `UserError` if there are several channels or time points, and none is chosen; colours may be grey."""
    if roles.c is not None and channel is None and not roles.is_colour:
        if roles.is_guessed:
            raise too_many_axes(path, stored.shape)
        names = channel_names_of(stored, roles)
        listed = f" ({', '.join(names)})" if stored.channel_names else ""
        raise UserError(
            f"{path} has {len(names)} channels{listed} of shape {stored.shape}; save one channel as a separate file."
        )
    if roles.t is not None and time is None:
        n_times = stored.shape[roles.t]
        raise UserError(f"{path} has {n_times} time points (shape {stored.shape}); save one as a separate file.")


def choose(path: Path, volumes: Sequence[StoredVolume], name: str = "", role: str = "") -> StoredVolume:
    """Return the volume with a name, or the only one of a file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    volumes : sequence of StoredVolume
        What it holds.
    name : str
        The path of a volume inside the file; empty if none is chosen.
    role : str
        ``"images"`` or ``"labels"``: where several volumes are stored, the only one whose name says so is taken.

    Raises
    ------
    UserError
        If there is no such volume, or several and none is chosen.
    """
    if not volumes:
        raise UserError(f"{path} holds no 3D volume. Export it again, or choose another file.")
    if name:
        return _named(path, volumes, name)
    if len(volumes) == 1 or not volumes[0].name:  # beside an image are only its labels
        return volumes[0]
    if (default := next((each for each in volumes if each.default_notice), None)) is not None:
        return replace(default, notices=(*default.notices, default.default_notice))
    fitting = [each for each in volumes if role and _ROLES[role].search(each.name)]
    if len(fitting) == 1:
        others = ", ".join(each.name for each in volumes if each is not fitting[0])
        notice = f"{path} holds several volumes; {fitting[0].name} is used as {role}, and {others} is not."
        return replace(fitting[0], notices=(*fitting[0].notices, notice))
    raise UserError(
        f"{path} holds {len(volumes)} volumes: {_describe(volumes)}. Choose one by its path, such as "
        f"{path}/{volumes[0].name}."
    )


def _named(path: Path, volumes: Sequence[StoredVolume], name: str) -> StoredVolume:
    wanted = _plain(name)
    found = [each for each in volumes if _plain(each.name) == wanted]
    inside = [each for each in volumes if _plain(each.name).startswith(wanted + "/")]
    if len(found) == 1 or len(inside) == 1:
        return (found or inside)[0]
    if len(inside) > 1:
        raise UserError(
            f"{path}/{name} holds {len(inside)} volumes: {_describe(inside)}. Choose one by its path, such as "
            f"{path}/{inside[0].name}."
        )
    only = f"; it is the volume {path}" if not volumes[0].name else f"; it holds {_describe(volumes)}"
    raise UserError(f"{path} has no volume '{name}'{only}. Check the path.")


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip("/").casefold()


def _describe(volumes: Sequence[StoredVolume]) -> str:
    shown = [f"{each.name} ({_describe_shape(each)}, {each.dtype})" for each in volumes[:_N_LISTED]]
    return ", ".join(shown) + (f" and {len(volumes) - _N_LISTED} more" if len(volumes) > _N_LISTED else "")


def _describe_shape(volume: StoredVolume) -> str:
    return " × ".join(str(length) for length in volume.shape if length != 1)
