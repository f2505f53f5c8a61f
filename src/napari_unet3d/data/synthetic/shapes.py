"""One synthetic object: a blob, cylinder or tube of fading, noisy brightness, or a given array; turned.

The model is that of ``qim3d.generate.volume``: brightness = noise × (1 − distance^decay), then gamma, then a
threshold. Here the field is evaluated at the turned coordinates themselves. Nothing is interpolated, so edges are
crisp and every labelled voxel has the brightness that the model gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.configs import NoiseType, ObjectShape, SyntheticConfig
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.data.synthetic.noise import Points, noise_table, perlin, simplex
from napari_unet3d.data.synthetic.rotation import Rotation, rotate_array
from napari_unet3d.errors import UserError

_TRIES_TO_TURN = 24
_FAINTEST = 0.51  # rounds to 1: an object's voxel is never as dark as the empty background


@dataclass(frozen=True, slots=True)
class SyntheticObject:
    """An object cut out to its bounding box.

    Attributes
    ----------
    mask : ndarray of bool, shape (z, y, x)
        Where the object is; it reaches all six faces of the box.
    values : ndarray of float32, shape (n,)
        Brightness of the n voxels in `mask` in C order; the largest is drawn from ``config.intensity``.
    """

    mask: NDArray[np.bool_]
    values: NDArray[np.float32]

    @property
    def shape(self) -> Shape3D:
        """Size of the bounding box along z, y, x."""
        z, y, x = self.mask.shape
        return z, y, x


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What is drawn once for an object; `table` and `origin` (cycles) make its noise field."""

    shape: Shape3D
    magnification: float
    noise_scale: float
    gamma: float
    threshold: float
    decay: float
    brightest: int
    noise_type: NoiseType
    table: NDArray[np.uint8]
    origin: NDArray[np.float64]


def make_object(
    config: SyntheticConfig,
    rng: np.random.Generator,
    *,
    noise_rng: np.random.Generator | None = None,
    given: Sequence[NDArray[Any]] = (),
) -> SyntheticObject:
    """Make one object that fits into a volume of ``config.shape``.

    Parameters
    ----------
    config : SyntheticConfig
        The ranges to draw from.
    rng : numpy.random.Generator
        Draws everything about this object.
    noise_rng : numpy.random.Generator, optional
        Draws its noise field instead, so that several objects can share one.
    given : sequence of ndarray, shape (z, y, x)
        Where there are any, one of them is drawn, magnified, turned and scaled to the drawn brightness.

    Raises
    ------
    UserError
        If it does not fit into the volume at any angle that was tried.
    """
    recipe = _draw_recipe(config, rng, noise_rng or rng)
    template = given[int(rng.integers(len(given)))] if given else None
    for _ in range(_TRIES_TO_TURN):
        turn = Rotation.draw(config, rng)
        if template is None:
            mask, values = _field(config, recipe, turn)
            mask = _largest_piece(mask)
        else:
            mask, values = rotate_array(template, turn, recipe.magnification)
        made = _cut_out(mask, values, config.shell_thickness, recipe.brightest)
        if all(size <= room for size, room in zip(made.shape, config.shape, strict=True)):
            return made
    raise UserError(
        f"A turned object of shape {made.shape} does not fit into a volume of shape {config.shape}; "
        "take smaller objects, a larger volume or a smaller range of rotation."
    )


def check_objects_fit(config: SyntheticConfig, given: Sequence[NDArray[Any]] = ()) -> None:
    """Raise a `UserError` if an object can be larger than the volume, or a given one cannot be used."""
    factor = config.magnification[1]
    for number, array in enumerate(given, start=1):
        if array.ndim != 3 or array.dtype.kind not in "buif" or not np.isfinite(array).all() or not (array > 0).any():
            raise UserError(
                f"Given object {number} ({array.dtype}, shape {array.shape}) cannot be used; "
                "an object is a 3D array of finite numbers, above 0 inside and 0 outside."
            )
    for shape in [array.shape for array in given] or [config.object_shape_max]:
        largest = tuple(round(size * factor) for size in shape)
        if any(size > room for size, room in zip(largest, config.shape, strict=True)):
            raise UserError(
                f"An object of shape {largest} is larger than the volume of shape {config.shape}; "
                "take smaller objects or a larger volume."
            )


def _draw_recipe(config: SyntheticConfig, rng: np.random.Generator, noise_rng: np.random.Generator) -> _Recipe:
    shape = rng.integers(config.object_shape_min, config.object_shape_max, endpoint=True)
    magnification = rng.uniform(*config.magnification)
    z, y, x = (max(2, round(size * magnification)) for size in shape.tolist())
    drawn = NoiseType.PERLIN if rng.random() < 0.5 else NoiseType.SIMPLEX
    return _Recipe(
        shape=(z, y, x),
        magnification=magnification,
        noise_scale=rng.uniform(*config.noise_scale),
        gamma=rng.uniform(*config.gamma),
        threshold=rng.uniform(*config.threshold),
        decay=rng.uniform(*config.decay),
        brightest=int(rng.integers(*config.intensity, endpoint=True)),
        noise_type=drawn if config.noise_type is NoiseType.MIXED else config.noise_type,
        table=noise_table(noise_rng),
        origin=noise_rng.random(3),
    )


