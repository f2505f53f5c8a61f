"""The keys of the plugin: bound in one place, so that they can be listed in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari_unet3d.widgets.base import Dock


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key that does something while the canvas has the focus.

    Attributes
    ----------
    key : str
        As napari writes it, such as ``N`` or ``Shift-E``.
    words : str
        What it does, for the list of keys.
    dock : str
        The dock that it belongs to, in the words of the menu.
    """

    key: str
    words: str
    dock: str


_bound: WeakKeyDictionary[Any, dict[str, BoundKey]] = WeakKeyDictionary()  # by viewer, then by key


def bind_key(dock: Dock, key: str, words: str, action: Callable[[], Any]) -> None:
    """Let a key of the viewer do something for as long as a dock exists; the dock that bound it last wins.

    Parameters
    ----------
    dock : Dock
        Its viewer gets the key.
    key : str
        As napari writes it.
    words : str
        What it does, for the list of keys.
    action : callable
        What to do, without arguments.
    """
    viewer = dock.viewer
    keys = _bound.setdefault(viewer, {})
    keys[key] = bound = BoundKey(key, words, dock.kind.capitalize())

    def act(_viewer: Any) -> None:
        action()

    def unbind(*_: Any) -> None:
        if keys.get(key) is bound:  # else a newer dock has bound it
            del keys[key]
            viewer.bind_key(key, None)

    viewer.bind_key(key, act, overwrite=True)
    dock.destroyed.connect(unbind)


def bound_keys(viewer: Any) -> list[BoundKey]:
    """List the keys of the docks that exist, in the order in which they were bound."""
    return list(_bound.get(viewer, {}).values())
