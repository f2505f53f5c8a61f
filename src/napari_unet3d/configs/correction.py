"""Settings of corrections, and of the training that continues with them."""

from __future__ import annotations

from napari_unet3d.configs.base import ChoiceEnum, Config, setting
from napari_unet3d.configs.training import TrainingConfig

_FRACTION_OF_EPOCHS = 0.5
_FRACTION_OF_RATE = 0.3


class UneditedRegions(ChoiceEnum):
    """How a corrected volume uses the prediction outside the corrected regions."""

    IGNORE = "ignore"
    ACCEPT = "accept"


class CorrectionConfig(Config):
    """How corrections become a training volume."""

    unedited_regions: UneditedRegions = setting(
        UneditedRegions.IGNORE,
        "How the prediction outside the corrected regions is used: ignored, so that it is not trained on, or accepted "
        "as correct.",
    )
    margin: float = setting(
        0.0,
        "Distance around a corrected region in which labels are used as well, so that the network is trained on both "
        "sides of a boundary. It is in µm, or in voxels where the voxel size is unknown. Auto takes 6 voxels.",
        minimum=0,
        maximum=1e6,
        step=0.1,
        zero_text="auto",
    )


def fine_tuning_config(config: TrainingConfig) -> TrainingConfig:
    """Return settings for fine-tuning a model, from those that it was trained with.

    Half the epochs at 0.3 times the learning rate are enough to learn the corrections without forgetting the rest.
    All else stays, so that both runs can be compared; data are loaded without worker processes, as in the viewer.

    Parameters
    ----------
    config : TrainingConfig
        The settings of the model.

    Examples
    --------
    >>> more = fine_tuning_config(TrainingConfig(epochs=30, learning_rate=0.01))
    >>> more.epochs, round(more.learning_rate, 6)
    (15, 0.003)
    """
    changes = {
        "epochs": max(1, round(config.epochs * _FRACTION_OF_EPOCHS)),
        "learning_rate": config.learning_rate * _FRACTION_OF_RATE,
        "num_workers": 0,
    }
    return config.model_copy(update=changes)
