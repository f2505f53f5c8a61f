"""What the generators of synthetic data report while they work, and the notice that all long work shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.data.sample import Sample


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that the user should see, which does not end the work."""

    message: str


@dataclass(frozen=True, slots=True)
class ObjectPlaced:
    """One more object lies in the volume; `n_placed` of the `n_objects` asked for."""

    n_placed: int
    n_objects: int


@dataclass(frozen=True, slots=True)
class SlicesImaged:
    """Blur and noise are computed for the first `n_imaged` of `n_slices` slices."""

    n_imaged: int
    n_slices: int


@dataclass(frozen=True, slots=True)
class VolumeGenerated:
    """A finished synthetic volume.

    Attributes
    ----------
    sample : Sample
        Image and labels.
    positions : tuple of tuple of int
        Centre voxel (z, y, x) of every placed object, in the order of the ids.
    n_objects : int
        How many objects were asked for; fewer positions mean that the volume was full.
    """

    sample: Sample
    positions: tuple[tuple[int, int, int], ...]
    n_objects: int

    @property
    def shortfall(self) -> str | None:
        """A sentence with both numbers when fewer objects were placed than asked for."""
        if len(self.positions) >= self.n_objects:
            return None
        return (
            f"Only {len(self.positions)} of {self.n_objects} objects fit into '{self.sample.name}'; "
            "take a larger volume, smaller objects or a smaller gap."
        )


@dataclass(frozen=True, slots=True)
class VolumeWritten:
    """One more volume of a dataset is on disk; `shortfall` is a sentence when it holds fewer objects than asked."""

    image: Path
    labels: Path
    n_written: int
    n_volumes: int
    shortfall: str | None


@dataclass(frozen=True, slots=True)
class DatasetWritten:
    """The whole dataset is on disk."""

    folder: Path
    n_train: int
    n_test: int


GenerateEvent = ObjectPlaced | SlicesImaged | VolumeGenerated
DatasetEvent = ObjectPlaced | SlicesImaged | VolumeWritten | DatasetWritten
