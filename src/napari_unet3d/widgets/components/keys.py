"""The keys of the plugin: bound in one place, so that `keys_window` can list them in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from qtpy.QtWidgets import QWidget

from napari_unet3d.widgets.components.dock_window import dock_frame


class KeyOwner(Protocol):
    """What a key is bound for, such as a `Context`: it is bound for as long as the message line exists."""

    @property
    def viewer(self) -> Any:
        """The viewer that gets the key."""

    @property
    def message(self) -> QWidget:
        """The message line of the dock."""


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key that does something while the canvas has the focus.

    Attributes
    ----------
    key : str
        As napari writes it, such as ``N`` or ``Shift-E``.
    description : str
        What it does, for the list of keys.
    dock : str
        The dock that it belongs to, as the menu calls it.
    """

    key: str
    description: str
    dock: str


@dataclass(frozen=True, slots=True)
class _Binding:
    key: str
    description: str
    owner: QWidget
    act: Callable[[Any], None]


# By viewer, then by key: the bindings of the docks that want it; the last one is in force.
_bound: WeakKeyDictionary[Any, dict[str, list[_Binding]]] = WeakKeyDictionary()


def bind_key(context: KeyOwner, key: str, description: str, action: Callable[[], Any]) -> None:
    """Bind a key of the viewer to an action for as long as a dock exists.

    The dock that bound it last has it; when that is closed, the one before has it again.

    Parameters
    ----------
    context : Context
        Its viewer gets the key.
    key : str
        As napari writes it.
    description : str
        What it does, for the list of keys.
    action : callable
        What to do, without arguments.
    """
    viewer = context.viewer
    wanted = _bound.setdefault(viewer, {}).setdefault(key, [])
    binding = _Binding(key, description, context.message, lambda _viewer: action())

    def unbind(*_: Any) -> None:
        had_it = wanted[-1] is binding
        wanted.remove(binding)
        if had_it:
            viewer.bind_key(key, wanted[-1].act if wanted else None, overwrite=True)

    wanted.append(binding)
    viewer.bind_key(key, binding.act, overwrite=True)
    context.message.destroyed.connect(unbind)


def bound_keys(viewer: Any) -> list[BoundKey]:
    """List the keys of the docks that exist, in the order in which they were bound first."""
    bindings = [wanted[-1] for wanted in _bound.get(viewer, {}).values() if wanted]
    return [BoundKey(each.key, each.description, _dock_name(each.owner)) for each in bindings]


def _dock_name(widget: QWidget) -> str:
    frame = dock_frame(widget)
    return "" if frame is None else frame.windowTitle().partition(" (")[0]
