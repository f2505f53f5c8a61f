"""Write a dataset as one of nnU-Net."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_unet3d.configs import Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.layout import check_is_dataset
from napari_unet3d.data.nnunet import FIRST_NUMBER
from napari_unet3d.data.nnunet.classes import Classes, find_classes
from napari_unet3d.data.nnunet.description import (
    DESCRIPTION_FILE,
    TIFF_READER,
    WRITER,
    Description,
    read_description,
)
from napari_unet3d.data.nnunet.events import DatasetExported, ExportDatasetEvent, VolumeDone
from napari_unet3d.data.nnunet.spacing import write_spacing
from napari_unet3d.data.nnunet.survey import Survey, decode, survey
from napari_unet3d.data.nnunet.volumes import Case, pairs_to_export, read_cases
from napari_unet3d.data.pairs import Pair, Subset
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write, write_json
from napari_unet3d.paths import exists, is_file

_FOLDERS = {Subset.TRAIN: ("imagesTr", "labelsTr"), Subset.TEST: ("imagesTs", "labelsTs")}
_OF_DATASET = re.compile(r"Dataset(\d{3})_.+")


def export_dataset(  # noqa: PLR0913 - what the labels are, and what the dataset is called
    dataset: Path | str,
    out: Path | str,
    *,
    task: Task | str | None = None,
    ignore_label: int | None = None,
    class_names: Sequence[str] = (),
    name: str = "",
    number: int = FIRST_NUMBER,
    overwrite: bool = False,
) -> Iterator[ExportDatasetEvent]:
    """Write a dataset for nnU-Net (version 2), as a folder ``DatasetNNN_NAME`` in `out`.

    Each volume is read twice: first to check all of them and to find their classes, then to write it. The files are
    TIFF with the voxel size in a JSON file beside them, or NIfTI if a volume has an orientation or an origin. Voxels
    that are not annotated get the ignore label of nnU-Net, the highest one.

    Parameters
    ----------
    dataset : Path or str
        The dataset; training volumes have labels, test volumes may have none.
    out : Path or str
        The folder of all datasets, which nnU-Net calls ``nnUNet_raw``.
    task : Task, optional
        Binary exports all foreground as one class, semantic each label value as a class. Without it, all foreground
        must have one value, since ids of single objects cannot be kept.
    ignore_label : int, optional
        Label value of voxels that are not annotated.
    class_names : sequence of str
        Names of the classes in the order of their label values.
    name : str
        Name of the dataset; by default that of its folder.
    number : int
        Number of the dataset, from 1 to 999.
    overwrite : bool
        Replace a dataset with this number and name that this package has written.

    Yields
    ------
    VolumeDone
        A volume was checked or written.
    Notice
        What nnU-Net takes otherwise, or what was assumed.
    DatasetExported
        The folder is complete; always the last event. When the generator is closed before, nothing is left.

    Raises
    ------
    UserError
        If the dataset cannot be read, nnU-Net could not use it, or the folder is in use.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_unet3d import write_volume
    >>> with TemporaryDirectory() as folder:
    ...     labels = np.zeros((4, 5, 6), np.uint8)
    ...     labels[1:3] = 255
    ...     for kind in ("images", "labels"):
    ...         write_volume(Path(folder, "cells/train", kind, "a.tif"), labels, voxel_size_um=(2.0, 0.5, 0.5))
    ...     *_, done = export_dataset(Path(folder, "cells"), folder)
    ...     print(done.folder.name, done.labels, *sorted(path.name for path in Path(done.folder, "imagesTr").iterdir()))
    Dataset501_cells {'background': 0, 'foreground': 1} a.json a_0000.tif
    """
    dataset, chosen = check_is_dataset(dataset), None if task is None else Task(task)
    target = _target(Path(out), name or dataset.absolute().name, number, overwrite=overwrite)
    pairs = pairs_to_export(dataset)
    found: Survey | None = None
    for event in survey(pairs, ignore_label):
        if isinstance(event, Survey):
            found = event
        else:
            yield event
    assert found is not None, "it is the last event"
    has_ignored = found.has_ignored or bool(found.corrected)  # what they annotate is ignored in other volumes
    classes = find_classes(found.values, chosen, class_names, has_ignored=has_ignored)
    if classes.notice:
        yield Notice(classes.notice)
    with atomic_write(target) as temporary:
        counts = yield from _write(temporary, pairs, found, classes)
        description = _describe(target, counts[Subset.TRAIN], found, classes)
        write_json(temporary / DESCRIPTION_FILE, description.to_json())
    yield DatasetExported(target, counts[Subset.TRAIN], counts[Subset.TEST], classes.labels)


def _target(out: Path, name: str, number: int, *, overwrite: bool) -> Path:
    """Return the folder to write; raise an error if another dataset has its number, or it must not be replaced."""
    if not 1 <= number <= 999:
        raise UserError(f"The number of the dataset is {number}; nnU-Net has datasets from 1 to 999.")
    plain = re.sub(r"[^\w-]+", "_", name).strip("_-")
    if not plain:
        raise UserError(f"The name of the dataset is '{name}'; write one of letters and digits.")
    target = out / f"Dataset{number:03d}_{plain}"
    with explain_os_errors(out, "read"):
        there = sorted(os.listdir(out)) if exists(out) else []
    taken = {int(match[1]): each for each in there if (match := _OF_DATASET.fullmatch(each))}
    if taken.get(number, target.name) != target.name:
        free = next((each for each in range(FIRST_NUMBER, 1000) if each not in taken), None)
        hint = f"{free} is free." if free else "Choose another folder."
        raise UserError(f"{out / taken[number]} has the number {number} already, by which nnU-Net finds it. {hint}")
    if exists(target) and not (overwrite and _is_ours(target)):
        hint = "Choose another number or name."
        hint = f"{hint[:-1]}, or replace it (--overwrite)." if _is_ours(target) else hint
        raise UserError(f"{target} exists already. {hint}")
    return target


def _is_ours(target: Path) -> bool:
    """Return whether a folder is a dataset that this package has written, and nothing else is in it."""
    usual = {DESCRIPTION_FILE, *(folder for folders in _FOLDERS.values() for folder in folders)}
    if not is_file(target / DESCRIPTION_FILE) or set(os.listdir(target)) - usual:
        return False
    try:
        return read_description(target).converted_by == WRITER
    except UserError:
        return False


def _write(
    folder: Path, pairs: Sequence[Pair], found: Survey, classes: Classes
) -> Generator[ExportDatasetEvent, None, dict[Subset, int]]:
    """Write all volumes and return how many each subset has."""
    counts = dict.fromkeys(Subset, 0)
    for case in read_cases(pairs, found.corrected):
        if _is_left_out(case):
            yield Notice(f"'{case.sample.name}' is left out, since corrections replace all of its labels.")
            continue
        _write_case(folder, _ending(found), case, classes, found.ignore_label)
        counts[case.subset] += 1
        yield VolumeDone("written", case.n_read, len(pairs))
    return counts


def _ending(found: Survey) -> str:
    return ".nii.gz" if found.has_place else ".tif"


def _describe(target: Path, n_train: int, found: Survey, classes: Classes) -> Description:
    return Description(
        channel_names={str(index): name for index, name in enumerate(found.channel_names)},
        labels=classes.labels,
        n_train=n_train,
        file_ending=_ending(found),
        reader=None if found.has_place else TIFF_READER,
        name=target.name.partition("_")[2],
        converted_by=WRITER,
    )


def _is_left_out(case: Case) -> bool:
    mask = case.sample.label_mask
    return case.subset is Subset.TRAIN and mask is not None and not mask.any()


def _write_case(folder: Path, ending: str, case: Case, classes: Classes, ignore_label: int | None) -> None:
    sample, (images, labels) = case.sample, (folder / each for each in _FOLDERS[case.subset])
    files = {images / f"{case.name}_{index:04d}{ending}": channel for index, channel in enumerate(sample.channels)}
    if sample.labels is not None:
        files[labels / f"{case.name}{ending}"] = classes.encode(decode(sample, classes.task, ignore_label))
    for path, array in files.items():
        write_volume(path, np.asarray(array), geometry=sample.geometry)
    if ending == ".tif":
        for parent in {path.parent for path in files}:
            write_spacing(parent, case.name, sample.geometry)
