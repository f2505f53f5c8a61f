"""Synthetic objects: rotated blobs, cylinders and tubes with noise, or given arrays.

The model is that of ``qim3d.generate.volume``: intensity = noise × (1 − distance^decay), then gamma, then a threshold.
It is computed at the rotated coordinates without interpolation, so that edges are sharp and labels are exact.
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

_MAX_ROTATIONS = 24  # attempts to fit an object into the volume
_MIN_INTENSITY = 0.51  # rounds to 1, so that an object is brighter than the background everywhere


@dataclass(frozen=True, slots=True)
class SyntheticObject:
    """An object in its bounding box.

    Attributes
    ----------
    mask : ndarray of bool, shape (z, y, x)
        Voxels of the object; it touches all six faces of the box.
    values : ndarray of float32, shape (n,)
        Intensities of the n voxels of `mask` in C order; their maximum is drawn from ``config.intensity``.
    """

    mask: NDArray[np.bool_]
    values: NDArray[np.float32]

    @property
    def shape(self) -> Shape3D:
        """Size of the bounding box along z, y, x."""
        z, y, x = self.mask.shape
        return z, y, x


@dataclass(frozen=True, slots=True)
class _ObjectParams:
    """Random parameters of an object; `table` and `origin` (cycles) determine its noise field."""

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
    """Generate one object that fits into a volume of ``config.shape``.

    Parameters
    ----------
    config : SyntheticConfig
        The settings.
    rng : numpy.random.Generator
        Random generator for the object.
    noise_rng : numpy.random.Generator, optional
        Random generator for its noise field, so that several objects can share one.
    given : sequence of ndarray, shape (z, y, x)
        If there are any, one of them is chosen at random, magnified, rotated and scaled in intensity.

    Raises
    ------
    UserError
        If it does not fit into the volume at any of the angles tried.

    Examples
    --------
    >>> made = make_object(SyntheticConfig(), np.random.default_rng(0))
    >>> int(made.mask.sum()) == len(made.values)
    True
    """
    params = _draw_params(config, rng, noise_rng or rng)
    template = given[int(rng.integers(len(given)))] if given else None
    for _ in range(_MAX_ROTATIONS):
        rotation = Rotation.draw(config, rng)
        if template is None:
            mask, values = _field(config, params, rotation)
            mask = _largest_component(mask)
        else:
            mask, values = rotate_array(template, rotation, params.magnification)
        made = _crop(mask, values, config.shell_thickness, params.brightest)
        if all(size <= available for size, available in zip(made.shape, config.shape, strict=True)):
            return made
    raise UserError(
        f"A rotated object of shape {made.shape} does not fit into a volume of shape {config.shape}; "
        "choose smaller objects, a larger volume or a smaller range of rotation angles."
    )


def check_objects_fit(config: SyntheticConfig, given: Sequence[NDArray[Any]] = ()) -> None:
    """Raise a `UserError` if objects may be larger than the volume, or a given one is invalid."""
    factor = config.magnification[1]
    for number, array in enumerate(given, start=1):
        if array.ndim != 3 or array.dtype.kind not in "buif" or not np.isfinite(array).all() or not (array > 0).any():
            raise UserError(
                f"Given object {number} ({array.dtype}, shape {array.shape}) cannot be used; "
                "an object is a 3D array of finite numbers, above 0 inside and 0 outside."
            )
    for shape in [array.shape for array in given] or [config.object_shape_max]:
        largest = tuple(round(size * factor) for size in shape)
        if any(size > available for size, available in zip(largest, config.shape, strict=True)):
            raise UserError(
                f"An object of shape {largest} is larger than the volume of shape {config.shape}; "
                "choose smaller objects or a larger volume."
            )


def _draw_params(config: SyntheticConfig, rng: np.random.Generator, noise_rng: np.random.Generator) -> _ObjectParams:
    shape = rng.integers(config.object_shape_min, config.object_shape_max, endpoint=True)
    magnification = rng.uniform(*config.magnification)
    z, y, x = (max(2, round(size * magnification)) for size in shape.tolist())
    drawn = NoiseType.PERLIN if rng.random() < 0.5 else NoiseType.SIMPLEX
    return _ObjectParams(
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


def _field(
    config: SyntheticConfig, params: _ObjectParams, rotation: Rotation
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return mask and unscaled intensities, shape (z, y, x), in the box of the rotated object."""
    half = (np.array(params.shape) - 1) / 2
    line_axis = rotation.line_axis
    round_axes = [a for a in range(3) if config.object_shape is ObjectShape.BLOB or a != config.axis.number]
    offsets = rotation.plane_offsets(half[list(rotation.axes)])
    distance, reached = _distance_in_plane(offsets, half, rotation.axes, round_axes)
    plane = offsets[:, reached]
    line = np.arange(params.shape[line_axis]) - half[line_axis]
    squared = np.broadcast_to(distance[reached], (len(line), plane.shape[1])).astype(np.float32)
    if line_axis in round_axes:
        squared += np.square(line / max(half[line_axis], 1)).astype(np.float32)[:, None]
    bright = 1 - squared ** np.float32(params.decay / 2)
    np.maximum(bright, 0, out=bright)
    corner = half[list(rotation.axes), None]
    bright *= _noise(params, plane + corner, line + half[line_axis], line_axis, bright > 0)
    share = np.float32(params.threshold ** (1 / params.gamma))  # gamma does not change the order of values
    cut = share * bright.max()
    if config.object_shape is ObjectShape.TUBE:
        rim = squared.max(where=bright > 0, initial=0)  # remains, however coarse the voxels are
        bright[squared < min(_hole(config, params), rim)] = 0
        if bright.max() < cut:  # a thin wall may have only dark noise
            cut = share * bright.max()
    kept = (bright > 0) & (bright >= cut)
    box = np.zeros((len(line), *reached.shape), np.float32)
    mask = np.zeros(box.shape, bool)
    mask[:, reached] = kept
    box[:, reached] = np.where(kept, bright, 0) ** np.float32(params.gamma)
    return rotation.to_zyx(mask), rotation.to_zyx(box)


