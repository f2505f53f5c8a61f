"""How a trained model is trained on after its mistakes were corrected."""

from __future__ import annotations

from napari_unet3d.configs.training import TrainingConfig

_SHARE_OF_EPOCHS = 0.5
_SHARE_OF_RATE = 0.3


def fine_tuning_config(config: TrainingConfig) -> TrainingConfig:
    """Return settings to train a model on, from those that it was trained with.

    Task, meaning of label 0, network, normalisation, split and all else stay, so that both runs can be compared. Half
    the epochs at 0.3 times the learning rate are enough to learn the corrections, and few and slow enough not to
    forget the rest. Patches are prepared without worker processes, as everywhere in the viewer.

    Parameters
    ----------
    config : TrainingConfig
        The settings of the model.
    """
    changes = {
        "epochs": max(1, round(config.epochs * _SHARE_OF_EPOCHS)),
        "learning_rate": config.learning_rate * _SHARE_OF_RATE,
        "num_workers": 0,
    }
    return config.model_copy(update=changes)
