"""The buttons of the Train dock that lead from a run to the docks Predict and Inspect."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import Container, PushButton, Widget

from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.widgets.components.containers import row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dock_tabs import open_dock


class ModelActions(Container[Widget]):
    """Opens Predict and Inspect with the model of a run; hidden while there is no model.

    Parameters
    ----------
    context : Context
        The viewer that the docks are opened in.

    Attributes
    ----------
    predict_button, inspect_button : PushButton
        The second is hidden when the run was not trained on a dataset that still exists.
    """

    def __init__(self, context: Context) -> None:
        self._viewer = context.viewer
        self._run: Path | None = None
        self.predict_button = PushButton(
            text="Predict with it", tooltip="Open the dock Predict with the model of this run."
        )
        self.inspect_button = PushButton(
            text="Inspect its errors",
            tooltip="Predict the test volumes of the dataset, or the training volumes when it has none, and list every "
            "error.",
        )
        super().__init__(widgets=[row(self.predict_button, self.inspect_button)], labels=False)
        self.margins = (0, 0, 0, 0)
        self.predict_button.clicked.connect(self.predict)
        self.inspect_button.clicked.connect(self.inspect)
        self.offer(None)

    def offer(self, run: Path | None) -> None:
        """Offer the model of a run folder, or none."""
        self._run = run
        self.visible = run is not None
        self.inspect_button.visible = run is not None and _has_dataset(run)

    def predict(self) -> None:
        """Open the dock Predict with the model."""
        if self._run is not None:
            open_dock(self._viewer, "Predict").use_run(self._run)

    def inspect(self) -> None:
        """Open the dock Inspect, and find the errors of the model."""
        if self._run is not None:
            open_dock(self._viewer, "Inspect").inspect_run(self._run)


def _has_dataset(run: Path) -> bool:
    try:
        dataset = read_run_files(run).dataset
    except UserError:
        return False
    return dataset is not None and dataset.is_dir()
