"""Outlines along the edges of pixels, so that the mask made of them is the one that they were made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TURNS = (1, 0, 3)  # right, straight on, left: right first keeps pixels apart that touch at a corner only
_MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # along y, x: to the right, down, to the left, up


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.int32]]:
    """Return the closed outlines of a mask along the edges of its pixels.

    Pixels that touch at an edge have one outline; where they touch at a corner only, they have two. Outer outlines are
    clockwise in an image whose rows go down, and those of holes counterclockwise, so that both ways to fill a path,
    even-odd and non-zero, give the mask again.

    Parameters
    ----------
    mask : ndarray of bool, shape (y, x)
        The pixels.

    Returns
    -------
    list of ndarray of int32, shape (n, 2)
        The corners (y, x) of each outline; pixel (0, 0) is from (0, 0) to (1, 1).

    Examples
    --------
    >>> outlines(np.array([[False, True, True]]))[0].tolist()
    [[0, 1], [0, 3], [1, 3], [1, 1]]
    """
    leaving = _edges(mask)
    found = []
    while leaving:
        start = next(iter(leaving))
        vertex, direction = start, leaving[start][0]
        corners, before = list[tuple[int, int]](), -1
        while True:
            choices = leaving[vertex]
            if before >= 0:
                direction = next(turned for turn in _TURNS if (turned := (before + turn) % 4) in choices)
            choices.remove(direction)
            if not choices:
                del leaving[vertex]
            if direction != before:
                corners.append(vertex)
            vertex = vertex[0] + _MOVES[direction][0], vertex[1] + _MOVES[direction][1]
            before = direction
            if vertex == start and (before + 1) % 4 not in leaving.get(vertex, ()):
                break
        if before == _direction(corners[0], corners[1]):  # it began in the middle of a side
            corners = corners[1:]
        found.append(np.array(corners, np.int32))
    return found


def _direction(first: tuple[int, int], second: tuple[int, int]) -> int:
    along_y, along_x = (int(np.sign(after - before)) for before, after in zip(first, second, strict=True))
    return _MOVES.index((along_y, along_x))


def _edges(mask: NDArray[np.bool_]) -> dict[tuple[int, int], list[int]]:
    """Return the directions of the edges that leave each corner, with the pixels at their right-hand side."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    neighbours: tuple[NDArray[Any], ...] = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    firsts = ((0, 0), (0, 1), (1, 1), (1, 0))  # where the edge at the top, right, bottom and left begins
    leaving: dict[tuple[int, int], list[int]] = {}
    for direction, (neighbour, (dy, dx)) in enumerate(zip(neighbours, firsts, strict=True)):
        rows, columns = np.nonzero(inside & ~neighbour)
        for corner in zip((rows + dy).tolist(), (columns + dx).tolist(), strict=True):
            leaving.setdefault(corner, []).append(direction)
    return leaving
