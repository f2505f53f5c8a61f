"""Settings that solve an issue of a check: applied to a configuration, undone, and in words."""

from __future__ import annotations

from typing import Any

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.issues import Remedy


def apply_remedy(config: TrainingConfig, remedy: Remedy) -> TrainingConfig:
    """Return settings with those of a remedy.

    Raises
    ------
    UserError
        When they contradict other settings.

    Examples
    --------
    >>> apply_remedy(TrainingConfig(epochs=7), Remedy.of(val_fraction=0.5)).val_fraction
    0.5
    """
    return TrainingConfig(**{**config.model_dump(exclude_unset=True), **dict(remedy.values)})


def is_applied(config: TrainingConfig, remedy: Remedy) -> bool:
    """Return whether settings are those of a remedy already."""
    wanted = TrainingConfig(**dict(remedy.values))
    return all(getattr(config, name) == getattr(wanted, name) for name, _ in remedy.values)


def undo_of(config: TrainingConfig, remedy: Remedy) -> Remedy:
    """Return the remedy that sets what another one changes back to the values of `config`."""
    values = config.model_dump(mode="json")
    back = ((name, values[name]) for name, _ in remedy.values)
    return Remedy(tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in back))


def describe_remedy(remedy: Remedy) -> str:
    """Return what a remedy sets, as labels and values of the form.

    >>> describe_remedy(Remedy.of(task="instance")), describe_remedy(Remedy.of(patch="auto", batch_size=0))
    ('task: Single objects', 'patch: Auto, batch size: auto')
    """
    config = TrainingConfig(**dict(remedy.values))
    parts = ((name, getattr(config, name)) for name, _ in remedy.values)
    return ", ".join(f"{TrainingConfig.label_of(name)}: {_words(name, value)}" for name, value in parts)


def value_words(remedy: Remedy) -> str:
    """Return the values alone, to tell the remedies of one issue apart.

    >>> value_words(Remedy.of(normalisation="z-score")), value_words(Remedy.of(patch=(16, 32, 32)))
    ('Z score', '16 × 32 × 32')
    """
    config = TrainingConfig(**dict(remedy.values))
    return ", ".join(_words(name, getattr(config, name)) for name, _ in remedy.values)


def _words(name: str, value: Any) -> str:
    extra = TrainingConfig.model_fields[name].json_schema_extra
    zero_text = extra.get("zero_text") if isinstance(extra, dict) else None
    if isinstance(value, ChoiceEnum):
        return value.label
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return (" × " if len(value) == 3 else " to ").join(
            _words(name, each) if len(value) == 1 else f"{each:g}" for each in value
        )
    if value is None:
        return "none"
    return str(zero_text) if value == 0 and zero_text else f"{value:g}"
