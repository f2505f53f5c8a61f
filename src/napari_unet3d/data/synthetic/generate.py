"""Generation of synthetic volumes with exact labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import LabelKind, Placement, SyntheticConfig
from napari_unet3d.data.events import GenerateEvent, ObjectPlaced, SlicesImaged, VolumeGenerated
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.synthetic.imaging import has_imaging, image_slabs, to_pixels
from napari_unet3d.data.synthetic.placement import OccupancyGrid
from napari_unet3d.data.synthetic.shapes import SyntheticObject, check_objects_fit, make_object
from napari_unet3d.errors import UserError
from napari_unet3d.memory import total_memory

Position = tuple[int, int, int]

_MAX_FAILURES = 10  # consecutive objects that could not be placed: the volume is full
# Each purpose has its own random stream, so that objects do not depend on settings of placement or imaging.
_PLACEMENT, _SHARED_NOISE, _OBJECTS, _IMAGING = range(4)


def generate_volume(
    config: SyntheticConfig,
    *,
    name: str = "synthetic",
    objects: Sequence[NDArray[Any]] | None = None,
    positions: Sequence[Position] | None = None,
) -> Iterator[GenerateEvent]:
    """Generate one volume; the last event, `VolumeGenerated`, contains it.

    The same settings and seed give the same bytes, independent of the number of CPU cores.

    Parameters
    ----------
    config : SyntheticConfig
        The settings.
    name : str
        Name of the sample.
    objects : sequence of ndarray, shape (z, y, x), optional
        Objects to place instead of generated ones, above 0 inside the object. One of them is chosen at random for each
        position, and rotated, magnified and scaled in intensity like a generated object.
    positions : sequence of tuple of int, optional
        Voxels (z, y, x) of the centres of the objects' bounding boxes, one object for each instead of
        ``config.objects``. Objects that would overlap others are left out.

    Yields
    ------
    ObjectPlaced
        For every object.
    SlicesImaged
        Regularly while blur and noise are computed.
    VolumeGenerated
        At the end.

    Raises
    ------
    UserError
        If an object is larger than the volume or does not fit at a given position, if a given object is not a 3D array
        with values above 0, or if there is not enough memory.

    Examples
    --------
    >>> config = SyntheticConfig(shape=(16, 16, 16), objects=2, object_shape_min=(4, 4, 4), object_shape_max=(6, 6, 6))
    >>> *_, generated = generate_volume(config)
    >>> generated.sample.shape, len(generated.positions)
    ((16, 16, 16), 2)
    """
    middles = check_request(config, objects, positions)
    n_objects = config.objects if middles is None else len(middles)
    canvas = _Canvas(config, n_objects)
    failures = 0
    for number in range(n_objects):
        made = _make(config, number, objects or ())
        placed = canvas.place(made, None if middles is None else middles[number])
        failures = 0 if placed else failures + 1
        if placed:
            yield ObjectPlaced(len(canvas.positions), n_objects)
        elif failures == _MAX_FAILURES and middles is None:
            break
    yield from _image(canvas, config)
    sample = Sample(name, canvas.image, canvas.labels, config.voxel_size_um)
    yield VolumeGenerated(sample, tuple(canvas.positions), n_objects)


def check_request(
    config: SyntheticConfig, objects: Sequence[NDArray[Any]] | None, positions: Sequence[Position] | None
) -> list[Position] | None:
    """Return the checked positions; raise a `UserError` when objects or positions cannot be used with the settings."""
    check_objects_fit(config, objects or ())
    return _checked_positions(positions, config)


class _Canvas:
    """Image and labels during generation, and the free space in them."""

    def __init__(self, config: SyntheticConfig, n_objects: int) -> None:
        self._config = config
        self._rng = np.random.default_rng(_stream(config, _PLACEMENT))
        smallest = min(config.object_shape_min) * config.magnification[0]
        largest_label = n_objects if config.label_kind is LabelKind.OBJECTS else 1
        label_type = np.min_scalar_type(largest_label)
        _check_memory(config, label_type.itemsize)
        self.image = np.zeros(config.shape, config.pixel_type.value)
        self.labels = np.zeros(config.shape, label_type)
        self._grid = OccupancyGrid(config.shape, config.minimum_gap, cell_edge=int(np.clip(smallest // 8, 2, 8)))
        self.positions: list[Position] = []

    def place(self, made: SyntheticObject, middle: Position | None) -> bool:
        """Place an object at a position, or at any free one, and return whether it was possible."""
        by_box = self._config.placement is Placement.BOUNDING_BOX
        needed = np.ones_like(made.mask) if by_box else made.mask
        start = self._find(needed) if middle is None else self._start_at(middle, needed)
        if start is None:
            return False
        self._grid.occupy(start, needed)
        box = tuple(slice(low, low + size) for low, size in zip(start.tolist(), made.shape, strict=True))
        z, y, x = (start + np.array(made.shape) // 2).tolist()
        self.positions.append((z, y, x))
        self.image[box][made.mask] = to_pixels(made.values, self._config.pixel_type)
        is_numbered = self._config.label_kind is LabelKind.OBJECTS
        self.labels[box][made.mask] = len(self.positions) if is_numbered else 1
        return True

    def _find(self, needed: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        if self._rng.random() < self._config.touching_fraction:
            adjacent = self._grid.find_adjacent(needed, self._rng)
            if adjacent is not None:
                return adjacent
        return self._grid.find(needed, self._rng)

    def _start_at(self, middle: Position, needed: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        start = np.array(middle) - np.array(needed.shape) // 2
        if (start < 0).any() or (start + needed.shape > self._config.shape).any():
            raise UserError(
                f"An object of shape {needed.shape} does not fit at the position {middle} in a volume of shape "
                f"{self._config.shape}; move it away from the border or choose smaller objects."
            )
        return start if self._grid.fits(start, needed) else None


def _make(config: SyntheticConfig, number: int, given: Sequence[NDArray[Any]]) -> SyntheticObject:
    shared = np.random.default_rng(_stream(config, _SHARED_NOISE)) if config.identical_objects else None
    return make_object(config, np.random.default_rng(_stream(config, _OBJECTS, number)), noise_rng=shared, given=given)


def _image(canvas: _Canvas, config: SyntheticConfig) -> Iterator[SlicesImaged]:
    """Apply imaging; not in place, since slabs depend on their neighbours."""
    if not has_imaging(config):
        return
    image = np.empty_like(canvas.image)
    for slices, finished in image_slabs(canvas.image, config, _stream(config, _IMAGING)):
        image[slices] = finished
        yield SlicesImaged(slices.stop, len(image))
    canvas.image = image


def _check_memory(config: SyntheticConfig, label_bytes: int) -> None:
    """Raise a `UserError` if a volume does not fit into memory."""
    images = 2 if has_imaging(config) else 1  # before and after imaging
    per_voxel = images * np.dtype(config.pixel_type.value).itemsize + label_bytes + 1  # 1 for the occupancy grid
    needed, memory = math.prod(config.shape) * per_voxel, total_memory()
    if needed > memory:
        raise UserError(
            f"A volume of shape {config.shape} takes {needed / 1e9:,.1f} GB, but this process may use "
            f"{memory / 1e9:,.1f} GB; choose a smaller one."
        )


def _stream(config: SyntheticConfig, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(config.seed, spawn_key=key)


def _checked_positions(positions: Sequence[Position] | None, config: SyntheticConfig) -> list[Position] | None:
    if positions is None:
        return None
    checked = []
    for position in positions:
        if len(position) != 3:
            raise UserError(f"The position {tuple(position)} has {len(position)} numbers; give voxels (z, y, x).")
        z, y, x = (round(float(value)) for value in position)
        if not all(0 <= value < size for value, size in zip((z, y, x), config.shape, strict=True)):
            raise UserError(f"The position {z, y, x} is outside the volume of shape {config.shape}; move it inside.")
        checked.append((z, y, x))
    if not checked:
        raise UserError(
            "There are no positions to place objects at; give at least one, or none at all for random positions."
        )
    return checked
