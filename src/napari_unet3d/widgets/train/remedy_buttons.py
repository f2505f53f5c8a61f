"""The button beside an issue that applies a setting which solves it."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.issues import Remedy
from napari_unet3d.errors import UserError
from napari_unet3d.session.remedies import apply_remedy, describe_remedy, is_applied, undo_of, value_words
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.viewer.connections import connect_while_alive


class RemedyButton(QPushButton):
    """Applies a remedy to the settings, and takes it back at the next click.

    Disabled where the settings are as it wants them already, or something else decides about them.

    Parameters
    ----------
    remedy : Remedy
        What to apply.
    settings : ConfigForm of TrainingConfig
        The form.
    is_only : bool
        Whether the issue has no other remedy; else the button says which one it is.
    """

    def __init__(self, remedy: Remedy, settings: ConfigForm[TrainingConfig], *, is_only: bool = True) -> None:
        super().__init__()
        self._remedy, self._settings = remedy, settings
        self._name = "Apply" if is_only else f"Apply {value_words(remedy)}"
        self._undo: Remedy | None = None
        self.clicked.connect(self._on_click)
        connect_while_alive(self, settings.changed, self._show_state)
        self._show_state()

    def _on_click(self) -> None:
        undo = self._undo
        remedy = self._remedy if undo is None else undo
        try:
            before = self._settings.value
            changed = apply_remedy(before, remedy)
        except UserError as error:
            self.setToolTip(f"<qt>{error}</qt>")
            self.setText("Not possible")
            self.setEnabled(False)
            return
        self._undo = undo_of(before, remedy) if undo is None else None
        self._settings.value = changed  # which shows the state of all buttons
        self._expand_rows()

    def _expand_rows(self) -> None:
        """Show the rows of the settings, so that it can be seen what has changed."""
        for name, _ in self._remedy.values:
            extra = TrainingConfig.model_fields[name].json_schema_extra
            group = extra.get("group") if isinstance(extra, dict) else None
            if isinstance(group, str):
                self._settings.expand(group)

    def _show_state(self) -> None:
        try:
            applied = is_applied(self._settings.value, self._remedy)
        except UserError:  # settings contradict each other while they are changed
            applied = False
        if not applied:
            self._undo = None
        what = describe_remedy(self._remedy)
        decided = any(not self._settings.editors[name].enabled for name, _ in self._remedy.values)
        self.setEnabled(not decided and (not applied or self._undo is not None))
        self.setText("Undo" if self._undo is not None else "Applied" if applied else self._name)
        if decided:
            self.setToolTip("<qt>Something else decides about this: the model to start from, or the annotation.</qt>")
        elif self._undo is not None:
            self.setToolTip(f"<qt>Set it back to {describe_remedy(self._undo)}.</qt>")
        else:
            self.setToolTip(f"<qt>Set {what}. Train or Check again with it.</qt>")
