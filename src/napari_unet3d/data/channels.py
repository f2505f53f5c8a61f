"""The channels of an image: their names, and which of them are used, in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from napari_unet3d.errors import UserError

_DEFAULT_NAME = re.compile(r"channel \d+")


@dataclass(frozen=True, slots=True)
class ChosenChannels:
    """Which channels of an image are used.

    Attributes
    ----------
    indices : tuple of int
        The channels, counted from 0, in the order of their use.
    notice : str or None
        What was chosen or assumed, for the user.
    """

    indices: tuple[int, ...]
    notice: str | None = None


def name_channels(names: Sequence[str], n_channels: int) -> tuple[str, ...]:
    """Return a different name for each channel: the given ones, numbered where they repeat or are missing.

    >>> name_channels(["DAPI", "", "DAPI"], 3)
    ('DAPI', 'channel 2', 'DAPI 2')
    """
    named: list[str] = []
    for number in range(1, n_channels + 1):
        given = str(names[number - 1]).strip() if number <= len(names) else ""
        name, n_repeated = given or f"channel {number}", 1
        while name in named:
            n_repeated += 1
            name = f"{given or f'channel {number}'} {n_repeated}"
        named.append(name)
    return tuple(named)


def has_names(names: Sequence[str]) -> bool:
    """Return whether a source named its channels, rather than `name_channels`.

    >>> has_names(("DAPI", "channel 2")), has_names(("channel 1", "channel 2")), has_names(())
    (True, False, False)
    """
    return not all(_DEFAULT_NAME.fullmatch(name) for name in names)


def describe_channels(names: Sequence[str], n_channels: int | None = None) -> str:
    """Return the number of channels and their names, where the source named them.

    >>> describe_channels(("dapi", "membrane")), describe_channels(()), describe_channels((), 3)
    ('2 channels (dapi, membrane)', '1 channel', '3 channels')
    """
    number = max(1, len(names)) if n_channels is None else n_channels
    listed = f" ({', '.join(names)})" if has_names(names) else ""
    return f"{number} channel{'s' if number > 1 else ''}{listed}"


def find_channels(volume: str, names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """Return the channels that a user chose by names, or by numbers counted from 1.

    Parameters
    ----------
    volume : str
        Name of the volume, for the message.
    names : sequence of str
        Names of its channels; empty for a single one without a name.
    wanted : sequence of str
        Names or numbers; a name is preferred to a number, and the case of letters only counts where names differ by it.

    Raises
    ------
    UserError
        If there is no such channel, or one is chosen twice.

    Examples
    --------
    >>> find_channels("brain", ("DAPI", "membrane"), ("2", "dapi"))
    (1, 0)
    """
    found = tuple(_find_channel(volume, names, each.strip()) for each in wanted)
    if len(set(found)) < len(found):
        raise UserError(f"A channel of '{volume}' is chosen twice ({', '.join(wanted)}). Choose each of them once.")
    return found


def _find_channel(volume: str, names: Sequence[str], wanted: str) -> int:
    n_channels = max(1, len(names))
    if wanted in names:
        return tuple(names).index(wanted)
    alike = [index for index, name in enumerate(names) if name.casefold() == wanted.casefold()]
    if len(alike) == 1:
        return alike[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= n_channels:
        return int(wanted) - 1
    numbers = "1" if n_channels == 1 else f"a number from 1 to {n_channels}"
    raise UserError(
        f"The channel '{wanted}' is not in '{volume}', which has {describe_channels(names, n_channels)}. "
        f"Choose {numbers}{', or a name' if has_names(names) else ''}."
    )


def match_channels(
    volume: str, names: Sequence[str], expected: Sequence[str], other: str, *, by_name: bool = False
) -> ChosenChannels:
    """Find the channels of a volume that are those of another one, or of the volumes that a model was trained on.

    Parameters
    ----------
    volume : str
        Name of the volume, for messages.
    names : sequence of str
        Names of its channels; empty for a single one without a name.
    expected : sequence of str
        Names of the channels that are needed; empty for a single one without a name.
    other : str
        What has those channels, such as ``the training volumes``, for messages.
    by_name : bool
        Whether names given by `name_channels` count like those of a source: the channels were chosen by them.

    Returns
    -------
    ChosenChannels
        By name where both have names, else in their order if the numbers are equal.

    Raises
    ------
    UserError
        If a channel is missing, or the numbers of channels differ and names do not help.

    Examples
    --------
    >>> match_channels("brain", ("a", "b", "c"), ("c", "a"), "the training volumes").indices
    (2, 0)
    """
    n_own, n_expected = max(1, len(names)), max(1, len(expected))
    both_named = (by_name or has_names(expected)) and (by_name or has_names(names)) and bool(names and expected)
    if both_named and set(expected) <= set(names):
        indices = tuple(list(names).index(name) for name in expected)
        if indices == tuple(range(n_own)):
            return ChosenChannels(indices)
        return ChosenChannels(
            indices,
            f"Of the channels {', '.join(names)} of '{volume}', those of {other} are used by name: "
            f"{', '.join(expected)}.",
        )
    is_moved = both_named and any(
        name in expected and list(expected).index(name) != position for position, name in enumerate(names)
    )
    if n_own != n_expected or is_moved:
        have = "has" if other.startswith("'") else "have"
        raise UserError(
            f"'{volume}' has {describe_channels(names, n_own)}, but {other} {have} "
            f"{describe_channels(expected, n_expected)}. Choose the ones to use with the setting channels, in the "
            "order in which the model needs them, or use a volume with these channels."
        )
    return ChosenChannels(tuple(range(n_own)), _notice_of_order(volume, names, expected, other))


def _notice_of_order(volume: str, names: Sequence[str], expected: Sequence[str], other: str) -> str | None:
    if tuple(names) == tuple(expected) or not (has_names(names) or has_names(expected)):
        return None
    own, needed = (", ".join(each) if has_names(each) else "without names" for each in (names, expected))
    number = "channel" if max(1, len(names)) == 1 else "channels"
    verb = "is" if number == "channel" else "are"
    how = "" if number == "channel" else ", in this order"
    return (
        f"The {number} of '{volume}' ({own}) {verb} used as the {number} of {other} ({needed}){how}; check that they "
        "show the same."
    )
