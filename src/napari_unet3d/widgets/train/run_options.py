"""Options of a training beside its settings: the run folder, and the model to start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_unet3d.data.layout import is_dataset
from napari_unet3d.files import CONFIG_FILE
from napari_unet3d.session.recent_runs import new_run_folder
from napari_unet3d.widgets.components.containers import Panel, column, wrapping_label
from napari_unet3d.widgets.forms.paths import ModelPicker, PathEdit
from napari_unet3d.widgets.forms.preference_link import follow_preferences


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
            tooltip="A model whose weights the training starts from, also of qim3d (.pth) or bioimage.io (.zip); empty "
            "for a new network.",
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
