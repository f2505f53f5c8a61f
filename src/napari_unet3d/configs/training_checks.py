"""Settings of a training run that must go together."""

from __future__ import annotations

from typing import Any

from napari_unet3d.configs.training_enums import Task

NETWORK_SETTINGS = ("architecture", "preset", "kernel_size", "up_kernel_size", "activation", "bias", "adn_order")
"""Settings that determine the network; a run that starts from a model takes them from it."""


def check_together(config: Any) -> None:
    """Raise a `ValueError` if settings contradict each other.

    Parameters
    ----------
    config : TrainingConfig
        The settings, each of which is valid by itself.
    """
    if (config.class_names or config.class_weights) and config.task is not Task.SEMANTIC:
        name = "class_names" if config.class_names else "class_weights"
        raise ValueError(f"The setting '{name}' belongs to the task semantic; choose that task or leave it empty")
    for name in NETWORK_SETTINGS:
        is_default = getattr(config, name) == type(config).model_fields[name].default
        if not is_default and not config.is_relevant(name, {"architecture": config.architecture}):
            raise ValueError(
                f"The setting '{name}' does not apply to the architecture {config.architecture}; leave it out or "
                "choose another architecture"
            )
    if len(set(config.class_names)) < len(config.class_names) or not all(map(str.strip, config.class_names)):
        raise ValueError(f"The class names are {', '.join(config.class_names)!r}; give each class a different name")
    if lists := [name for name in config.val_volumes if name.lstrip().startswith(("[", "{"))]:
        raise ValueError(f"The validation volume {lists[0]!r} begins with a bracket; rename its files")
    if lists := [name for name in config.class_names if name.lstrip().startswith(("[", "{"))]:
        # The command would read it as a list of names or as JSON.
        raise ValueError(f"The class name {lists[0]!r} begins with a bracket; choose another name")
