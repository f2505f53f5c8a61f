"""The subcommands that write a model, and meshes and outlines of objects, for other programs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, assert_never

from napari_unet3d.cli.commands import FLAT
from napari_unet3d.cli.progress import Bar, print_result, print_status
from napari_unet3d.cli.progress_loops import as_generator
from napari_unet3d.cli.settings_file import merge
from napari_unet3d.configs import ExportConfig, ExportFormat, MeshConfig, MeshFormat
from napari_unet3d.data.events import Notice

EXPORT, MESHES = ExportConfig(), MeshConfig()


def export(
    model: Path,
    /,
    *,
    to: ExportFormat,
    out: Path,
    overwrite: bool = False,
    config: Path | None = None,
    settings: Annotated[ExportConfig, FLAT] = EXPORT,
) -> None:
    """Write a model for other programs, as a folder with its description and the Python code that applies it.

    What was written is run by the program that it is for before it is called written: on a tile, and on a volume in
    tiles, its output must be that of this program to 1e-4. Otherwise nothing is kept.

    Parameters
    ----------
    model : Path
        Run folder, model file or .pth file of qim3d.
    to : ExportFormat
        The format: onnx for onnxruntime and many other programs, torch-export for PyTorch, monai-bundle for MONAI, or
        bioimageio for bioimage.io, which needs --license and --authors.
    out : Path
        Folder to write.
    overwrite : bool
        Replace an exported model in that folder.
    config : Path
        JSON or TOML file with settings; options override it.
    """
    from napari_unet3d.export.events import ExportStep, ModelExported
    from napari_unet3d.export.export import export_model

    events = export_model(model, out, to, merge(settings, config), overwrite=overwrite)
    with Bar("step") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case ExportStep(text=text, n_done=n_done, n_steps=n_steps):
                    bar.show(n_done, n_steps, text)
                case ModelExported():
                    print_result(
                        f"{event.folder}: {event.format.label}; its output differs by at most "
                        f"{max(event.tile_difference, event.volume_difference):.1e} from that of this program"
                    )
                case _:
                    assert_never(event)


def meshes(  # noqa: PLR0913 - one argument per option
    labels: Path,
    /,
    *,
    out: Path,
    to: MeshFormat,
    objects: tuple[int, ...] = (),
    overwrite: bool = False,
    config: Path | None = None,
    settings: Annotated[MeshConfig, FLAT] = MESHES,
) -> None:
    """Write the surface of each object in labels as a mesh, in µm, or in voxels where the voxel size is not known.

    Each value above 0 is an object. Surfaces are closed, also at the border of the volume; positions are x, y and z, as
    in the table of objects.

    Parameters
    ----------
    labels : Path
        Labels, such as a prediction.
    out : Path
        Folder for the files, which are called NAME_object_12.ply, or NAME_objects.ply with --one-file.
    to : MeshFormat
        The format: obj, ply or stl.
    objects : tuple of int
        Numbers of the objects; by default all.
    overwrite : bool
        Replace files that exist in the folder.
    config : Path
        JSON or TOML file with settings; options override it.
    """
    from napari_unet3d.evaluation.meshes.export import MeshesExported, export_meshes
    from napari_unet3d.evaluation.meshes.making import MeshMade

    events = export_meshes(labels, out, to, merge(settings, config), objects=objects or None, overwrite=overwrite)
    with Bar("object") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case Notice():
                    print_status(event.message)
                case MeshMade():
                    bar.show(event.n_done, event.n_total)
                case MeshesExported(files=files):
                    where = files[0] if len(files) == 1 else f"{files[0].parent}: {len(files)} files, {files[0].name} …"
                    print_result(f"{where}, in {event.unit}")
                case _:
                    assert_never(event)


def rois(
    labels: Path,
    /,
    *,
    out: Path,
    objects: tuple[int, ...] = (),
    slices: tuple[int, ...] = (),
    overwrite: bool = False,
) -> None:
    """Write the outline of each object in each slice as NAME_RoiSet.zip, for the ROI Manager of ImageJ and Fiji.

    Each value above 0 is an object. Outlines run along the edges of pixels, so that the mask that ImageJ makes of one
    is the object in that slice; holes and several parts are kept in a composite ROI. ROIs are called
    object_12_slice_005, with slices from 1 as in ImageJ, and are shown on that slice of a stack with one channel.

    Parameters
    ----------
    labels : Path
        Labels, such as a prediction.
    out : Path
        Folder for the file.
    objects : tuple of int
        Numbers of the objects; by default all.
    slices : tuple of int
        Slices along z, from 0 as in napari; by default all.
    overwrite : bool
        Replace a file that exists.
    """
    from napari_unet3d.evaluation.rois.export import RoisExported, RoisMade, export_rois

    events = export_rois(labels, out, objects=objects or None, slices=slices or None, overwrite=overwrite)
    with Bar("object") as bar, closing(as_generator(events)) as running:
        for event in running:
            match event:
                case Notice():
                    print_status(event.message)
                case RoisMade():
                    bar.show(event.n_done, event.n_total)
                case RoisExported(file=file):
                    print_result(f"{file}: {event.description}")
                case _:
                    assert_never(event)
