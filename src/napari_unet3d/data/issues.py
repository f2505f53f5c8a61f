"""What checks find: issues, how serious they are, and the settings that solve them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from napari_unet3d.configs.base import ChoiceEnum


class Severity(ChoiceEnum):
    """Whether an issue prevents training or makes it wrong, should be looked at, or is only for information."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


RemedyValue: TypeAlias = bool | int | float | str | tuple[int | float | str, ...] | None


@dataclass(frozen=True, slots=True)
class Remedy:
    """Settings that solve an issue, which the dock Train can apply.

    Attributes
    ----------
    values : tuple of (str, value)
        Names of settings of `TrainingConfig` and the values they should have, as they are in ``config.json``.
    """

    values: tuple[tuple[str, RemedyValue], ...]

    @classmethod
    def of(cls, **values: RemedyValue) -> Remedy:
        """Return a remedy of some settings.

        >>> Remedy.of(task="instance").values
        (('task', 'instance'),)
        """
        return cls(tuple((name, str(value) if isinstance(value, str) else value) for name, value in values.items()))


@dataclass(frozen=True, slots=True)
class Issue:
    """A result of a check: what is wrong, with which file, and what to do.

    Attributes
    ----------
    severity : Severity
        How serious it is.
    message : str
        One or two sentences for the user.
    remedies : tuple of Remedy
        Settings of which one solves it, where settings do.
    """

    severity: Severity
    message: str
    remedies: tuple[Remedy, ...] = ()

    @classmethod
    def error(cls, message: str, *remedies: Remedy) -> Issue:
        """Return an issue that prevents training or makes it wrong."""
        return cls(Severity.ERROR, message, remedies)

    @classmethod
    def warning(cls, message: str, *remedies: Remedy) -> Issue:
        """Return an issue that should be looked at."""
        return cls(Severity.WARNING, message, remedies)

    @classmethod
    def info(cls, message: str, *remedies: Remedy) -> Issue:
        """Return an issue that is only for information."""
        return cls(Severity.INFO, message, remedies)
