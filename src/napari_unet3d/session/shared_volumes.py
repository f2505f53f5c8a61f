"""Volumes that would be in the training data and in the test set at once, and the question that is asked first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.data.pairs import Pair, Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.shared_content import matching_volumes
from napari_unet3d.errors import UserError
from napari_unet3d.session.dataset_volumes import add_or_replace, add_time_points


@dataclass(frozen=True, slots=True)
class SharedVolume:
    """A volume that shows the same as volumes of the other subset of a dataset; nothing was done with it yet.

    Attributes
    ----------
    name : str
        Name of the volume.
    subset : Subset
        What it would become: a training or a test volume.
    others : tuple of str
        The volumes of the other subset that it shows, in whole or in part.
    dataset : Path
        The dataset of these.
    """

    name: str
    subset: Subset
    others: tuple[str, ...]
    dataset: Path

    @property
    def question(self) -> str:
        """What it costs, and whether to do it."""
        others = ", ".join(f"'{other}'" for other in self.others)
        kind = "test" if self.subset is Subset.TRAIN else "training"
        which = f"the {kind} volume {others}" if len(self.others) == 1 else f"the {kind} volumes {others}"
        cost = (
            "A model that trains on it knows what it is tested on: its test score will be too good, and cannot be "
            "compared with earlier ones."
            if self.subset is Subset.TRAIN
            else "Models that were trained on it know it already: their test scores will be too good."
        )
        asked = "Train on it anyway?" if self.subset is Subset.TRAIN else "Add it to the test set anyway?"
        return f"'{self.name}' shows the same as {which} of {self.dataset}. {cost}\n\n{asked}"


def find_shared(sample: Sample, subset: Subset, datasets: Sequence[Path]) -> SharedVolume | None:
    """Return what a volume shares with the other subset of the first dataset that it shares anything with.

    Volumes of a dataset that cannot be read are left out; they are explained where they are used.
    """
    other = Subset.TEST if subset is Subset.TRAIN else Subset.TRAIN
    for dataset in datasets:
        try:
            names = matching_volumes(dataset, sample, other)
        except UserError:
            continue
        if names:
            return SharedVolume(sample.name, subset, names, dataset)
    return None


def add_unless_shared(
    folder: Path, sample: Sample, subset: Subset, overwrite: bool, is_accepted: bool = False
) -> Iterator[Pair | SharedVolume]:
    """Write a volume to a subset of a dataset, unless the other subset shows the same and that was not accepted.

    Yields
    ------
    SharedVolume
        The only event, with nothing written, when there is something to ask.
    Pair
        Else the only event: its files.
    """
    shared = None if is_accepted else find_shared(sample, subset, [folder])
    if shared is not None:
        yield shared
    else:
        yield from add_or_replace(folder, sample, subset, overwrite)


def add_series_unless_shared(
    folder: Path,
    read: Callable[[int], Sample],
    n_times: int,
    subset: Subset,
    overwrite: bool,
    is_accepted: bool = False,
) -> Iterator[Pair | SharedVolume]:
    """Write the time points of a series as `add_unless_shared` writes a volume: all of them, or none and a question."""
    shared = (find_shared(read(time), subset, [folder]) for time in range(0 if is_accepted else n_times))
    found = next((each for each in shared if each is not None), None)
    if found is not None:
        yield found
    else:
        yield from add_time_points(folder, read, n_times, subset, overwrite)


def training_volumes_in_test_sets(
    samples: Sequence[Sample], datasets: Sequence[Path]
) -> Iterator[tuple[SharedVolume, ...]]:
    """Compare volumes to train on with the test volumes of datasets; the only event is what they share."""
    found = [find_shared(sample, Subset.TRAIN, datasets) for sample in samples]
    yield tuple(each for each in found if each is not None)
