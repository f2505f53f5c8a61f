"""The subcommand that writes a model for other programs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, assert_never

from napari_unet3d.cli.commands import FLAT
from napari_unet3d.cli.progress import Bar, print_result
from napari_unet3d.cli.progress_loops import as_generator
from napari_unet3d.cli.settings_file import merge
from napari_unet3d.configs import ExportConfig, ExportFormat

EXPORT = ExportConfig()


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
