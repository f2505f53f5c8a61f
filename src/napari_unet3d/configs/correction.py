"""Settings of corrections: how much around an error they tell, and what they say about the rest."""

from __future__ import annotations

from napari_unet3d.configs.base import ChoiceEnum, Config, setting


class UneditedRegions(ChoiceEnum):
    """What the prediction counts as away from the corrected places."""

    IGNORE = "ignore"
    ACCEPT = "accept"


class CorrectionConfig(Config):
    """How corrections become a training volume."""

    unedited_regions: UneditedRegions = setting(
        UneditedRegions.IGNORE,
        "What the prediction is away from the corrected places: not annotated, so that nothing is learnt from it, or "
        "accepted as right everywhere.",
    )
    margin_um: float = setting(
        0.0,
        "How far around a corrected place its labels hold as well, in µm, so that the network learns both sides of a "
        "boundary. Auto takes 6 voxels.",
        minimum=0,
        maximum=1e6,
        step=0.1,
        zero_text="auto",
        label="margin (µm)",
    )
