"""The buttons that go on with the model of a run, in the other docks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.run_files import read_run_files

if TYPE_CHECKING:
    from napari_unet3d.widgets.kit.base import Dock


class ModelActions(QWidget):
    """Leads from a run to the docks Predict and Inspect; hidden while there is no model.

    Parameters
    ----------
    dock : Dock
        Its viewer opens the other docks.

    Attributes
    ----------
    predict_button, inspect_button : QPushButton
        The second is hidden when the run did not learn from a dataset that is still there.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._dock = dock
        self._run: Path | None = None
        self.predict_button, self.inspect_button = QPushButton("Predict with it"), QPushButton("Inspect its errors")
        self.predict_button.setToolTip("Open the dock Predict with the model of this run.")
        self.inspect_button.setToolTip(
            "Predict the test volumes of the dataset, or the training volumes when it has none, and list every error."
        )
        self.predict_button.clicked.connect(self._predict)
        self.inspect_button.clicked.connect(self._inspect)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.predict_button, 1)
        row.addWidget(self.inspect_button, 1)
        self.offer(None)

    def offer(self, run: Path | None) -> None:
        """Offer to go on with the model of a run folder, or with none."""
        self._run = run
        self.setVisible(run is not None)
        self.inspect_button.setVisible(run is not None and _has_dataset(run))

    def _predict(self) -> None:
        if self._run is not None:
            self._dock.open_dock("Predict").use_run(self._run)

    def _inspect(self) -> None:
        if self._run is not None:
            self._dock.open_dock("Inspect").inspect_run(self._run)


def _has_dataset(run: Path) -> bool:
    try:
        dataset = read_run_files(run).dataset
    except UserError:
        return False
    return dataset is not None and dataset.is_dir()
