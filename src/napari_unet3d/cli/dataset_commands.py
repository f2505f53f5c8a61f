"""The subcommands that write datasets for other programs, and read theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import App, Parameter

from napari_unet3d.cli.progress import Bar, print_result, print_status
from napari_unet3d.cli.progress_loops import as_generator
from napari_unet3d.configs import ChoiceEnum, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.nnunet import FIRST_NUMBER
from napari_unet3d.data.nnunet.events import DatasetExported, DatasetImported, VolumeDone

if TYPE_CHECKING:
    from napari_unet3d.data.nnunet.events import ExportDatasetEvent, ImportDatasetEvent

Result = TypeVar("Result", DatasetExported, DatasetImported)

dataset = App(name="dataset", help="Write a dataset for another program, or read one of another program.")


class OtherProgram(ChoiceEnum):
    """The program whose datasets are written or read."""

    NNUNET = "nnunet"


@dataset.command(name="export")
def export_dataset(  # noqa: PLR0913 - one argument per option
    folder: Path,
    /,
    *,
    to: OtherProgram,
    out: Path,
    task: Task | None = None,
    ignore_label: int | None = None,
    class_names: tuple[str, ...] = (),
    name: str = "",
    number: int = FIRST_NUMBER,
    overwrite: bool = False,
) -> None:
    """Write a dataset as DatasetNNN_NAME of nnU-Net (version 2), with its dataset.json.

    All volumes are checked before the first is written. Voxels that are not annotated get the ignore label of nnU-Net.

    Parameters
    ----------
    folder : Path
        Folder with train/images and train/labels; test volumes may have no labels.
    to : str
        The program: nnunet.
    out : Path
        Folder of all datasets, which nnU-Net calls nnUNet_raw.
    task : Task
        What the labels are: binary exports all foreground as one class, semantic each label value as a class. It can be
        left out if all foreground has one value. Single objects cannot be exported as such.
    ignore_label : int
        Label value of voxels that are not annotated.
    class_names : tuple of str
        Names of the classes, in the order of their label values.
    name : str
        Name of the dataset, by default that of its folder.
    number : int
        Number of the dataset from 1 to 999, by which nnU-Net finds it.
    overwrite : bool
        Replace an exported dataset with this number and name.
    """
    from napari_unet3d.data.nnunet.exporting import export_dataset as export

    assert to is OtherProgram.NNUNET, "the only one"
    done = _follow(
        export(
            folder,
            out,
            task=task,
            ignore_label=ignore_label,
            class_names=class_names,
            name=name,
            number=number,
            overwrite=overwrite,
        ),
        DatasetExported,
    )
    labels = ", ".join(f"{value} {name}" for name, value in done.labels.items())
    print_result(f"{done.folder}: {done.n_train} training cases, {done.n_test} test cases; labels {labels}")


@dataset.command(name="import")
def import_dataset(
    folder: Path,
    /,
    *,
    source: Annotated[OtherProgram, Parameter(name="--from")],
    out: Path,
    spacing_unit: str = "",
) -> None:
    """Read a dataset of nnU-Net (version 2) and write it as a dataset of this program.

    The channels of a case become one volume. Test images without labels go to the folder without_labels. The file
    settings.json has the task and the names of the classes, for train --config.

    Parameters
    ----------
    folder : Path
        The dataset, such as Dataset501_cells.
    source : str
        The program: nnunet.
    out : Path
        A new folder for the dataset.
    spacing_unit : str
        Unit of the voxel sizes beside TIFF files, such as um or mm, which do not say it.
    """
    from napari_unet3d.data.nnunet.importing import import_dataset as import_from

    assert source is OtherProgram.NNUNET, "the only one"
    done = _follow(import_from(folder, out, spacing_unit=spacing_unit), DatasetImported)
    counts = f"{done.n_train} training volumes, {done.n_test} test volumes"
    if done.n_without_labels:
        counts += f", {done.n_without_labels} images without labels"
    print_result(f"{done.folder}: {counts}; train with --config {done.settings_file}")


def _follow(events: Iterator[ExportDatasetEvent | ImportDatasetEvent], kind: type[Result]) -> Result:
    """Follow the events with a progress bar, and return the result, which is the last one."""
    with Bar("volume") as bar, closing(as_generator(events)) as running:
        for event in running:
            if isinstance(event, VolumeDone):
                bar.show(event.n_done, event.n_volumes, event.doing)
            elif isinstance(event, Notice):
                print_status(event.message)
            elif isinstance(event, kind):
                return event
    raise AssertionError("the generator ended without a result")
