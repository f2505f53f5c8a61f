"""Write a model for other programs; it is run by one of them before it is called written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

from napari_unet3d.configs import ExportConfig, ExportFormat
from napari_unet3d.errors import UserError
from napari_unet3d.export.description import DESCRIPTION_FILE, describe
from napari_unet3d.export.events import ExportEvent, ExportStep, ModelExported
from napari_unet3d.export.model_format import ModelFormat
from napari_unet3d.export.task import ExportTask
from napari_unet3d.files import atomic_write, format_json
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.paths import exists, is_file, is_folder

_DEFAULTS = ExportConfig()
_MODULES = {
    ExportFormat.ONNX: "onnx_format",
    ExportFormat.TORCH_EXPORT: "torch_format",
    ExportFormat.MONAI_BUNDLE: "monai_format",
    ExportFormat.BIOIMAGEIO: "bioimageio_format",
}


@cache
def format_of(name: ExportFormat) -> ModelFormat:
    """Return the `FORMAT` of the module of a format."""
    found: ModelFormat = import_module(f"napari_unet3d.export.{_MODULES[name]}").FORMAT
    return found


def export_model(
    model: Path | str,
    out: Path | str,
    to: ExportFormat | str = ExportFormat.ONNX,
    config: ExportConfig = _DEFAULTS,
    *,
    overwrite: bool = False,
) -> Iterator[ExportEvent]:
    """Write a model as a folder for other programs.

    What was written is run by the program that it is for, or by the library of its format, on the CPU: a tile, and a
    volume in several tiles. If an output differs from that of this program by more than 1e-4, nothing is kept.

    Parameters
    ----------
    model : Path or str
        Run folder, whose best model is exported, or model file.
    out : Path or str
        The folder to write: the weights, a description in JSON, and a page with the Python code that applies them.
    to : ExportFormat or str
        The format.
    config : ExportConfig
        The post-processing for the page, and what is written about the model.
    overwrite : bool
        Replace an exported model in that folder.

    Yields
    ------
    ExportStep
        What is done next.
    ModelExported
        The folder is complete; always the last event.

    Raises
    ------
    UserError
        If the model cannot be read or written in that format, a package is missing, the outputs differ, or the folder
        is in use.

    Examples
    --------
    Train for one epoch on a volume with a bright box, then write the model for PyTorch.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_unet3d import Sample, TrainingConfig, train
    >>> labels = np.zeros((16, 32, 32), np.uint8)
    >>> labels[4:12, 8:24, 8:24] = 1
    >>> with TemporaryDirectory() as run:
    ...     config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu")
    ...     *_, finished = train([Sample("box", labels * 100.0, labels)], run, config)
    ...     *_, exported = export_model(run, Path(run, "for torch"), "torch-export")
    ...     print(*sorted(path.name for path in exported.folder.iterdir()))
    README.md model.pt2 napari-unet3d.json
    """
    out, written_as = Path(out), format_of(_format_named(to))
    _check_place(out, overwrite=overwrite)
    texts = (
        f"Writing the model ({written_as.name.label})",
        f"Running a tile with {written_as.tool}",
        f"Running a volume in tiles with {written_as.tool}",
    )
    task = ExportTask(load_checkpoint(model), config, Path(model))
    if task.checkpoint.onnx is not None:
        raise UserError(f"{model} is an ONNX file already. Export the run that it is from.")
    if task.checkpoint.package is not None:
        raise UserError(f"{model} is a package of bioimage.io already, whose preprocessing an export would not keep.")
    written_as.check(task)
    with atomic_write(out) as folder:
        folder.mkdir()
        yield ExportStep(texts[0], 0, len(texts))
        written_as.write(task, folder)
        differences = []
        for n_done, compare in enumerate((written_as.tile_difference, written_as.volume_difference), 1):
            yield ExportStep(texts[n_done], n_done, len(texts))
            differences.append(compare(task, folder))
        _describe(written_as, task, folder, max(differences))
    yield ModelExported(out, written_as.name, *differences)


def _format_named(name: ExportFormat | str) -> ExportFormat:
    for each in ExportFormat:
        if each.value == name:
            return each
    raise UserError(f"There is no format '{name}'. Choose one of {', '.join(each.value for each in ExportFormat)}.")


def _describe(written_as: ModelFormat, task: ExportTask, folder: Path, difference: float) -> None:
    checked = (
        f"{written_as.tool} ran this model before it was called written: its outputs for a tile and for a volume in "
        f"tiles, which are from 0 to 1, differed from those of napari-unet3d by at most {difference:.1e}."
    )
    written_as.document(task, folder, checked)
    about = describe(task, written_as.name, written_as.file, difference)
    (folder / DESCRIPTION_FILE).write_text(format_json(about), encoding="utf-8")


def _check_place(out: Path, *, overwrite: bool) -> None:
    """Raise a `UserError` unless the folder is new, empty, or an export that may be replaced."""
    if not exists(out):
        return
    if not is_folder(out):
        raise UserError(f"{out} is a file. Choose the name of a new folder for the exported model.")
    if not os.listdir(out):
        return
    if not is_file(out / DESCRIPTION_FILE):
        raise UserError(f"{out} contains other files. Choose a new folder for the exported model.")
    if not overwrite:
        raise UserError(
            f"{out} contains an exported model already. Choose another folder, or replace it (--overwrite)."
        )
