"""The voxel sizes of files that a dock works on: read from their headers, shown, and given for those that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from psygnal import Signal

from napari_unet3d.configs.training_enums import VoxelSizeSource
from napari_unet3d.data.dataset_voxel_size import VOXEL_SIZE_FILE, read_given_voxel_size, write_given_voxel_size
from napari_unet3d.data.geometry import Geometry, VoxelSize, describe_voxel_size
from napari_unet3d.data.layout import Subset, is_dataset
from napari_unet3d.data.voxel_size_survey import VolumeVoxelSize, VoxelSizes, survey_dataset, survey_files
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.voxel_size_editor import VoxelSizeEditor
from napari_unet3d.widgets.viewer.connections import connect_while_alive

_N_LINES = 20


class SurveyedFiles(Protocol):
    """Files whose voxel sizes are shown, and where the one is kept that is given for those without."""

    set_tooltip: str

    def survey(self) -> Callable[[], Iterator[VolumeVoxelSize]] | None:
        """Return what reads the headers; None while there are no files."""

    def given(self) -> VoxelSize | None:
        """Return the voxel size that `give` kept, or None."""

    def used(self) -> VoxelSize | None:
        """Return the voxel size that is used for files without one, or None."""

    def give(self, voxel_size_um: VoxelSize | None) -> str:
        """Keep a voxel size for files without one, or None for no longer; return a message that says so."""


class FilesVoxelSizeRow(VoxelSizeEditor):
    """The voxel sizes of files; hidden while there are none.

    Headers are read in a thread, so that slow disks do not delay the dock.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.
    kind : str
        The kind of the jobs that read headers, one per dock.
    files : SurveyedFiles
        What is shown.

    Attributes
    ----------
    settled : Signal()
        Emitted when the voxel sizes of all files are shown.
    """

    settled = Signal()

    def __init__(self, context: Context, kind: str, files: SurveyedFiles) -> None:
        super().__init__(context, files.set_tooltip, "Give the voxel size again that was given before, or none.")
        self._files = files
        self._volumes: list[VolumeVoxelSize] = []
        self._before: list[VoxelSize | None] = []
        self._work = context.latest_only(self.native, f"voxel sizes of {kind}", stops=True)
        self._work.settled.connect(self._on_read)
        self.hide()

    def refresh(self) -> None:
        """Read the headers of the files that are chosen now, in a thread."""
        self._work.cancel()
        self._volumes.clear()
        if (survey := self._files.survey()) is None:
            self.hide()
        else:
            self._work.request("Read voxel sizes", survey, self._volumes.append)

    def forget(self) -> None:
        """Forget what was given before and hide the boxes, since other files were chosen."""
        self._before.clear()
        self.close_boxes()
        self.refresh()

    def show_sizes(self) -> None:
        """Show the voxel sizes that were read, with the one that is given now."""
        if not self._volumes or self._is_gone:
            self.hide()
            return
        try:
            sizes = VoxelSizes(self._volumes, self._files.used())
        except UserError as error:  # a damaged file of the dataset
            self._show(str(error), is_known=False, can_undo=False)
        else:
            is_known = not sizes.unknown and not sizes.unreadable
            self._show(sizes.describe(), is_known=is_known, can_undo=bool(self._before))
            lines = sizes.details()
            more = [f"… and {len(lines) - _N_LINES} more"] if len(lines) > _N_LINES else []
            self.text.tooltip = "\n".join([*lines[:_N_LINES], *more])
        self.show()

    def undo(self) -> None:
        """Restore the voxel size that was given before the last one."""
        with self._context.message.explaining():
            if self._before:
                message = self._files.give(self._before[-1])
                self._before.pop()
                self.show_sizes()
                self._context.message.show_message(message)

    def _size_to_offer(self) -> VoxelSize | None:
        return VoxelSizes(self._volumes, self._files.used()).to_offer() if self._volumes else None

    def _set(self, voxel_size_um: VoxelSize) -> str:
        before = self._files.given()
        message = self._files.give(voxel_size_um)
        self._before.append(before)
        self.show_sizes()
        if self._volumes and not VoxelSizes(self._volumes, voxel_size_um).completed:
            message += " None of these files needs it: all have a voxel size, which is kept."
        return message

    def _on_read(self) -> None:
        if not self._is_gone:
            self.show_sizes()
            self.settled.emit()


class FilesOfDataset:
    """The volumes of a dataset; a voxel size that is given for them is kept in their folder.

    Parameters
    ----------
    folder : callable
        Returns the dataset that is chosen, or None.
    subset : Subset, optional
        Only this subset is shown.

    Attributes
    ----------
    setting : callable
        Returns the voxel size of the settings of the dock, which is used while none is kept in the folder.
    """

    set_tooltip = (
        "<qt>Give the voxel size of the volumes whose files have none. It is kept in voxel_size.json of the dataset, "
        "and used by all docks and by the command; the volumes stay as they are, and a voxel size that a file has is "
        "kept.</qt>"
    )

    def __init__(self, folder: Callable[[], Path | None], subset: Subset | None = None) -> None:
        self._folder, self._subset = folder, subset
        self.setting: Callable[[], VoxelSize | None] = lambda: None

    def survey(self) -> Callable[[], Iterator[VolumeVoxelSize]] | None:
        """Return what reads the headers; None without a dataset."""
        folder = self._folder()
        if folder is None or not is_dataset(folder):
            return None
        return lambda: survey_dataset(folder, self._subset)

    def given(self) -> VoxelSize | None:
        """Return the voxel size in the folder of the dataset."""
        folder = self._folder()
        return None if folder is None else read_given_voxel_size(folder)

    def used(self) -> VoxelSize | None:
        """Return the voxel size in the folder of the dataset, else that of the settings of the dock."""
        return self.given() or self.setting()

    def give(self, voxel_size_um: VoxelSize | None) -> str:
        """Write the voxel size to the folder of the dataset, or delete it."""
        folder = self._folder()
        if folder is None:
            raise UserError("No dataset is chosen; choose the folder of one first.")
        write_given_voxel_size(folder, voxel_size_um)
        dataset_voxel_size_given.emit(str(folder))
        if voxel_size_um is None:
            return f"No voxel size is given for the volumes of '{folder.name}' any more."
        return (
            f"{describe_voxel_size(Geometry(voxel_size_um))} is used for the volumes of '{folder.name}' whose files "
            f"have no voxel size; it is kept in {VOXEL_SIZE_FILE} of the folder."
        )


class _Given:
    """How rows of several docks learn that the voxel size of a dataset was given."""

    changed = Signal(str)


_given = _Given()
dataset_voxel_size_given = _given.changed


class DatasetVoxelSizeRow(FilesVoxelSizeRow):
    """The voxel sizes of the dataset in a line for its folder.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.
    kind : str
        One per dock.
    folder : PathEdit
        The line for the folder.
    subset : Subset, optional
        Only this subset is shown.
    """

    def __init__(self, context: Context, kind: str, folder: Any, subset: Subset | None = None) -> None:
        self._folder, self._dataset = folder, FilesOfDataset(lambda: folder.value, subset)
        super().__init__(context, kind, self._dataset)
        folder.changed.connect(self.forget)
        connect_while_alive(self.native, dataset_voxel_size_given, self._on_given)
        self.refresh()

    def follow_setting(self, form: Any) -> None:
        """Show the voxel size of the settings in a form where the folder keeps none."""
        self._dataset.setting = lambda: voxel_size_in(form)
        form.changed.connect(self.show_sizes)
        self.show_sizes()

    def _on_given(self, folder: str) -> None:
        if self._folder.value is not None and Path(folder) == self._folder.value:
            self.show_sizes()


class FilesOfList:
    """Files in a list; the voxel size that is given for them is a setting of the dock.

    Parameters
    ----------
    paths : callable
        Returns the files.
    form : ConfigForm
        The settings, with one called `voxel_size`.
    """

    set_tooltip = (
        "<qt>Give the voxel size of files that have none: the setting 'voxel size (µm)' of the prediction. The files "
        "stay as they are, a voxel size that a file has is kept, and results are written with it.</qt>"
    )

    def __init__(self, paths: Callable[[], Sequence[Path]], form: Any) -> None:
        self._paths, self._form = paths, form

    def survey(self) -> Callable[[], Iterator[VolumeVoxelSize]] | None:
        """Return what reads the headers; None while the list is empty."""
        paths = list(self._paths())
        return (lambda: survey_files(paths)) if paths else None

    def given(self) -> VoxelSize | None:
        """Return the voxel size of the setting."""
        return voxel_size_in(self._form)

    def used(self) -> VoxelSize | None:
        """Return the same."""
        return self.given()

    def give(self, voxel_size_um: VoxelSize | None) -> str:
        """Change the setting."""
        self._form.editors["voxel_size"].value = voxel_size_um or (VoxelSizeSource.FILE,)
        if voxel_size_um is None:
            return "No voxel size is given any more for files that have none."
        return (
            f"{describe_voxel_size(Geometry(voxel_size_um))} is used for files that have no voxel size, also for those "
            "that are predicted later, until the setting 'voxel size (µm)' is 'As in the file' again."
        )


def voxel_size_in(form: Any) -> VoxelSize | None:
    """Return the voxel size in µm in the settings of a form; None while it is that of the files."""
    value = form.editors["voxel_size"].value
    return None if isinstance(value[0], str) else value
