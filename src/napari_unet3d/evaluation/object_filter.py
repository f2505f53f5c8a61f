"""Conditions on objects, such as ``volume < 50 and not border``."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_EXAMPLE = "Write, for example, volume < 50 and neighbours > 0."


def matching_rows(condition: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which rows of a table fulfil a condition.

    Parameters
    ----------
    condition : str
        Names of columns compared with numbers or other columns by ``<``, ``<=``, ``>``, ``>=``, ``=`` and ``!=``,
        joined by ``and``, ``or``, ``not`` and brackets; a name alone means that it is not 0. Empty for all rows.
    columns : mapping of str to ndarray, each of shape (row,)
        The columns by their names.

    Raises
    ------
    UserError
        If the condition cannot be read, or has a name that no column has.

    Examples
    --------
    >>> columns = {"volume": np.array([10.0, 60.0, 200.0]), "border": np.array([1.0, 0.0, 1.0])}
    >>> matching_rows("volume > 50 and not border", columns).tolist()
    [False, True, False]
    >>> matching_rows("size > 50", columns)
    Traceback (most recent call last):
    napari_unet3d.errors.UserError: There is no column called 'size'. ...
    """
    n_rows = len(next(iter(columns.values())))
    if not condition.strip():
        return np.ones(n_rows, bool)
    written = condition.strip().replace("≤", "<=").replace("≥", ">=").replace("≠", "!=")
    written = re.sub("(?<![<>!=])=(?!=)", "==", written)  # a single = means ==
    try:
        tree = ast.parse(written.lower(), mode="eval").body
    except (SyntaxError, ValueError):
        raise UserError(f"The filter '{condition}' cannot be read. {_EXAMPLE}") from None
    return np.broadcast_to(_as_bool(_value(tree, columns, condition)), (n_rows,)).copy()


def _value(node: ast.expr, columns: Mapping[str, NDArray[Any]], condition: str) -> Any:
    match node:
        case ast.BoolOp(op=joint, values=parts):
            join = operator.and_ if isinstance(joint, ast.And) else operator.or_
            return reduce(join, [_as_bool(_value(part, columns, condition)) for part in parts])
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return ~_as_bool(_value(part, columns, condition))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float() | int() as number)):
            return -number
        case ast.Compare(left=left, ops=signs, comparators=others) if all(type(sign) in _COMPARISONS for sign in signs):
            values = [_value(part, columns, condition) for part in (left, *others)]
            compared = [
                _COMPARISONS[type(sign)](one, other) for sign, (one, other) in zip(signs, pairwise(values), strict=True)
            ]
            return reduce(operator.and_, compared)
        case ast.Name(id=name) if name in columns:
            return columns[name]
        case ast.Name(id=name):
            raise UserError(f"There is no column called '{name}'. Use {', '.join(columns)}.")
        case ast.Constant(value=float() | int() as number):
            return number
    raise UserError(f"The filter '{condition}' cannot be read. {_EXAMPLE}")


def _as_bool(value: Any) -> NDArray[np.bool_]:
    truth: NDArray[np.bool_] = np.nan_to_num(np.asarray(value, float)) != 0
    return truth
