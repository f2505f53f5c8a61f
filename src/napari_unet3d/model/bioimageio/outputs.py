"""What the output of a model means, by its description alone; what is assumed is said, and nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError, shorten
from napari_unet3d.model.bioimageio.description import Description
from napari_unet3d.model.bioimageio.processing import Binarize, EnsureDtype, Sigmoid, Softmax

_BACKGROUND = re.compile(r"(back[ _-]?ground|bg)", re.IGNORECASE)
_FOREGROUND = re.compile(r"(fore[ _-]?ground|fg|mask)([ _-]?(probability|prob|map))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OutputMeaning:
    """What is made of the output channels.

    Attributes
    ----------
    task : Task
        Binary, or semantic for classes that exclude each other.
    channels : tuple of int
        The output channels that are used; of classes, background is the first.
    class_names : tuple of str
        Names of the classes without background.
    notices : tuple of str
        What is assumed or left out.
    """

    task: Task
    channels: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def meaning_of(description: Description, where: str) -> OutputMeaning:
    """Return what is made of the output channels.

    Parameters
    ----------
    description : Description
        What the package says.
    where : str
        The package, for messages.

    Raises
    ------
    UserError
        If the description does not say it.
    """
    names = description.output_names
    if description.out_channels == 1:
        return _foreground(description, 0, where)
    background = [number for number, name in enumerate(names) if _BACKGROUND.fullmatch(name.strip())]
    foreground = [number for number, name in enumerate(names) if _FOREGROUND.fullmatch(name.strip())]
    is_softmax = any(isinstance(step, Softmax) for step in description.postprocessing)
    if len(background) == 1:
        return _classes(names, background[0], [] if is_softmax else [_exclusive(where)])
    if len(foreground) == 1 and not is_softmax:
        return _foreground(description, foreground[0], where)
    if is_softmax and not names:
        assumed = (
            f"The description of {where} does not name the {description.out_channels} classes; the first one is taken "
            "as background."
        )
        numbered = ("background", *(f"class {number}" for number in range(1, description.out_channels)))
        return _classes(numbered, 0, [assumed])
    named = f"named {_listed(names)}" if names else "without names"
    raise UserError(
        f"The output of {where} has {description.out_channels} channels {named}, and the description does not say "
        "which is foreground or background. Unpack it and write channel_names into the output of its description "
        "(version 0.5): background and the classes, or foreground for the one to use."
    )


def _foreground(description: Description, number: int, where: str) -> OutputMeaning:
    names, notices = description.output_names, []
    if names and not _FOREGROUND.fullmatch(names[number].strip()):
        if _BACKGROUND.fullmatch(names[number].strip()):
            raise UserError(f"The only output of {where} is its background, of which no objects can be made.")
        notices.append(f"The output of {where} is '{shorten(names[number], 100)}', which is taken as foreground.")
    left_out = [name for other, name in enumerate(names) if other != number]
    if left_out:
        notices.append(
            f"Of the outputs of {where}, '{shorten(names[number], 100)}' is used, and {_listed(left_out)} is not: "
            "single objects are not separated."
        )
    low, high = description.output_range
    steps = [step for step in description.postprocessing if not isinstance(step, EnsureDtype)]
    is_probability = bool(steps) and isinstance(steps[-1], Sigmoid | Softmax | Binarize)
    if not is_probability and (low, high) not in ((0, 1), (0.0, 1.0)):
        notices.append(
            f"The description of {where} does not say that its output is from 0 to 1; it is taken as the probability "
            "of foreground as long as it is."
        )
    return OutputMeaning(Task.BINARY, (number,), notices=tuple(notices))


def _classes(names: Sequence[str], background: int, notices: Sequence[str]) -> OutputMeaning:
    others = [number for number in range(len(names)) if number != background]
    classes = tuple(shorten(names[number], 100) for number in others)
    return OutputMeaning(Task.SEMANTIC, (background, *others), classes, tuple(notices))


def _exclusive(where: str) -> str:
    return (
        f"The description of {where} does not say that its outputs exclude each other; each voxel gets the most likely "
        "one."
    )


def _listed(names: Sequence[str]) -> str:
    return shorten(", ".join(f"'{name}'" for name in names), 300)
