"""Where a predicted volume comes from: its run, its dataset, and what its labels mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.time_points import split_name, time_point_name
from napari_unet3d.model.plan import Plan


@dataclass(frozen=True, slots=True)
class VolumeOrigin:
    """Where a predicted volume comes from.

    Attributes
    ----------
    name : str
        Name of the volume.
    plan : Plan or None
        The plan of the model that predicted it, which says what label values mean; None if they are foreground.
    run : Path or None
        The run folder or model file that predicted it.
    dataset : Path or None
        The dataset folder that the volume is from.
    subset : Subset or None
        The subset of the dataset.
    """

    name: str
    plan: Plan | None = None
    run: Path | None = None
    dataset: Path | None = None
    subset: Subset | None = None


def without_subset(name: str) -> tuple[str, Subset | None]:
    """Return the name of a volume in its dataset, and the subset that the Dataset dock adds, as in ``1 (train)``.

    >>> without_subset("cells (train) t=3")
    ('cells t=3', <Subset.TRAIN: 'train'>)
    """
    volume, time = split_name(name)
    for subset in Subset:
        if volume.endswith(suffix := f" ({subset})"):
            volume = volume.removesuffix(suffix)
            return volume if time is None else time_point_name(volume, time), subset
    return name, None
