"""Read a dataset of nnU-Net into one of this package."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet3d.configs import Task
from napari_unet3d.data.dataset import add_sample, file_name
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.nnunet.cases import CaseFiles, list_cases, read_case
from napari_unet3d.data.nnunet.description import DESCRIPTION_FILE, IGNORE, Description, read_description
from napari_unet3d.data.nnunet.events import DatasetImported, ImportDatasetEvent, VolumeDone
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write, write_json
from napari_unet3d.paths import exists

SETTINGS_FILE = "settings.json"
"""The file with task and names of the classes, for ``train --config``."""
WITHOUT_LABELS = "without_labels"
"""The folder of the images without labels."""


def import_dataset(folder: Path | str, out: Path | str, *, spacing_unit: str = "") -> Iterator[ImportDatasetEvent]:
    """Read a dataset of nnU-Net (version 2) and write it as a dataset of this package.

    The files of the channels become one volume. Voxels with the ignore label become voxels that are not annotated.
    Images of ``imagesTs`` become test volumes where there are labels in ``labelsTs``; the others go to the folder
    ``without_labels``. Task and names of the classes are written to ``settings.json``.

    Parameters
    ----------
    folder : Path or str
        The dataset, such as ``Dataset501_cells``.
    out : Path or str
        A new or empty folder.
    spacing_unit : str
        The unit of the voxel sizes beside TIFF files, such as ``um``; they have none, and nnU-Net needs none. Without
        it, they stay numbers without a unit, unless the header of the TIFF file tells it.

    Yields
    ------
    VolumeDone
        A volume was written.
    Notice
        What is left out, or was assumed.
    DatasetImported
        The folder is complete; always the last event. When the generator is closed before, nothing is left.

    Raises
    ------
    UserError
        If the dataset has regions instead of classes, its files do not fit its description, or a file cannot be read
        or written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_unet3d.data.nnunet.exporting import export_dataset
    >>> with TemporaryDirectory() as folder:
    ...     labels = np.zeros((4, 5, 6), np.uint8)
    ...     labels[1:3] = 1
    ...     for kind in ("images", "labels"):
    ...         write_volume(Path(folder, "cells/train", kind, "a.tif"), labels, voxel_size_um=(2.0, 0.5, 0.5))
    ...     *_, exported = export_dataset(Path(folder, "cells"), folder)
    ...     *_, imported = import_dataset(exported.folder, Path(folder, "again"))
    ...     imported.n_train, sorted(path.name for path in imported.folder.iterdir())
    (1, ['settings.json', 'test', 'train'])
    """
    folder, out = Path(folder), Path(out)
    um = um_per_unit(spacing_unit)
    if spacing_unit and um is None:
        raise UserError(f"The spacing unit is '{spacing_unit}', which is no unit of length. Write um, nm or mm.")
    description = read_description(folder)
    train, test = (list_cases(folder, end, description) for end in ("Tr", "Ts"))
    _check_cases(folder, train)
    _check_free(out)
    if len(train) != description.n_train:
        yield Notice(f"{DESCRIPTION_FILE} says {description.n_train} training cases, and there are {len(train)}.")
    yield from _notices(description, [case.name for case in test if case.labels is None])
    with atomic_write(out) as temporary:
        temporary.mkdir()
        counts = yield from _write(temporary, train, test, description, um)
        if not counts.train:
            raise UserError(f"No training volume of {folder} has a voxel that is annotated. Check its labels.")
        settings, notices = _settings(description, counts.values_found)
        write_json(temporary / SETTINGS_FILE, settings)
    yield from notices
    yield DatasetImported(out, counts.train, counts.test, counts.without_labels, out / SETTINGS_FILE)


class _Counts:
    """How many volumes were written, and which label values the training volumes have."""

    def __init__(self) -> None:
        self.train = self.test = self.without_labels = 0
        self.values_found: set[int] = set()


def _check_cases(folder: Path, train: Sequence[CaseFiles]) -> None:
    if not train:
        raise UserError(f"{folder / 'imagesTr'} has no images with the file ending of {DESCRIPTION_FILE}. Check both.")
    if missing := [case.channels[0] for case in train if case.labels is None]:
        raise UserError(f"labelsTr has no labels for {missing[0]}. Add them, or remove the image.")


def _check_free(out: Path) -> None:
    if not exists(out):
        return
    with explain_os_errors(out, "read"):
        if os.listdir(out):
            raise UserError(f"{out} contains files already. Choose a new folder for the dataset.")


def _notices(description: Description, without_labels: Sequence[str]) -> Iterator[Notice]:
    if without_labels:
        yield Notice(
            f"{len(without_labels)} images of imagesTs have no labels, so they are no test volumes: they go to the "
            f"folder {WITHOUT_LABELS}, to be predicted."
        )
    if len(description.channels) == 1 and description.channels[0] != "image":
        yield Notice(f"The name of the only channel, '{description.channels[0]}', is not kept.")


def _write(
    out: Path, train: Sequence[CaseFiles], test: Sequence[CaseFiles], description: Description, um: float | None
) -> Generator[ImportDatasetEvent, None, _Counts]:
    """Write all volumes and return how many there are."""
    counts, cases = _Counts(), [*((Subset.TRAIN, case) for case in train), *((Subset.TEST, case) for case in test)]
    for n_done, (subset, case) in enumerate(cases, start=1):
        sample = read_case(case, description, um)
        for message in sample.notices:
            yield Notice(message)
        if sample.label_mask is not None and not sample.label_mask.any():
            yield Notice(f"'{case.name}' is left out, since all of its voxels have the label {IGNORE}.")
        elif sample.labels is None:
            _write_image(out / WITHOUT_LABELS, sample)
            counts.without_labels += 1
        else:
            add_sample(out, sample, subset)
            counts.train += subset is Subset.TRAIN
            counts.test += subset is Subset.TEST
            if subset is Subset.TRAIN:
                counts.values_found |= {int(value) for value in np.unique(sample.labels)} - {0}
        yield VolumeDone("written", n_done, len(cases))
    return counts


def _write_image(folder: Path, sample: Sample) -> None:
    file = folder / f"{file_name(sample.name)}{suffix_for(sample.geometry)}"
    write_volume(file, sample.image, geometry=sample.geometry, channel_names=sample.channel_names)


def _settings(description: Description, values: set[int]) -> tuple[dict[str, Any], list[Notice]]:
    """Return the settings for a training, with names for the classes that occur, and what they leave out."""
    classes = description.classes
    if len(classes) < 2:
        names = [name for name in classes.values() if name != "foreground"]
        text = "The name of the only class, '{}', is not kept: the task binary has none."
        return {"task": Task.BINARY.value}, [Notice(text.format(name)) for name in names]
    absent = [name for value, name in classes.items() if value not in values]
    text = "No training volume has the class '{}', so its name is not among the settings."
    names = [classes[value] for value in sorted(values)]
    return {"task": Task.SEMANTIC.value, "class_names": names}, [Notice(text.format(name)) for name in absent]
