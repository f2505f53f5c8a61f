"""Where a training runs: in the viewer, in a process that ends with it or goes on, or as a job of Slurm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from magicgui.widgets import LineEdit
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext

from napari_unet3d.configs.preferences import RunOn
from napari_unet3d.configs.slurm import SlurmConfig
from napari_unet3d.display import is_software_renderer
from napari_unet3d.session.detached_training import DetachedTraining
from napari_unet3d.session.generator_thread import JobControl
from napari_unet3d.session.launchers import BackgroundLauncher, Launcher, SlurmLauncher
from napari_unet3d.session.subprocess_training import SubprocessTraining
from napari_unet3d.session.training_job import TrainingRequest, train_on
from napari_unet3d.widgets.components.containers import Panel, column, show_text, single_shot, wrapping_label
from napari_unet3d.widgets.forms.choices import EnumMenu, remembered
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.preference_link import share_preferences

_GL_RENDERER = 0x1F01
_GOES_ON = "The training goes on when napari is closed; this dock finds it again."
_NOTES = {
    RunOn.BACKGROUND: _GOES_ON,
    RunOn.SLURM: f"The nodes must see the dataset and the run folder under the same paths. {_GOES_ON}",
}


@dataclass(frozen=True, slots=True)
class TrainingBackend:
    """How a training runs: its event generator, and what pauses and stops it if it runs in another process."""

    events: Callable[[], Iterator[Any]]
    control: JobControl | None = None


class RunOnPanel(Panel):
    """A menu, remembered, with what each place needs, and a hint where training in a separate process helps.

    Attributes
    ----------
    menu : EnumMenu of RunOn
        Where the training runs.
    prefix : LineEdit
        For a process in the background: a command that is put in front.
    slurm : ConfigForm of SlurmConfig
        What a job of Slurm is given.
    note, hint : Label
        What a place means; the hint is shown where 3D views are drawn without a graphics card.
    """

    def __init__(self) -> None:
        self.menu = EnumMenu(
            annotation=RunOn,
            label="Run on",
            tooltip="<qt>A separate process helps on a machine without a graphics card, where turning a 3D view slows "
            "down a training in the viewer; it ends with napari. In the background and on Slurm, the training goes on "
            "when napari is closed. Layers are written to the run folder first.</qt>",
        )
        self.prefix = remembered(
            LineEdit(
                label="In front",
                tooltip="<qt>A command that is put in front of that of the training, such as srun -G1, docker run … or "
                "nice; empty for none.</qt>",
            ),
            "run-in-front",
        )
        self.prefix.native.setPlaceholderText("srun -G1, nice, …")
        self.slurm: ConfigForm[SlurmConfig] = ConfigForm(SlurmConfig, "slurm")
        self.slurm.reset_button.hide()  # it would seem to reset the settings below
        self.note, self.hint = wrapping_label(), wrapping_label()
        super().__init__(column(self.menu, self.prefix, labels=True, spacing=4), self.slurm, self.note, self.hint)
        share_preferences(self, {"run_on": self.menu}, self.menu.changed)
        self._is_suggested = False
        self.menu.changed.connect(self._show_state)
        self._show_state()
        # Querying OpenGL takes some milliseconds; the dock opens without it.
        self._once_shown = single_shot(self.native, lambda: self.suggest_for(renderer()), 200)

    def backend(self, request: TrainingRequest) -> TrainingBackend:
        """Return how to run a training, as chosen; a `UserError` if an option of the place is wrong."""
        launcher: Launcher
        match self.menu.value:
            case RunOn.PROCESS:
                child = SubprocessTraining(request)
                return TrainingBackend(child.events, child)
            case RunOn.BACKGROUND:
                launcher = BackgroundLauncher(self.prefix.value)
            case RunOn.SLURM:
                launcher = SlurmLauncher(self.slurm.value)
            case _:
                return TrainingBackend(partial(train_on, request))
        detached = DetachedTraining(request.run_folder, request, launcher)
        return TrainingBackend(detached.events, detached)

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
            "A separate process is recommended here: 3D views are drawn without a graphics card, and turning them "
            "slows down a training in the viewer."
        )
        self._show_state()

    def _show_state(self, _: Any = None) -> None:
        place = self.menu.value
        self.prefix.visible = place is RunOn.BACKGROUND
        self.slurm.visible = place is RunOn.SLURM
        show_text(self.note, _NOTES.get(place, ""))
        self.hint.visible = self._is_suggested and place is RunOn.VIEWER


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