def _distance_in_plane(
    offsets: NDArray[np.float64], half: NDArray[np.float64], axes: tuple[int, int], round_axes: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the squared distance from the centre, 1 at the centre of the box's faces, and the plane of the object."""
    _, rows, columns = offsets.shape
    distance = np.zeros((rows, columns))
    reached = np.ones(distance.shape, bool)
    for offset, axis in zip(offsets, axes, strict=True):
        if axis in round_axes:
            distance += (offset / half[axis]) ** 2
        else:
            reached &= np.abs(offset) <= half[axis] + 1e-6
    middle = rows // 2, columns // 2
    distance[middle] = min(distance[middle], 0.5)  # an object has at least one voxel
    reached &= distance < 1
    reached[middle] = True
    return distance, reached


def _noise(
    params: _ObjectParams, plane: NDArray[Any], line: NDArray[Any], line_axis: int, where: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return noise at offsets from the corner of the object's box, shape (m, n); from 0 to 1 in the voxels `where`."""
    if params.noise_scale == 0:
        return np.ones((len(line), plane.shape[1]), np.float32)
    plane_axes = [axis for axis in range(3) if axis != line_axis]
    points = Points(
        plane * params.noise_scale + params.origin[plane_axes, None],
        line * params.noise_scale + params.origin[line_axis],
        line_axis,
    )
    field = (perlin if params.noise_type is NoiseType.PERLIN else simplex)(points, params.table)
    field -= field.min(where=where, initial=np.inf)
    peak = field.max(where=where, initial=0)
    return field / peak if peak > 0 else np.ones_like(field)


def _hole(config: SyntheticConfig, params: _ObjectParams) -> float:
    """Return the squared inner radius of a tube, in units in which the box is from −1 to 1."""
    outside = (1 - params.threshold ** (1 / params.gamma)) ** (1 / params.decay)  # outer radius of a tube without noise
    return float((config.tube_hole_ratio * outside) ** 2)


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected component (6-connectivity), without fragments that noise separates."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    largest: NDArray[np.bool_] = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return largest


def _crop(mask: NDArray[np.bool_], intensity: NDArray[np.float32], thickness: int, brightest: int) -> SyntheticObject:
    """Return an object, hollow or not, cropped to its bounding box and scaled to its maximum intensity."""
    if thickness > 0:
        mask = mask & (ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] <= thickness)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    mask = np.ascontiguousarray(mask[box])
    values = intensity[box][mask]
    values *= brightest / max(float(values.max()), 1e-12)
    return SyntheticObject(mask, np.maximum(values, _MIN_INTENSITY))
