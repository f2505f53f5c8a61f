"""A form made from a settings model, so that dock, command, run file and documentation cannot drift apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum, EnumType
from types import GenericAlias, NoneType
from typing import Any, Generic, TypeVar, get_args, get_origin

from magicgui.widgets import Widget, create_widget
from qtpy.QtCore import Qt

from napari_unet3d.configs import Config
from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import Heading, Panel, align_labels, button, label_of
from napari_unet3d.widgets.forms.choices import CheckList, ListLine, WordOrNumbers
from napari_unet3d.widgets.forms.numbers import NumberEdit

ConfigT = TypeVar("ConfigT", bound=Config)


def create_field(config_class: type[Config], name: str) -> Any:
    """Return the widget for a setting: `magicgui.widgets.create_widget` with what its declaration says.

    Parameters
    ----------
    config_class : type of Config
        The model.
    name : str
        The field: a `bool`, `int`, `float`, `str`, an enum, ``int | None``, a tuple of numbers of fixed length, or a
        tuple of any length of members of an enum, of texts, of numbers, or of one member of an enum or three numbers.
    """
    field, label = config_class.model_fields[name], config_class.label_of(name)
    declared = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    tooltip = f"<qt>{field.description}</qt>"  # rich text: Qt wraps it, plain text runs off the screen
    options = {"tooltip": tooltip, **_options(field.annotation, declared)}
    return create_widget(annotation=field.annotation, name=name, label=label[0].upper() + label[1:], options=options)


def _options(annotation: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the widget; magicgui chooses it by the type, unless they name a ``widget_type``."""
    if annotation in (int, float):
        bounds = {"min": declared.get("minimum"), "max": declared.get("maximum")}
        options = {key: declared.get(key) for key in ("step", "zero_text")}
        return {"widget_type": NumberEdit, **options, **{key: each for key, each in bounds.items() if each is not None}}
    elements = get_args(annotation)
    if NoneType in elements:
        number: Any = create_widget(annotation=elements[0], options=_options(elements[0], declared))
        if declared.get("initial") is not None:
            number.value = declared["initial"]
        words = [(declared.get("none_text") or "none", None)]
        return {"widget_type": WordOrNumbers, "words": words, "last": "value", "editor": number}
    if get_origin(annotation) is not tuple:
        return {}
    if elements[-1] is not Ellipsis:
        return {"options": {**_options(elements[0], declared), "compact": True}}
    return _options_of_list(elements[0], declared)


def _options_of_list(element: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(element, EnumType):
        return {"widget_type": CheckList, "members": tuple(element)}
    if not get_args(element):
        return {"widget_type": ListLine, "element": element}
    modes, number = get_args(element)  # one of the modes, or three numbers
    triple = GenericAlias(tuple, (number,) * 3)
    editor: Any = create_widget(annotation=triple, options=_options(triple, declared))
    if declared.get("initial") is not None:
        editor.value = (declared["initial"],) * 3
    words = [(mode.label, (mode,)) for mode in modes]
    return {"widget_type": WordOrNumbers, "words": words, "last": "z y x", "editor": editor}


class FormSection:
    """A section of a form: `names` are its settings; `heading` shows and hides their rows."""

    def __init__(self, text: str) -> None:
        self.names = list[str]()
        self.is_offered, self.is_expanded = True, False
        self.heading = Heading(text, "Show or hide these settings.")
        self.heading.changed.block()  # it is no value of the form


class ConfigForm(Panel, Generic[ConfigT]):
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
        self.config_class, self._remember_as, self._quiet = config_class, remember_as, False
        self._locked: frozenset[str] = frozenset()
        self._sections: dict[str, FormSection] = {}
        names = [name for name in config_class.model_fields if name not in without]
        self.editors: dict[str, Any] = {name: create_field(config_class, name) for name in names}
        for name, editor in self.editors.items():  # before the container passes the change on
            editor.changed.connect(lambda *_, name=name: self._on_change(name))
        self.reset_button = button("Reset to defaults", "Set every value above to its default.", self.reset)
        super().__init__(*self._rows(), self.reset_button, labels=True, spacing=4)
        align_labels(self)
        self.native.layout().setAlignment(self.reset_button.native, Qt.AlignmentFlag.AlignRight)
        self._show(self._remembered() or config_class())

    def _rows(self) -> list[Widget]:
        rows: list[Widget] = []
        for name, editor in self.editors.items():
            extra = self.config_class.model_fields[name].json_schema_extra
            group = extra.get("group") if isinstance(extra, dict) else None
            if not isinstance(group, str):
                rows.append(editor)
                continue
            if group not in self._sections:
                self._sections[group] = section = FormSection(group)
                section.heading.native.clicked.connect(lambda *_, group=group: self.expand(group, None))
            self._sections[group].names.append(name)
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
        self._keep()
        self.changed.emit(self)

    @property
    def unlocked_values(self) -> ConfigT:
        """The settings without those that are locked: these have their default and do not count as given by hand.

        Raises
        ------
        UserError
            As `value`.
        """
        return self.config_class(**{n: value for n, value in self._values().items() if n not in self._locked})

    def reset(self) -> None:
        """Set every row to its default."""
        self.value = self.config_class()

    def set_locked(self, names: Collection[str]) -> None:
        """Disable the rows of some fields, which something else decides, and enable all others.

        The values of the disabled rows stay as they are, see `unlocked_values`.
        """
        self._locked = frozenset(names)
        for name, editor in self.editors.items():
            editor.enabled = name not in self._locked
            if (label := label_of(editor)) is not None:
                label.setEnabled(editor.enabled)

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

    def _show(self, config: ConfigT, names: Collection[str] | None = None) -> None:
        with self._quietly():
            for name in self.editors if names is None else self.editors.keys() & names:
                self.editors[name].value = getattr(config, name)
        self._show_rows()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        self._quiet = True
        try:
            with self.changed.blocked():
                yield
        finally:
            self._quiet = False

    def _on_change(self, name: str) -> None:
        if self._quiet:
            return
        chosen = self.editors[name].value
        members = type(chosen) if isinstance(chosen, Enum) else ()
        carried = {key for member in members for key in getattr(member, "settings", {})}
        # What another choice had set goes back to its default.
        self._show(self.config_class(**{name: chosen}) if carried else self.config_class(), carried)
        self._keep()

    def _show_rows(self) -> None:
        """Show the rows that have a meaning, and count in the headings those that are not at their default."""
        values, defaults = self._values(), self.config_class()
        hidden = self.editors.keys() - values.keys()
        for section in self._sections.values():
            n_changed = sum(values[name] != getattr(defaults, name) for name in section.names if name in values)
            remark = f"{n_changed} changed" if n_changed else ""
            section.heading.show_state(is_open=section.is_expanded, remark=remark)
            section.heading.visible = section.is_offered
            if not (section.is_expanded and section.is_offered):
                hidden |= set(section.names)
        for name, editor in self.editors.items():
            editor.visible = name not in hidden

    def _keep(self) -> None:
        if self._remember_as is None:
            return
        with suppress(UserError):  # between two values that belong together; the next change is kept again
            save_preference(self._remember_as, self.value.model_dump(mode="json"))

    def _remembered(self) -> ConfigT | None:
        values = load_preference(self._remember_as) if self._remember_as is not None else None
        try:
            return self.config_class(**values) if isinstance(values, dict) else None
        except UserError:  # written by another version
            return None
