"""The choice of the Train dock whether a training runs in the viewer or in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext, QShowEvent
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_unet3d.display import is_software_renderer
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.recent_runs import new_run_folder
from napari_unet3d.session.subprocess_training import SubprocessTraining
from napari_unet3d.session.training_job import TrainingRequest, train_on
from napari_unet3d.widgets.components.run_bar import compact_form_layout, wrapping_label
from napari_unet3d.widgets.forms.model_picker import ModelPicker
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.jobs.worker import JobControl

_KEY = "train-own-process"
_GL_RENDERER = 0x1F01


@dataclass(frozen=True, slots=True)
class TrainingBackend:
    """How a training is carried out: its generator, and where orders go when it works elsewhere."""

    events: Callable[[], Iterator[Any]]
    control: JobControl | None = None


class SubprocessOption(QWidget):
    """A box to tick, remembered, with a hint where it helps.

    Attributes
    ----------
    box : QCheckBox
        Ticked for a process of its own.
    hint : QLabel
        In view where 3D views are drawn without a graphics card and the box is not ticked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox("Train in a process of its own")
        self.box.setToolTip(
            "Helps on a machine without a graphics card, where turning a 3D view takes the time from a training in the "
            "viewer. Curves, Pause and Stop are the same, and so is the model. The process takes a few seconds to "
            "start and needs more memory; layers are written to the run folder for it first."
        )
        self.box.setChecked(load_preference(_KEY) is True)
        self.hint = wrapping_label()
        self.hint.hide()
        self._suggests = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.box)
        column.addWidget(self.hint)
        self.box.toggled.connect(self._on_toggled)
        self._once_shown = QTimer(self)  # looking at OpenGL takes some milliseconds, which opening the dock need not
        self._once_shown.setSingleShot(True)
        self._once_shown.timeout.connect(lambda: self.suggest_for(renderer()))

    def training(self, order: TrainingRequest) -> TrainingBackend:
        """Return a training the way it is chosen."""
        if not self.box.isChecked():
            return TrainingBackend(partial(train_on, order))
        child = SubprocessTraining(order)
        return TrainingBackend(child.events, child)

    def suggest_for(self, renderer: str | None) -> None:
        """Suggest a process of its own where OpenGL is software.

        Parameters
        ----------
        renderer : str or None
            What OpenGL calls itself; None when it does not tell.
        """
        self._suggests = renderer is not None and is_software_renderer(renderer)
        self.hint.setText(
            "Worth it here: 3D views are drawn without a graphics card, and turning them slows a training down."
        )
        self._show_hint()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at OpenGL once the dock is in view."""
        super().showEvent(event)
        if not self.hint.text():
            self._once_shown.start(200)

    def _on_toggled(self, is_on: bool) -> None:
        save_preference(_KEY, is_on)
        self._show_hint()

    def _show_hint(self) -> None:
        self.hint.setVisible(self._suggests and not self.box.isChecked())


def renderer() -> str | None:
    """Ask OpenGL what draws; None when it does not tell. What was current in OpenGL is current after it."""
    from vispy.gloo import gl

    before = QOpenGLContext.currentContext()
    surface, context = QOffscreenSurface(), QOpenGLContext()
    surface.create()
    if not (context.create() and context.makeCurrent(surface)):
        return None
    try:
        name = gl.glGetParameter(_GL_RENDERER)
    except (RuntimeError, OSError):
        return None
    finally:
        context.doneCurrent()
        if before is not None and before.surface() is not None:
            before.makeCurrent(before.surface())
    return str(name)


class RunFolderRow(QWidget):
    """The rows for the run folder and for the model to start from.

    Attributes
    ----------
    folder : PathEdit
        The run folder.
    start_from : ModelPicker
        The model; empty for a new network.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = PathEdit("d", "run-folder", "Where the model, its settings and the loss history are written.")
        words = "A model whose weights the training begins with, also one of qim3d (.pth); empty for a new network."
        self.start_from = ModelPicker("New network", takes_newest=False, tooltip=words)
        self._hint = wrapping_label()
        self._hint.setText("Network and normalisation are those of the model.")
        self._hint.hide()
        self._suggested: Path | None = None
        rows = compact_form_layout()
        rows.addRow("Folder", self.folder.native)
        rows.addRow("Start from", self.start_from.native)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        column.addWidget(self._hint)
        self.start_from.changed.connect(lambda: self._hint.setVisible(self.start_from.value is not None))

    def suggest(self, dataset: Path | None) -> None:
        """Name a new folder beside a dataset, unless the person has named one that holds no run yet."""
        mine = self.folder.value
        if self._suggested is None or mine is None or mine == self._suggested or (mine / "config.json").exists():
            self._suggested = new_run_folder(dataset)
            self.folder.value = self._suggested
