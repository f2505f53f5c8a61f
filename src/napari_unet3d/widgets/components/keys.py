"""The keys of the plugin: bound in one place, so that `keys_window` can list them in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.dock import Dock


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
    description: str
    dock: str


@dataclass(frozen=True, slots=True)
class _Binding:
    bound: BoundKey
    act: Callable[[Any], None]


# By viewer, then by key: the docks that want it, of which the last has it.
_bound: WeakKeyDictionary[Any, dict[str, list[_Binding]]] = WeakKeyDictionary()


def bind_key(dock: Dock, key: str, words: str, action: Callable[[], Any]) -> None:
    """Let a key of the viewer do something for as long as a dock exists.

    The dock that bound it last has it; when that goes, the one before has it again.

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
    wanted = _bound.setdefault(viewer, {}).setdefault(key, [])
    binding = _Binding(BoundKey(key, words, dock.kind.capitalize()), lambda _viewer: action())

    def unbind(*_: Any) -> None:
        had_it = wanted[-1] is binding
        wanted.remove(binding)
        if had_it:
            viewer.bind_key(key, wanted[-1].act if wanted else None, overwrite=True)

    wanted.append(binding)
    viewer.bind_key(key, binding.act, overwrite=True)
    dock.destroyed.connect(unbind)


def bound_keys(viewer: Any) -> list[BoundKey]:
    """List the keys of the docks that exist, in the order in which they were bound first."""
    return [wanted[-1].bound for wanted in _bound.get(viewer, {}).values() if wanted]
