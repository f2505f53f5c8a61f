"""The buttons of the Dataset dock that move volumes to the trash of the dataset, and back."""

from __future__ import annotations

from psygnal import Signal

from napari_unet3d.data.trash import TrashedVolumes, list_trash, move_to_trash, restore
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import describe_names, format_count, quoted
from napari_unet3d.widgets.components.containers import Panel, button
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.dataset.lists import PairList
from napari_unet3d.widgets.forms.paths import PathEdit


class RemovalButtons(Panel):
    """Moves the selected volumes of a dataset to its trash, and puts back what was removed last.

    Parameters
    ----------
    context : Context
        The message line.
    folder : PathEdit
        The dataset folder.
    pairs : PairList
        Its volumes; the Delete key removes those that are selected.

    Attributes
    ----------
    changed_dataset : Signal()
        Emitted after files were moved, before the message that says so.
    remove_button, restore_button : PushButton
    """

    changed_dataset = Signal()

    def __init__(self, context: Context, folder: PathEdit, pairs: PairList) -> None:
        self._context, self._folder, self._pairs = context, folder, pairs
        self.remove_button = button(
            "Remove selected",
            "<qt>Move the selected volumes, with their labels, to the folder 'trash' of the dataset. 'Restore removed' "
            "puts them back. Key: Delete</qt>",
            self.remove_selected,
        )
        self.restore_button = button("Restore removed", "", self.restore_latest)
        super().__init__(self.remove_button, self.restore_button, layout="horizontal")
        for index in range(2):
            self.native.layout().setStretch(index, 1)
        pairs.delete_pressed.connect(self._on_delete_key)

    def remove_selected(self) -> None:
        """Move the selected volumes to the trash of the dataset."""
        if not (pairs := self._pairs.all_selected):
            return
        with self._context.message.explaining():
            trashed = move_to_trash(pairs)
            self.changed_dataset.emit()
            where = trashed.folder.relative_to(trashed.dataset).as_posix()
            self._context.message.show_message(
                f"{describe_names(trashed.names)} moved to '{where}' in the dataset; 'Restore removed' undoes it."
            )

    def restore_latest(self) -> None:
        """Put back what was removed last and is still in the trash of the dataset."""
        with self._context.message.explaining():
            self._folder.require("a dataset folder")
            if not (trash := self._trash()):
                raise UserError("The trash of this dataset is empty. 'Remove selected' moves volumes there.")
            restore(trash[0])
            self.changed_dataset.emit()
            more = f" {format_count(len(trash) - 1, 'earlier removal')} can be undone, too." if len(trash) > 1 else ""
            self._context.message.show_message(f"{describe_names(trash[0].names)} restored.{more}")

    def refresh(self) -> None:
        """Offer what is possible with the selection and the trash."""
        trash = self._trash()
        self.remove_button.enabled, self.restore_button.enabled = bool(self._pairs.all_selected), bool(trash)
        latest = quoted(trash[0].names) if trash else "the trash of this dataset is empty"
        self.restore_button.tooltip = f"Put back what was removed last from this dataset: {latest}."

    def _trash(self) -> list[TrashedVolumes]:
        folder = self._folder.value
        try:
            return [] if folder is None else list_trash(folder)
        except UserError:  # the folder cannot be read, which is said where its volumes are listed
            return []

    def _on_delete_key(self) -> None:
        if self.remove_button.enabled:
            self.remove_selected()
