"""The files that a model is applied to, one after the other, with their voxel sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from magicgui.widgets import Select
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.data.formats.registry import file_filter, split_path
from napari_unet3d.data.reading import volume_paths
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.containers import Panel, button, row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.files_voxel_size import FilesOfList, FilesVoxelSizeRow

_LIST_HEIGHT = 76


class FileList(Panel):
    """A list of volumes, to which files and folders are added.

    Parameters
    ----------
    context : Context
        The viewer and its jobs.
    settings : ConfigForm
        The settings of the prediction, of which one is the voxel size of files that have none.

    Attributes
    ----------
    added : Signal(list)
        Emitted after files were added, with all of the list.
    paths : list of Path
        The files, or volumes inside files.
    select : Select
        The list; selected volumes can be removed.
    remove_button : PushButton
    voxel_size : FilesVoxelSizeRow
        The voxel sizes of the files.
    """

    added = Signal(list)

    def __init__(self, context: Context, settings: Any) -> None:
        super().__init__(spacing=4)
        self.paths: list[Path] = []
        self.select = Select(choices=self._choices, tooltip="The volumes to predict, one after the other.")
        self.select.native.setFixedHeight(_LIST_HEIGHT)
        self.voxel_size = FilesVoxelSizeRow(context, "predicted files", FilesOfList(lambda: self.paths, settings))
        settings.changed.connect(self.voxel_size.show_sizes)
        self.remove_button = button(
            "Remove",
            "Remove the selected volumes, or the last one, from the list; the files stay.",
            self.remove_selected,
        )
        folder_button = button(
            "Add folder…",
            "Add a volume that is a folder: OME-Zarr, a group or field inside one, or slices.",
            self._choose_folder,
        )
        add_button = button("Add files…", "Add volumes that are files, such as TIFF, NIfTI or npy.", self._choose_files)
        self.remove_button.enabled = False
        self.lay_out(self.select, row(self.remove_button, folder_button, add_button), self.voxel_size)

    def require(self) -> tuple[Path, ...]:
        """Return the files.

        Raises
        ------
        UserError
            If there are none.
        """
        if not self.paths:
            raise UserError("No files are chosen; add at least one volume to the list.")
        return tuple(self.paths)

    def add(self, paths: Sequence[Path | str]) -> None:
        """Add files, or all volumes of a file that holds several."""
        volumes = [volume for path in paths for volume in volume_paths(path)]
        self.paths += [path for path in volumes if path not in self.paths]
        self._show()
        if self.paths:
            self.added.emit(self.paths)

    def remove_selected(self) -> None:
        """Remove the selected files from the list, or the last one."""
        selected = self.select.value or [len(self.paths) - 1]
        self.paths = [path for index, path in enumerate(self.paths) if index not in selected]
        self._show()

    def _choices(self, _list: Any) -> list[tuple[str, int]]:
        names = [_short(path) for path in self.paths]
        texts = [_short(path) if names.count(_short(path)) == 1 else str(path) for path in self.paths]
        return [(text, index) for index, text in enumerate(texts)]

    def _show(self) -> None:
        self.select.reset_choices()
        for index, path in enumerate(self.paths):
            self.select.native.item(index).setToolTip(str(path))
        self.remove_button.enabled = bool(self.paths)
        self.voxel_size.refresh()

    def _choose_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self.native, "Choose volumes", "", file_filter())
        self.add(chosen)

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self.native, "Choose a Zarr folder, or a folder of slices"):
            self.add([chosen])


def _short(path: Path) -> str:
    """Return the name of a file, with the path of the volume inside it."""
    file, inner = split_path(path)
    return f"{file.name}/{inner}" if inner else file.name
