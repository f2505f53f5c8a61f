"""A form made from a settings model, so that dock, command, run file and documentation cannot drift apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Generic, TypeVar

from magicgui.widgets import Container, PushButton, Widget
from qtpy.QtCore import Qt

from napari_unet3d.configs import Config
from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import HEADING_STYLE, heading_text
from napari_unet3d.widgets.forms.fields import create_field

ConfigT = TypeVar("ConfigT", bound=Config)


class FormSection:
    """A section of a form: a heading that shows and hides the rows of its settings.

    Attributes
    ----------
    heading : PushButton
        Its text counts the values that are not the defaults.
    names : list of str
        The settings of the section.
    is_expanded : bool
        Whether its rows are shown.
    """

    def __init__(self, text: str) -> None:
        self.heading = PushButton(text=text, tooltip="Show or hide these settings.")
        self.heading.native.setStyleSheet(HEADING_STYLE)
        self.heading.changed.block()  # it is no value of the form
        self.names: list[str] = []
        self.is_expanded, self._text, self.is_offered = False, text, True

    def write_heading(self, n_changed: int) -> None:
        """Show in the heading whether the rows are shown and how many values are not the defaults."""
        remark = f"{n_changed} changed" if n_changed else ""
        self.heading.text = heading_text(self._text, remark, is_open=self.is_expanded)


class ConfigForm(Container[Widget], Generic[ConfigT]):
    """A form with one row per setting; sections that can be collapsed hold what is rarely changed.

    The widget of each setting is an attribute of its name: ``form.epochs.value = 5``. `value` is the checked, frozen
    config of all. A choice that carries settings of its own (such as a difficulty) sets the rows of these settings when
    it is made. Rows that have no meaning beside the other values are hidden, and count as their default.

    Parameters
    ----------
    config_class : type of Config
        The model; its fields are the rows.
    remember_as : str, optional
        Name under which the values are kept for the next session; without it nothing is kept.
    without : collection of str, optional
        Fields that get no row and keep their defaults.

    Attributes
    ----------
    changed : Signal(object)
        Emitted with the form after the user or a program changed any value.
    editors : dict of str to Widget
        The widgets of the settings by their names.
    """

    def __init__(
        self, config_class: type[ConfigT], remember_as: str | None = None, *, without: Collection[str] = ()
    ) -> None:
        self.config_class, self._remember_as, self._quiet = config_class, remember_as, True
        self._locked: frozenset[str] = frozenset()
        self._sections: dict[str, FormSection] = {}
        names = [name for name in config_class.model_fields if name not in without]
        self.editors: dict[str, Any] = {name: create_field(config_class, name) for name in names}
        for name, editor in self.editors.items():  # before the container passes the change on
            editor.changed.connect(lambda *_, name=name: self._on_change(name))
            if (group := _group_of(config_class, name)) is not None:
                if group not in self._sections:
                    self._sections[group] = FormSection(group)
                self._sections[group].names.append(name)
        super().__init__(widgets=self._rows(), labels=True)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(4)
        self.reset_button = PushButton(text="Reset to defaults", tooltip="Set every value above to its default.")
        self.append(self.reset_button)
        self.native.layout().setAlignment(self.reset_button.native, Qt.AlignmentFlag.AlignRight)
        self.reset_button.clicked.connect(self.reset)
        for group, section in self._sections.items():
            section.heading.native.clicked.connect(lambda *_, group=group: self.expand(group, None))
        self._show(self._remembered() or config_class())
        self._quiet = False

    def _rows(self) -> list[Widget]:
        in_sections = {name for section in self._sections.values() for name in section.names}
        rows: list[Widget] = [editor for name, editor in self.editors.items() if name not in in_sections]
        for section in self._sections.values():
            rows += [section.heading, *(self.editors[name] for name in section.names)]
        return rows

    @property
    def value(self) -> ConfigT:
        """The settings as they are in the form.

        Raises
        ------
        UserError
            When values contradict each other, such as a smallest size above the largest.
        """
        return self.config_class(**self._values())

    @value.setter
    def value(self, config: ConfigT) -> None:
        self._show(config)
        self._announce()
        self.changed.emit(self)

    @property
    def labels(self) -> Any:  # type: ignore[misc]  # magicgui can also set it
        """The widget of the setting of that name; where there is none, as in magicgui, whether rows have labels."""
        return self.editors.get("labels", self._labels)

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
        for name, editor in self.editors.items():
            editor.enabled = name not in self._locked

    @property
    def unlocked_values(self) -> ConfigT:
        """The settings without those that are locked: these have their default and do not count as given by hand.

        Raises
        ------
        UserError
            As `value`.
        """
        return self.config_class(**{n: value for n, value in self._values().items() if n not in self._locked})

    def section(self, group: str) -> FormSection:
        """Return the section of a group."""
        return self._sections[group]

    def expand(self, group: str, expanded: bool | None = True) -> None:
        """Show the rows of a section, hide them, or (None) change between both."""
        section = self._sections[group]
        section.is_expanded = not section.is_expanded if expanded is None else expanded
        self._show_rows()

    def offer(self, group: str, offered: bool) -> None:
        """Show a section, or hide it with its heading."""
        self._sections[group].is_offered = offered
        self._show_rows()

    def _values(self) -> dict[str, Any]:
        """Return the values of the rows that have a meaning."""
        values = {name: editor.value for name, editor in self.editors.items()}
        return {name: value for name, value in values.items() if self.config_class.is_relevant(name, values)}

    def _show(self, config: ConfigT) -> None:
        with self._quietly():
            for name, editor in self.editors.items():
                editor.value = getattr(config, name)
        self._show_rows()

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
        self._show_rows()
        self._keep()

    def _show_rows(self) -> None:
        """Show the rows that have a meaning, and count in the headings those that are not at their default."""
        values, defaults = self._values(), self.config_class()
        for section in self._sections.values():
            section.write_heading(sum(values[n] != getattr(defaults, n) for n in section.names if n in values))
            section.heading.visible = section.is_offered
        collapsed = {
            n for each in self._sections.values() if not (each.is_expanded and each.is_offered) for n in each.names
        }
        for name, editor in self.editors.items():
            editor.visible = name in values and name not in collapsed

    def _keep(self) -> None:
        if self._remember_as is None:
            return
        try:
            save_preference(self._remember_as, self.value.model_dump(mode="json"))
        except UserError:  # between two values that belong together; the next change is kept again
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
        before, self._quiet = self._quiet, True
        try:
            with self.changed.blocked():
                yield
        finally:
            self._quiet = before


def _group_of(config_class: type[Config], name: str) -> str | None:
    extra = config_class.model_fields[name].json_schema_extra
    group = extra.get("group") if isinstance(extra, dict) else None
    return group if isinstance(group, str) else None
