"""The button that writes a model for other programs, and the window that asks for format, folder and licence."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox

from napari_unet3d.configs import ExportConfig, ExportFormat, PostProcessing
from napari_unet3d.configs.export import ABOUT
from napari_unet3d.export.events import ExportStep, ModelExported
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.components.containers import Panel, button, column, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import PluginWindow
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import EnumMenu, remembered
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job

_CHECKED = (
    "What is written is run by the program that it is for, and kept only if its output is the same. That takes seconds "
    "to a minute."
)


class ExportWindow(PluginWindow):
    """Asks for format and folder, and for what is written about the model.

    Parameters
    ----------
    panel : ExportModel
        What starts the export.
    model : Path
        The run folder or model file.

    Attributes
    ----------
    format : EnumMenu
        The format.
    folder : PathEdit
        The folder to write.
    overwrite : CheckBox
        Whether an exported model in that folder is replaced.
    about : ConfigForm of ExportConfig
        Name, description, authors, licence and citation.
    export_button : PushButton
        Starts the export and closes the window.
    """

    def __init__(self, panel: ExportModel, model: Path) -> None:
        self._panel, self._model = panel, model
        tooltip = (
            "ONNX for many programs, torch.export for PyTorch alone, a bundle for MONAI, or a model for bioimage.io."
        )
        self.format = EnumMenu(annotation=ExportFormat, label="Format", tooltip=tooltip)
        remembered(self.format, "export-format")
        self.folder = PathEdit("d", "export-folder", "The folder to write; a new one.", label="Folder")
        tooltip = "Replace a model that was exported to that folder; a folder with other files is never replaced."
        self.overwrite = CheckBox(value=False, text="Replace an earlier export", tooltip=tooltip)
        self.about = ConfigForm(ExportConfig, "export", without=PostProcessing.model_fields)
        self.about.expand(ABOUT)
        self.export_button = button("Export", "Write the model, and have it run.", self._export)
        places = column(self.format, self.folder, self.overwrite, labels=True, spacing=4)
        content = column(wrapping_label(_CHECKED), places, self.about, self.export_button)
        super().__init__(panel.native, f"Export {model.name}", content.native)
        self.content = content  # magicgui's widgets are kept alive by their container alone
        self.resize(460, self.sizeHint().height())
        self.format.changed.connect(self._suggest)
        self._suggest()

    def _suggest(self) -> None:
        """Suggest a new folder beside the run."""
        run = self._model if os.path.isdir(self._model) else self._model.parent
        name = f"{run.name} {self.format.value.value}"
        number, folder = 2, run.parent / name
        while os.path.lexists(folder):
            number, folder = number + 1, run.parent / f"{name} {number}"
        self.folder.offer(folder)

    def _export(self) -> None:
        with self._panel.explaining():
            folder = self.folder.require("a folder for the exported model")
            about, to = self.about.value, self.format.value
            about.check_for(to)
            self._panel.export(self._model, folder, to, about, overwrite=self.overwrite.value)
            self.close()


class ExportModel(Panel):
    """Writes a model for other programs as a job; hidden while there is no model.

    Parameters
    ----------
    context : Context
        The jobs and the message line.
    post_processing : callable, optional
        Returns the settings that labels are made with, for the page that goes with the model; without it, the defaults.

    Attributes
    ----------
    job_bar : JobBar
        *Export model…*, and its progress.
    window : ExportWindow or None
        The window that was opened last.
    """

    def __init__(self, context: Context, post_processing: Callable[[], PostProcessing] = PostProcessing) -> None:
        super().__init__()
        self._context, self._post_processing = context, post_processing
        self._model: Path | None = None
        self._written: ModelExported | None = None
        self._job: Job | None = None
        self.window: ExportWindow | None = None
        self.explaining = context.message.explaining
        self.job_bar = JobBar(
            "Export model…",
            "Write the model for other programs: ONNX, PyTorch, MONAI or bioimage.io.",
            self.ask,
            stop_text="Cancel",
        )
        self.lay_out(self.job_bar)
        self.offer(None)

    def offer(self, model: Path | None) -> None:
        """Offer to export a model; None for none."""
        self._model = model
        self.visible = model is not None or (self._job is not None and self._job.is_running)

    def ask(self) -> None:
        """Open the window that asks for format and folder."""
        if self._model is not None:
            self.window = ExportWindow(self, self._model)
            self.window.show()

    def export(
        self, model: Path, folder: Path, to: ExportFormat, about: ExportConfig, *, overwrite: bool = False
    ) -> None:
        """Write a model as a job.

        Parameters
        ----------
        model : Path
            The run folder or model file.
        folder : Path
            The folder to write.
        to : ExportFormat
            The format.
        about : ExportConfig
            What is written about the model.
        overwrite : bool
            Replace an exported model in the folder.

        Raises
        ------
        UserError
            When another export is running.
        """
        config = about.model_copy(update=self._post_processing().model_dump())
        events = partial(_events, model, folder, to, config, overwrite)
        job = self._context.jobs.start("export", f"Exporting {model.name}", events, progress=_progress)
        self._written, self._job = None, job
        self.job_bar.watch(job)
        job.reported.connect(self._on_event)
        job.failed.connect(self._context.message.show_error)
        job.ended.connect(self._on_ended)

    def _on_event(self, event: Any) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        match event:
            case ExportStep(text=text):
                self._context.message.show_message(f"{text} …")
            case ModelExported():
                self._written = event
                difference = max(event.tile_difference, event.volume_difference)
                self._context.message.show_message(
                    f"The model is exported; the output of the written file differs by at most {difference:.0e} from "
                    f"that of this program. It is in {event.folder}"
                )

    def _on_ended(self) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        self.offer(self._model)
        if self._job is not None and self._job.stopped and self._written is None:
            self._context.message.show_message("Cancelled; nothing was exported.")


def _events(model: Path, folder: Path, to: ExportFormat, config: ExportConfig, overwrite: bool) -> Any:
    from napari_unet3d.export.export import export_model  # imports torch

    return export_model(model, folder, to, config, overwrite=overwrite)


def _progress(event: Any) -> Progress | None:
    return Progress(event.n_done, event.n_steps) if isinstance(event, ExportStep) else None
