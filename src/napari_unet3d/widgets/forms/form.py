"""A form made from a settings model, so that dock, command, run file and documentation cannot drift apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Generic, TypeVar

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_unet3d.configs import Config
from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import CollapsibleSection
from napari_unet3d.widgets.forms.create_editor import create_editor
from napari_unet3d.widgets.forms.editors import FieldEditor

ConfigT = TypeVar("ConfigT", bound=Config)
_LABEL_WIDTH = 110  # about that of the longest common label, so that the boxes of all sections stand in line


class ConfigForm(QWidget, Generic[ConfigT]):
    """A form with one row per setting; folded sections hold what is rarely changed.

    Read `value` when the user starts something; it is a checked, frozen config. A choice that carries settings
    of its own (such as a difficulty) sets the rows of these settings when it is made. Rows that have no meaning beside
    the other values are hidden, and count as their default.

    Parameters
    ----------
    config_class : type of Settings
        The model; its fields are the rows.
    remember_as : str, optional
        Name under which the values are kept for the next session; without it nothing is kept.
    without : collection of str, optional
        Fields that get no row and keep their defaults.

    Attributes
    ----------
    changed : Signal
        Emitted without arguments after the user or the program changed any value.
    """

    changed = Signal()

    def __init__(
        self, config_class: type[ConfigT], remember_as: str | None = None, *, without: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.config_class = config_class
        self._remember_as = remember_as
        self._quiet = False
        self.editors: dict[str, FieldEditor] = {}
        self._labels: dict[str, QLabel] = {}
        self._locked: frozenset[str] = frozenset()
        self._sections: dict[str, _Section] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        rows = compact_form_layout()
        column.addLayout(rows)
        for name in config_class.model_fields:
            if name not in without:
                self._add_row(name, rows)
        for section in self._sections.values():
            column.addWidget(section)
        self.reset_button = QPushButton("Reset to defaults")
        self.reset_button.setToolTip("Set every value above to its default.")
        self.reset_button.clicked.connect(self.reset)
        column.addWidget(self.reset_button, alignment=Qt.AlignmentFlag.AlignRight)
        self._show(self._remembered() or config_class())
        for name, box in self.editors.items():
            box.changed.connect(lambda *_, name=name: self._on_change(name))

    @property
    def value(self) -> ConfigT:
        """The settings as they stand in the form.

        Raises
        ------
        UserError
            When values do not go together, such as a smallest size above the largest.
        """
        return self.config_class(**self._values())

    @value.setter
    def value(self, config: ConfigT) -> None:
        self._show(config)
        self._announce()

    def reset(self) -> None:
        """Set every row to its default."""
        self.value = self.config_class()

    def set_locked(self, names: Collection[str]) -> None:
        """Leave some rows to something else, such as a model whose network is given; all others can be changed.

        Parameters
        ----------
        names : collection of str
            Fields whose rows are disabled. Their values in the form stay as they are, see `unlocked_values`.
        """
        self._locked = frozenset(names)
        for name, box in self.editors.items():
            for widget in (self._labels[name], box.native):
                widget.setEnabled(name not in self._locked)

    @property
    def unlocked_values(self) -> ConfigT:
        """The settings without those that are locked: these have their default and do not count as given by hand.

        Raises
        ------
        UserError
            As `value`.
        """
        return self.config_class(**{n: value for n, value in self._values().items() if n not in self._locked})

    def section(self, group: str) -> QCollapsible:
        """Return the folded section of a group, for example to open it."""
        return self._sections[group]

    def _add_row(self, name: str, rows: QFormLayout) -> None:
        field = self.config_class.model_fields[name]
        extra = field.json_schema_extra
        assert isinstance(extra, dict)  # `setting` always writes one
        box = create_editor(field.annotation, extra)
        self.editors[name] = box
        words = self.config_class.label_of(name)
        label = QLabel(words[0].upper() + words[1:])
        label.setMinimumWidth(_LABEL_WIDTH)
        self._labels[name] = label
        for widget in (label, box.native):
            widget.setToolTip(_wrapped(field.description or ""))
        if isinstance(group := extra.get("group"), str):
            rows = self._sections.setdefault(group, _Section(group)).rows
        rows.addRow(label, box.native)

    def _values(self) -> dict[str, Any]:
        """Return what the rows in view say."""
        values = {name: box.value for name, box in self.editors.items()}
        return {name: value for name, value in values.items() if self.config_class.is_relevant(name, values)}

    def _show(self, config: ConfigT) -> None:
        with self._quietly():
            for name, box in self.editors.items():
                box.value = getattr(config, name)
        self._tell_changes()

    def _on_change(self, name: str) -> None:
        if self._quiet:
            return
        chosen = self.editors[name].value
        if isinstance(chosen, Enum):
            self._show_settings_of(name, chosen)
        self._announce()

    def _show_settings_of(self, name: str, chosen: Enum) -> None:
        carried = {key for member in type(chosen) for key in getattr(member, "settings", {})}
        if not carried:
            return
        fresh = self.config_class(**{name: chosen})  # what another choice had set goes back to its default
        with self._quietly():
            for key in carried & self.editors.keys():
                self.editors[key].value = getattr(fresh, key)

    def _announce(self) -> None:
        self._tell_changes()
        self._keep()
        self.changed.emit()

    def _tell_changes(self) -> None:
        """Show the rows that have a meaning, and count in the headings those that are not at their default."""
        values, defaults = self._values(), self.config_class()
        for name, box in self.editors.items():
            for widget in (self._labels[name], box.native):
                widget.setVisible(name in values)
        for group, section in self._sections.items():
            names = [name for name in values if _group_of(self.config_class, name) == group]
            section.show_changes(sum(values[name] != getattr(defaults, name) for name in names))

    def _keep(self) -> None:
        if self._remember_as is None:
            return
        try:
            save_preference(self._remember_as, self.value.model_dump(mode="json"))
        except UserError:  # half-way between two values that go together; the next change is kept again
            return

    def _remembered(self) -> ConfigT | None:
        values = load_preference(self._remember_as) if self._remember_as is not None else None
        if not isinstance(values, dict):
            return None
        try:
            return self.config_class(**values)
        except UserError:  # written by another version
            return None

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


class _Section(CollapsibleSection):
    """A folded part of a form; its heading counts the values that are not the defaults."""

    def __init__(self, heading: str) -> None:
        content = QWidget()
        self.rows = compact_form_layout()
        content.setLayout(self.rows)
        super().__init__(heading, content)

    def show_changes(self, n_changed: int) -> None:
        """Say in the heading how many values are not the defaults."""
        self.show_remark(f"{n_changed} changed" if n_changed else "")


def compact_form_layout() -> QFormLayout:
    """Return a layout of label and box per row that fits a narrow dock."""
    rows = QFormLayout()
    rows.setContentsMargins(0, 2, 0, 2)
    rows.setHorizontalSpacing(8)
    rows.setVerticalSpacing(4)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return rows


def _group_of(config_class: type[Config], name: str) -> Any:
    extra = config_class.model_fields[name].json_schema_extra
    return extra.get("group") if isinstance(extra, dict) else None


def _wrapped(description: str) -> str:
    return f"<qt>{description}</qt>"  # rich text: Qt wraps it, plain tooltips run over the screen's edge
