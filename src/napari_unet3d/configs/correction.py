"""Settings of corrections: how much around an error they tell, and what they say about the rest."""

from __future__ import annotations

from napari_unet3d.configs.base import Choice, Settings, setting


class Elsewhere(Choice):
    """What the prediction counts as away from the corrected places."""

    NOT_ANNOTATED = "not-annotated"
    ACCEPTED = "accepted"


class CorrectionConfig(Settings):
    """How corrections become a training volume."""

    elsewhere: Elsewhere = setting(
        Elsewhere.NOT_ANNOTATED,
        "What the prediction is away from the corrected places: not annotated, so that nothing is learnt from it, or "
        "accepted as right everywhere.",
    )
    margin_um: float = setting(
        0.0,
        "How far around a corrected place its labels hold as well, in µm, so that the network learns both sides of a "
        "boundary. Auto takes 6 voxels.",
        low=0,
        high=1e6,
        step=0.1,
        zero="auto",
        label="margin (µm)",
    )
