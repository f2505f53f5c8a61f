"""Events of the generation of synthetic data, and the notice that all long tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.data.sample import Sample


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the user that does not end the task."""

    message: str


@dataclass(frozen=True, slots=True)
class ObjectPlaced:
    """One more object was placed: `n_placed` of `n_objects` so far."""

    n_placed: int
    n_objects: int


@dataclass(frozen=True, slots=True)
class SlicesImaged:
    """Blur and noise were computed for the first `n_imaged` of `n_slices` slices."""

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
        Requested number of objects; there are fewer positions if the volume was full.
    """

    sample: Sample
    positions: tuple[tuple[int, int, int], ...]
    n_objects: int

    @property
    def shortfall(self) -> str | None:
        """A message if fewer objects were placed than requested."""
        if len(self.positions) >= self.n_objects:
            return None
        return (
            f"Only {len(self.positions)} of {self.n_objects} objects fit into '{self.sample.name}'; "
            "choose a larger volume, smaller objects or a smaller gap."
        )


@dataclass(frozen=True, slots=True)
class VolumeWritten:
    """One more volume of a dataset was written; `shortfall` is a message if it has fewer objects than requested."""

    image: Path
    labels: Path
    n_written: int
    n_volumes: int
    shortfall: str | None


@dataclass(frozen=True, slots=True)
class DatasetWritten:
    """All volumes of the dataset were written."""

    folder: Path
    n_train: int
    n_test: int


GenerateEvent = ObjectPlaced | SlicesImaged | VolumeGenerated
DatasetEvent = ObjectPlaced | SlicesImaged | VolumeWritten | DatasetWritten
