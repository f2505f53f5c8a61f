"""Names that no other volume has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from napari_unet3d.data.sample import Sample


def free_name(name: str, taken: Sequence[str]) -> str:
    """Give the first of ``NAME``, ``NAME 2``, ``NAME 3``, … that is not taken, in whatever case."""
    lower = {each.casefold() for each in taken}
    return next(each for each in _numbered(name) if each.casefold() not in lower)


def renamed(sample: Sample, taken: Sequence[str]) -> Sample:
    """Give a sample a name that no other volume has."""
    return replace(sample, name=free_name(sample.name, taken))


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name} {number}"
        number += 1
