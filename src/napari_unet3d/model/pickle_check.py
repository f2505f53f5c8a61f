"""Check the pickle of weights in a file of ``torch.save`` before torch reads it.

torch's ``weights_only`` reader creates nothing that runs code, but what it allows can still take for ever: tuples that
contain a tuple twice, which contains another twice, and so on, have few bytes and 2ⁿ parts when they are hashed.
Weights need none of this. The opcodes are followed on a stack that holds what kind of value each would be; none is
created.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

_ATOM, _CONTAINER, _TENSOR, _STORAGE, _MARK = "atom", "container", "tensor", "storage", "mark"
_ORDERED_DICT, _STORAGE_TYPE, _REBUILD, _REBUILD_PARAMETER = "OrderedDict", "storage type", "rebuild", "parameter"

_GLOBALS = {
    "collections OrderedDict": _ORDERED_DICT,
    "torch._utils _rebuild_tensor_v2": _REBUILD,
    "torch._utils _rebuild_parameter": _REBUILD_PARAMETER,
    "torch.storage UntypedStorage": _STORAGE_TYPE,
    **{
        f"torch {name}Storage": _STORAGE_TYPE
        for name in ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long", "Bool")
    },
}
_ATOMS = frozenset(
    "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINFLOAT LONG1 BINUNICODE SHORT_BINSTRING".split()  # noqa: SIM905
)
_EMPTY = {"EMPTY_DICT": _CONTAINER, "EMPTY_LIST": _CONTAINER, "EMPTY_TUPLE": ()}
_TUPLE_LENGTHS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class UnexpectedContentError(ValueError):
    """The pickle holds something that named weights do not need, or is damaged."""


def check_weights_pickle(content: bytes) -> None:
    """Check that a pickle holds nothing but dictionaries with names, plain values and tensors.

    Parameters
    ----------
    content : bytes
        The pickle.

    Raises
    ------
    UnexpectedContentError
        If it holds another object, a key that is no text or number, or is damaged.
    """
    stack = _KindStack()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            stack.follow(opcode.name, argument)
    except (ValueError, LookupError, OverflowError) as error:
        raise UnexpectedContentError(str(error)) from None


class _KindStack:
    """The stack of an unpickler that holds kinds instead of values; a tuple is the tuple of the kinds of its parts."""

    def __init__(self) -> None:
        self.kinds: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.actions: dict[str, Callable[[], None]] = {
            "MARK": lambda: self.kinds.append(_MARK),
            "TUPLE": lambda: self.kinds.append(tuple(self._pop_to_mark())),
            "APPEND": lambda: self._add_to_container([self.kinds.pop()], keys=[]),
            "APPENDS": lambda: self._add_to_container(self._pop_to_mark(), keys=[]),
            "SETITEM": lambda: self._set_items([self.kinds.pop(), self.kinds.pop()][::-1]),
            "SETITEMS": lambda: self._set_items(self._pop_to_mark()),
            "BINPERSID": self._load_storage,
            "REDUCE": self._call,
            "BUILD": self._set_state,
        }

    def follow(self, name: str, argument: Any) -> None:
        """Do what an opcode does."""
        if name in ("PROTO", "STOP"):
            self._top(name == "STOP")
            return
        if name in _ATOMS:
            self.kinds.append(_ATOM)
        elif name in _EMPTY:
            self.kinds.append(_EMPTY[name])
        elif name in _TUPLE_LENGTHS:
            self.kinds[-_TUPLE_LENGTHS[name] :] = [tuple(self._top(_TUPLE_LENGTHS[name]))]
        elif name == "GLOBAL":
            self.kinds.append(_kind_of_global(argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.kinds[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.kinds.append(self.memo[argument])
        elif name in self.actions:
            self.actions[name]()
        else:
            raise UnexpectedContentError(f"the opcode {name}")

    def _top(self, n: int) -> list[Any]:
        if len(self.kinds) < n:
            raise UnexpectedContentError("a value is missing")
        return self.kinds[-n:]

    def _pop_to_mark(self) -> list[Any]:
        start = len(self.kinds) - 1
        while start >= 0 and self.kinds[start] is not _MARK:
            start -= 1
        if start < 0:
            raise UnexpectedContentError("a mark is missing")
        popped = self.kinds[start + 1 :]
        del self.kinds[start:]
        return popped

    def _set_items(self, items: list[Any]) -> None:
        self._add_to_container(items[1::2], keys=items[::2])

    def _add_to_container(self, values: list[Any], keys: list[Any]) -> None:
        if self.kinds[-1] is not _CONTAINER or any(key is not _ATOM for key in keys) or _MARK in values:
            raise UnexpectedContentError("a key that is no text or number")

    def _load_storage(self) -> None:
        match self.kinds.pop():
            case (kind, cls, key, place, n) if cls is _STORAGE_TYPE and all(
                each is _ATOM for each in (kind, key, place, n)
            ):
                self.kinds.append(_STORAGE)
            case _:
                raise UnexpectedContentError("a storage that is none")

    def _call(self) -> None:
        arguments, function = self.kinds.pop(), self.kinds.pop()
        if type(arguments) is not tuple:
            raise UnexpectedContentError("a call without arguments")
        if function is _ORDERED_DICT and not arguments:
            self.kinds.append(_CONTAINER)
        elif (function is _REBUILD and _is_tensor_call(arguments)) or (
            function is _REBUILD_PARAMETER and len(arguments) == 3 and arguments[0] is _TENSOR
        ):
            self.kinds.append(_TENSOR)
        else:
            raise UnexpectedContentError("a call that makes no tensor")

    def _set_state(self) -> None:
        """Follow what state dictionaries have: `_metadata`, as the attribute of an ordered dictionary."""
        state = self.kinds.pop()
        if state is not _CONTAINER or self.kinds[-1] is not _CONTAINER:
            raise UnexpectedContentError("a state that is no dictionary")


def _kind_of_global(name: str) -> str:
    if name not in _GLOBALS:
        raise UnexpectedContentError(f"the object {name.replace(' ', '.')}")
    return _GLOBALS[name]


def _is_tensor_call(arguments: tuple[Any, ...]) -> bool:
    """Return whether these are storage, offset, size, strides, whether a gradient is needed, and hooks."""
    return (
        len(arguments) in (6, 7)
        and arguments[0] is _STORAGE
        and arguments[1] is _ATOM
        and all(type(each) is tuple and all(part is _ATOM for part in each) for each in arguments[2:4])
    )
