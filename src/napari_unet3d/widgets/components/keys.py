"""The keys of the plugin: bound in one place, so that the footer of a dock can list them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtWidgets import QWidget

from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dock_window import dock_frame
from napari_unet3d.widgets.viewer.connections import call_when_destroyed


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key that does something while the canvas has the focus.

    Attributes
    ----------
    key : str
        As napari writes it, such as ``N`` or ``Shift-E``.
    description : str
        What it does, for the list of keys.
    message : QWidget
        The message line of the dock that it belongs to.
    act : callable
        What it does, as napari calls it.
    """

    key: str
    description: str
    message: QWidget
    act: Callable[[Any], None]

    @property
    def dock(self) -> str:
        """The dock that it belongs to, as the menu calls it."""
        frame = dock_frame(self.message)
        return "" if frame is None else frame.windowTitle().partition(" (")[0]


# By viewer, then by key: the bindings of the docks that want it; the last one is in force.
_bound: WeakKeyDictionary[Any, dict[str, list[BoundKey]]] = WeakKeyDictionary()


def bind_key(context: Context, key: str, description: str, action: Callable[[], Any]) -> None:
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
    binding = BoundKey(key, description, context.message, lambda _viewer: action())

    def unbind() -> None:
        had_it = wanted[-1] is binding
        wanted.remove(binding)
        if had_it:
            viewer.bind_key(key, wanted[-1].act if wanted else None, overwrite=True)

    wanted.append(binding)
    viewer.bind_key(key, binding.act, overwrite=True)
    call_when_destroyed(context.message, unbind)


def bound_keys(viewer: Any) -> list[BoundKey]:
    """List the keys of the docks that exist, in the order in which they were bound first."""
    return [wanted[-1] for wanted in _bound.get(viewer, {}).values() if wanted]
