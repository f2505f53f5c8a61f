"""Where layers come from, kept with the layers themselves, so that another dock can go on from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari.layers import Layer

from napari_unet3d.data.pairs import Part
from napari_unet3d.model.plan import Plan
from napari_unet3d.widgets.view.layers import OWNED

_KEY = f"{OWNED} origin"  # of the layers' metadata


@dataclass(frozen=True, slots=True)
class Origin:
    """What a layer of a prediction shows.

    Attributes
    ----------
    name : str
        Name of the volume.
    plan : Plan or None
        What its labels mean; None means foreground.
    run : Path or None
        The run folder or model file that predicted it.
    dataset : Path or None
        The dataset folder that the volume is from.
    part : Part or None
        The part of the dataset.
    """

    name: str
    plan: Plan | None = None
    run: Path | None = None
    dataset: Path | None = None
    part: Part | None = None


def without_part(name: str) -> tuple[str, Part | None]:
    """Give the name of a volume in its dataset, and the part that the Dataset dock adds to it, as in ``1 (train)``."""
    for part in Part:
        if name.endswith(suffix := f" ({part})"):
            return name.removesuffix(suffix), part
    return name, None


def mark_origin(layers: Iterable[Layer], origin: Origin) -> None:
    """Keep where layers come from in their metadata."""
    for layer in layers:
        layer.metadata[_KEY] = origin


def origin_of(layer: Layer) -> Origin | None:
    """Give where a layer comes from, or None when nobody kept it."""
    origin = layer.metadata.get(_KEY)
    return origin if isinstance(origin, Origin) else None