def _field(config: SyntheticConfig, recipe: _Recipe, turn: Rotation) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Mask and brightness (up to any factor), shape (z, y, x), in the box of the turned object."""
    half = (np.array(recipe.shape) - 1) / 2
    line_axis = turn.line_axis
    round_axes = [a for a in range(3) if config.object_shape is ObjectShape.BLOB or a != config.axis.number]
    offsets = turn.plane_offsets(half[list(turn.axes)])
    distance, reached = _distance_in_plane(offsets, half, turn.axes, round_axes)
    plane = offsets[:, reached]
    line = np.arange(recipe.shape[line_axis]) - half[line_axis]
    squared = np.broadcast_to(distance[reached], (len(line), plane.shape[1])).astype(np.float32)
    if line_axis in round_axes:
        squared += np.square(line / max(half[line_axis], 1)).astype(np.float32)[:, None]
    bright = 1 - squared ** np.float32(recipe.decay / 2)
    np.maximum(bright, 0, out=bright)
    corner = half[list(turn.axes), None]
    bright *= _noise(recipe, plane + corner, line + half[line_axis], line_axis, bright > 0)
    share = np.float32(recipe.threshold ** (1 / recipe.gamma))  # gamma keeps the order of values
    cut = share * bright.max()
    if config.object_shape is ObjectShape.TUBE:
        rim = squared.max(where=bright > 0, initial=0)  # stays, however coarse the voxels are
        bright[squared < min(_hole(config, recipe), rim)] = 0
        if bright.max() < cut:  # only dark noise is left in a thin wall
            cut = share * bright.max()
    kept = (bright > 0) & (bright >= cut)
    box = np.zeros((len(line), *reached.shape), np.float32)
    mask = np.zeros(box.shape, bool)
    mask[:, reached] = kept
    box[:, reached] = np.where(kept, bright, 0) ** np.float32(recipe.gamma)
    return turn.to_zyx(mask), turn.to_zyx(box)


def _distance_in_plane(
    offsets: NDArray[np.float64], half: NDArray[np.float64], axes: tuple[int, int], round_axes: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Squared distance from the middle, 1 at the middle of the box's faces, and where in the plane the object is."""
    _, rows, columns = offsets.shape
    distance = np.zeros((rows, columns))
    reached = np.ones(distance.shape, bool)
    for offset, axis in zip(offsets, axes, strict=True):
        if axis in round_axes:
            distance += (offset / half[axis]) ** 2
        else:
            reached &= np.abs(offset) <= half[axis] + 1e-6
    middle = rows // 2, columns // 2
    distance[middle] = min(distance[middle], 0.5)  # an object thinner than a voxel still has one
    reached &= distance < 1
    reached[middle] = True
    return distance, reached


def _noise(
    recipe: _Recipe, plane: NDArray[Any], line: NDArray[Any], line_axis: int, where: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Noise at offsets from the corner of the object's box, shape (m, n); from 0 to 1 in the voxels `where`."""
    if recipe.noise_scale == 0:
        return np.ones((len(line), plane.shape[1]), np.float32)
    plane_axes = [axis for axis in range(3) if axis != line_axis]
    points = Points(
        plane * recipe.noise_scale + recipe.origin[plane_axes, None],
        line * recipe.noise_scale + recipe.origin[line_axis],
        line_axis,
    )
    field = (perlin if recipe.noise_type is NoiseType.PERLIN else simplex)(points, recipe.table)
    field -= field.min(where=where, initial=np.inf)
    peak = field.max(where=where, initial=0)
    return field / peak if peak > 0 else np.ones_like(field)


def _hole(config: SyntheticConfig, recipe: _Recipe) -> float:
    """Squared radius of a tube's hole, in units in which the box reaches from −1 to 1."""
    outside = (1 - recipe.threshold ** (1 / recipe.gamma)) ** (1 / recipe.decay)  # where a smooth tube ends
    return float((config.tube_hole_ratio * outside) ** 2)


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop the crumbs that noise cuts off: an object is one piece, connected through faces."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    largest: NDArray[np.bool_] = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return largest


def _cut_out(mask: NDArray[np.bool_], brightness: NDArray[np.float32], hollow: int, brightest: int) -> SyntheticObject:
    """Hollow an object, cut it out to its bounding box and scale it to its brightest value."""
    if hollow > 0:
        mask = mask & (ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] <= hollow)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    mask = np.ascontiguousarray(mask[box])
    values = brightness[box][mask]
    values *= brightest / max(float(values.max()), 1e-12)
    return SyntheticObject(mask, np.maximum(values, _FAINTEST))
