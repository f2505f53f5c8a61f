"""What a model file says about its weights."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.seen_content import SeenContent
from napari_unet3d.model.plan import Length, Plan
from napari_unet3d.runs.history import Count, EpochRecord


class ModelHeader(BaseModel):
    """The text in the header of a model file, and in the description of an exported model; validated when read."""

    # The loss of an epoch may be NaN; JSON's null would not come back as a number.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    config: TrainingConfig
    epoch: Count
    history: tuple[EpochRecord, ...]
    voxel_size_um: tuple[Length, Length, Length] | None
    versions: dict[str, str]
    plan: Plan | None = None  # models of version 0.1 have none
    seen: SeenContent | None = None
