"""Options of a training beside its settings: a separate process, the run folder, and the model to start from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext

from napari_unet3d.data.layout import is_dataset
from napari_unet3d.display import is_software_renderer
from napari_unet3d.files import CONFIG_FILE
from napari_unet3d.session.generator_thread import JobControl
from napari_unet3d.session.recent_runs import new_run_folder
from napari_unet3d.session.subprocess_training import SubprocessTraining
from napari_unet3d.session.training_job import TrainingRequest, train_on
from napari_unet3d.widgets.components.containers import Panel, column, single_shot, wrapping_label
from napari_unet3d.widgets.forms.paths import ModelPicker, PathEdit
from napari_unet3d.widgets.forms.preference_link import follow_preferences, share_preferences

_GL_RENDERER = 0x1F01


@dataclass(frozen=True, slots=True)
class TrainingBackend:
    """How a training runs: its event generator, and what pauses and stops it if it runs in another process."""

    events: Callable[[], Iterator[Any]]
    control: JobControl | None = None


class SubprocessOption(Panel):
    """A check box, remembered, with a hint where training in a separate process helps.

    Attributes
    ----------
    box : CheckBox
        Checked for a separate process.
    hint : Label
        Shown where 3D views are drawn without a graphics card and the box is not checked.
    """

    def __init__(self) -> None:
        self.box = CheckBox(
            text="Train in a separate process",
            tooltip="Helps on a machine without a graphics card, where turning a 3D view slows down a training in the "
            "viewer. Curves, Pause and Stop are the same, and so is the model. The process takes a few seconds to "
            "start and needs more memory; layers are written to the run folder for it first.",
        )
        self.hint = wrapping_label()
        super().__init__(self.box, self.hint)
        share_preferences(self, {"separate_process": self.box}, self.box.changed)
        self.hint.hide()
        self._is_suggested = False
        self.box.changed.connect(self._show_hint)
        # Querying OpenGL takes some milliseconds; the dock opens without it.
        self._once_shown = single_shot(self.native, lambda: self.suggest_for(renderer()), 200)

    def backend(self, request: TrainingRequest) -> TrainingBackend:
        """Return how to run a training, as chosen."""
        if not self.box.value:
            return TrainingBackend(partial(train_on, request))
        child = SubprocessTraining(request)
        return TrainingBackend(child.events, child)

    def look_soon(self) -> None:
        """Query OpenGL soon after the dock was shown, once."""
        if not self.hint.value:
            self._once_shown.start()

    def suggest_for(self, renderer: str | None) -> None:
        """Suggest a separate process where OpenGL is software.

        Parameters
        ----------
        renderer : str or None
            The name of the OpenGL renderer; None when it is unknown.
        """
        self._is_suggested = renderer is not None and is_software_renderer(renderer)
        self.hint.value = (
            "Recommended here: 3D views are drawn without a graphics card, and turning them slows down a training."
        )
        self._show_hint()

    def _show_hint(self) -> None:
        self.hint.visible = self._is_suggested and not self.box.value


def renderer() -> str | None:
    """Return the name of the OpenGL renderer, or None if unknown; the current OpenGL context stays current."""
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


class RunFolderRow(Panel):
    """The rows for the run folder and for the model to start from.

    Attributes
    ----------
    folder : PathEdit
        The run folder.
    start_from : ModelPicker
        The model; empty for a new network.
    """

    def __init__(self) -> None:
        tooltip = "Where the model, its settings and the loss history are written."
        self.folder = PathEdit("d", "run-folder", tooltip, label="Folder")
        self.start_from = ModelPicker(
            "New network",
            takes_newest=False,
            tooltip="A model whose weights the training starts from, also of qim3d (.pth); empty for a new network.",
            label="Start from",
        )
        self._hint = wrapping_label("Network and normalisation are those of the model.")
        rows = column(self.folder, self.start_from, labels=True, spacing=4)
        super().__init__(rows, self._hint)
        self._suggested: Path | None = None
        self._dataset: Path | None = None
        follow_preferences(self, self._on_preference)
        self._hint.hide()
        self.start_from.changed.connect(self._on_start_from)

    def suggest(self, dataset: Path | None) -> None:
        """Suggest a new folder, unless the user has named one that holds no run yet.

        It is beside the dataset if that exists, and is no copy of layers inside a run folder.
        """
        self._dataset = dataset
        if dataset is not None and (not is_dataset(dataset) or os.path.exists(dataset.parent / CONFIG_FILE)):
            dataset = None
        chosen = self.folder.value
        if self._suggested is None or chosen in (None, self._suggested) or os.path.exists(chosen / CONFIG_FILE):
            self._suggested = new_run_folder(dataset)
            self.folder.offer(self._suggested)

    def _on_preference(self, name: str, _value: Any) -> None:
        if name == "runs_folder":
            self.suggest(self._dataset)

    def _on_start_from(self) -> None:
        self._hint.visible = self.start_from.value is not None
