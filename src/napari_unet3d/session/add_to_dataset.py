"""Corrections as training volumes of a dataset, which can be removed again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.configs import TrainingConfig, UneditedRegions
from napari_unet3d.data.cleaning import delete_volumes
from napari_unet3d.data.corrections import Correction
from napari_unet3d.data.dataset import add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.data.intensities import WholeIntensities
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, provenance_file, with_unique_name
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import list_time_points
from napari_unet3d.data.shared_content import matching_volumes
from napari_unet3d.data.trash import TrashedVolumes, files_of, move_to_trash
from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import is_copy_of_layers, read_run_files
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.origin import VolumeOrigin, without_subset


@dataclass(frozen=True, slots=True, eq=False)
class DatasetAddition:
    """Corrections that are to become a training volume of a dataset.

    Attributes
    ----------
    dataset : Path
        The dataset folder.
    sample : Sample
        The corrected volume.
    corrections : tuple of Correction
        What it holds.
    earlier : Pair or None
        The files that it replaces.
    origin : VolumeOrigin
        The volume that was corrected.
    """

    dataset: Path
    sample: Sample
    corrections: tuple[Correction, ...]
    earlier: Pair | None
    origin: VolumeOrigin

    @classmethod
    def of(cls, session: CorrectionSession, dataset: Path, unedited_regions: UneditedRegions) -> DatasetAddition:
        """Return the addition of all corrections of a prediction, in place of those that were added before.

        Raises
        ------
        UserError
            When nothing is corrected, or the image is not known.
        """
        sample = session.training_sample(unedited_regions)
        return cls(dataset, sample, tuple(session.done), session.added, session.origin)

    def find_test_volumes(self) -> tuple[str, ...]:
        """Return the names of the test volumes that were corrected: known by their origin, or by their content.

        Raises
        ------
        UserError
            If a test volume cannot be read.
        """
        name, _ = without_subset(self.origin.name)
        own = (name,) if self._known_subset() is Subset.TEST else ()
        return own + tuple(each for each in matching_volumes(self.dataset, self.sample) if each not in own)

    def sample_with_subset(self, test_volumes: tuple[str, ...]) -> Sample:
        """Return the corrected volume with the subset of the dataset that it is from, as far as that is known.

        Of a volume that is a corrected part itself, it gets the intensities of the whole volume.
        """
        subset = self._known_subset() or (Subset.TEST if test_volumes else self._subset_by_name())
        provenance = self.sample.provenance
        if provenance is None:
            return self.sample
        changes: dict[str, object] = {} if subset is None else {"subset": subset.value}
        if (intensities := self._intensities_of_source()) is not None:
            changes["intensities"] = intensities
        return replace(self.sample, provenance=provenance.model_copy(update=changes), intensities=None)

    def _intensities_of_source(self) -> WholeIntensities | None:
        name = without_subset(self.origin.name)[0]
        try:
            pairs = list_pairs(self.origin.dataset or self.dataset)
        except UserError:  # no dataset yet
            return None
        masks = [pair.label_mask for pair in pairs if pair.name == name and pair.label_mask is not None]
        source = read_provenance(provenance_file(masks[0])) if masks else None
        return None if source is None else source.intensities

    def _known_subset(self) -> Subset | None:
        folder = self.origin.dataset
        if folder is not None and folder.resolve() != self.dataset.resolve():
            return None
        return self.origin.subset or without_subset(self.origin.name)[1]

    def _subset_by_name(self) -> Subset | None:
        """Return the training subset when it has a volume of that name; test volumes are known by content alone."""
        name = without_subset(self.origin.name)[0].casefold()
        try:
            pairs = list_time_points(list_pairs(self.dataset, Subset.TRAIN))
        except UserError:  # no dataset yet
            return None
        return Subset.TRAIN if any(pair.name.casefold() == name for pair in pairs) else None


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedTestVolumes:
    """What is to be added was corrected in test volumes, so that the user is asked first; nothing is written.

    Attributes
    ----------
    addition : DatasetAddition
        What is to be added.
    names : tuple of str
        The test volumes.
    """

    addition: DatasetAddition
    names: tuple[str, ...]

    @property
    def question(self) -> str:
        """What adding them means, and whether to do it."""
        names = ", ".join(f"'{name}'" for name in self.names)
        which = f"the test volume {names}" if len(self.names) == 1 else f"the test volumes {names}"
        return (
            f"The corrected places are part of {which} of this dataset. A model that trains on them knows what it is "
            "tested on: its test score will be too good, and cannot be compared with earlier ones.\n\n"
            "Add them to the training volumes anyway? You can remove them from the dataset again."
        )


@dataclass(frozen=True, slots=True)
class CorrectionsAdded:
    """Corrections are in a dataset.

    Attributes
    ----------
    pair : Pair
        Their files.
    corrections : tuple of Correction
        What they hold.
    test_volumes : tuple of str
        The test volumes of the dataset in which they were made.
    """

    pair: Pair
    corrections: tuple[Correction, ...]
    test_volumes: tuple[str, ...] = ()


def add_corrections(
    addition: DatasetAddition, accepted: CorrectedTestVolumes | None = None
) -> Iterator[CorrectionsAdded | CorrectedTestVolumes]:
    """Write corrections as a training volume of a dataset, in place of earlier ones of the same prediction.

    Parameters
    ----------
    addition : DatasetAddition
        The corrections.
    accepted : CorrectedTestVolumes, optional
        The test volumes that were corrected, when training on them is accepted.

    Yields
    ------
    CorrectedTestVolumes
        The only event, with nothing written, when test volumes were corrected and that was not accepted.
    CorrectionsAdded
        Else the only event: they are written.

    Raises
    ------
    UserError
        If a test volume cannot be read, or the files cannot be written.
    """
    test_volumes = addition.find_test_volumes() if accepted is None else accepted.names
    if test_volumes and accepted is None:
        yield CorrectedTestVolumes(addition, test_volumes)
        return
    dataset, sample = addition.dataset, addition.sample_with_subset(test_volumes)
    earlier = [] if addition.earlier is None else files_of(addition.earlier)
    is_inside = all(dataset in path.parents for path in earlier)
    pairs = list_time_points(list_pairs(dataset)) if is_dataset(dataset) else []
    names = [pair.name for pair in pairs if not {pair.image, pair.labels} & {*earlier}]
    pair = add_sample(dataset, with_unique_name(sample, names), Subset.TRAIN, replaces=earlier if is_inside else ())
    if addition.earlier is not None and not is_inside:  # another dataset was chosen since
        _delete(addition.earlier)
    yield CorrectionsAdded(pair, addition.corrections, test_volumes)


def remove_corrections(pair: Pair) -> Iterator[Pair]:
    """Delete exactly the files that `add_corrections` wrote; the only event is the pair."""
    _delete(pair)
    yield pair


def trash_corrections(pair: Pair) -> Iterator[TrashedVolumes]:
    """Move what `add_corrections` wrote to the trash of the dataset; the only event is what was moved.

    For corrections that nothing else holds any more, since another prediction is inspected by now.
    """
    trashed = move_to_trash([pair])
    _remove_if_empty(pair)
    yield trashed


def without_missing_val_volumes(config: TrainingConfig, dataset: Path) -> tuple[TrainingConfig, tuple[Notice, ...]]:
    """Return settings for another dataset: without named validation volumes if it lacks any, and a notice then."""
    pairs = list_pairs(dataset, Subset.TRAIN)
    if not set(config.val_volumes) - {pair.name for pair in (*pairs, *list_time_points(pairs, config.fourth_axis))}:
        return config, ()
    notice = Notice(
        f"The model was validated on {', '.join(config.val_volumes)}, which are not all in this dataset; validation "
        "volumes are drawn instead."
    )
    return config.model_copy(update={"val_volumes": ()}), (notice,)


def is_dataset(folder: Path) -> bool:
    """Return whether a folder holds a dataset that can be read."""
    try:
        list_pairs(folder)
    except UserError:
        return False
    return True


def dataset_of_run(run: Path | None) -> Path | None:
    """Return the dataset folder that a run was trained on, if it was one, is no copy of layers, and still exists."""
    if run is None:
        return None
    folder = run if os.path.isdir(run) else run.parent
    try:
        dataset = read_run_files(folder).dataset
    except UserError:  # a model file outside of a run folder
        return None
    if dataset is None or is_copy_of_layers(dataset, folder):
        return None
    return dataset if is_dataset(dataset) else None


def corrections_folder(run: Path) -> Path:
    """Return the folder of a new dataset for the corrections of a model that was trained on no dataset.

    Parameters
    ----------
    run : Path
        A run folder or a model file.
    """
    return run.with_name(f"{run.name if os.path.isdir(run) else run.stem}-corrections")


def _delete(pair: Pair) -> None:
    dataset = pair.image.parents[2] if pair.image is not None else None
    assert dataset is not None  # written by us
    delete_volumes(dataset, files_of(pair))
    _remove_if_empty(pair)


def _remove_if_empty(pair: Pair) -> None:
    """Remove the folder of masks unless it holds others."""
    if pair.label_mask is not None:
        with suppress(OSError):
            pair.label_mask.parent.rmdir()
