"""Simulation of imaging: background, blur, photon and read noise, and conversion to the pixel type.

Volumes are processed in slabs of slices, so that a large one is never completely in floating point. Each source of
noise has its own random generator, so that the result does not depend on the thickness of the slabs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.configs import BackgroundMethod, PixelType, SyntheticConfig
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.data.synthetic.noise import Points, noise_table, perlin

Image = NDArray[np.float32]

_SLAB_VOXELS = 4_000_000
_BLUR_REACH = 4.0  # standard deviations
_BACKGROUND_CYCLES = 1.5  # of the uneven background, along the longest side of the volume
_SMALLEST_DIVISOR = 1e-6


def has_imaging(config: SyntheticConfig) -> bool:
    """Return whether the settings include any imaging."""
    effects = (config.blur_um, config.photon_count, config.read_noise, config.uneven_background)
    return any(effects) or config.background_apply is not BackgroundMethod.NONE


def image_slabs(
    clean: NDArray[Any], config: SyntheticConfig, seeds: np.random.SeedSequence
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Apply imaging slab by slab.

    In this order: blur, uneven background, photon noise, read noise, then the background of `background_noise`. The
    "maximum intensity" is the upper end of ``config.intensity``.

    Parameters
    ----------
    clean : ndarray of any real number type, shape (z, y, x)
        Objects on a background of 0.
    config : SyntheticConfig
        The imaging and background settings, voxel size and pixel type.
    seeds : numpy.random.SeedSequence
        Seeds of the noise.

    Yields
    ------
    slices : slice
        The finished slices along z.
    image : ndarray of ``config.pixel_type``, shape (slices, y, x)
        Their values.
    """
    light_rng, photon_rng, read_rng, background_rng = map(np.random.default_rng, seeds.spawn(4))
    brightest = config.intensity[1]
    uneven = UnevenBackground(config, light_rng) if config.uneven_background else None
    thickness = max(1, _SLAB_VOXELS // (clean.shape[1] * clean.shape[2]))
    for first in range(0, len(clean), thickness):
        slices = slice(first, min(first + thickness, len(clean)))
        image = blur(clean, slices, config)
        if uneven is not None:
            image += np.float32(config.uneven_background * brightest) * uneven.slices(slices)
        if config.photon_count > 0:
            image = photon_rng.poisson(image * np.float32(config.photon_count / brightest)).astype(np.float32)
            image *= np.float32(brightest / config.photon_count)
        if config.read_noise > 0:
            image += np.float32(config.read_noise * brightest) * read_rng.standard_normal(image.shape, np.float32)
        if config.background_apply is not BackgroundMethod.NONE:
            image = combine(image, background_noise(image.shape, config, background_rng), config.background_apply)
        yield slices, to_pixels(image, config.pixel_type)


def blur(clean: NDArray[Any], slices: slice, config: SyntheticConfig) -> Image:
    """Blur some slices of a volume, including their neighbours; σ is the same in µm along each axis.

    Returns
    -------
    ndarray of float32, shape (slices, y, x)
        Always a new array.
    """
    if config.blur_um == 0:
        return clean[slices].astype(np.float32)
    sigma = [config.blur_um / size for size in config.voxel_size_um]
    halo = int(_BLUR_REACH * sigma[0] + 1)
    low, high = max(0, slices.start - halo), min(len(clean), slices.stop + halo)
    wide = ndimage.gaussian_filter(clean[low:high].astype(np.float32), sigma, mode="nearest", truncate=_BLUR_REACH)
    part: Image = wide[slices.start - low : slices.stop - low]
    return part


def background_noise(shape: Shape3D | tuple[int, ...], config: SyntheticConfig, rng: np.random.Generator) -> Image:
    """Combine the constant baseline and uniform noise.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    config : SyntheticConfig
        ``background_baseline``, ``background_noise`` and ``background_generate`` are used.
    rng : numpy.random.Generator
        Random generator.

    Returns
    -------
    ndarray of float32 of this shape
        The background.
    """
    low, high = config.background_noise
    noise = np.float32(low) + np.float32(high - low) * rng.random(shape, np.float32)
    return combine(np.full(shape, config.background_baseline, np.float32), noise, config.background_generate)


def combine(image: Image, other: Image, method: BackgroundMethod) -> Image:
    """Combine two images of the same shape; `NONE` returns the first.

    >>> combine(np.float32([6]), np.float32([2]), BackgroundMethod.DIVIDE)
    array([3.], dtype=float32)
    """
    match method:
        case BackgroundMethod.ADD:
            return image + other
        case BackgroundMethod.SUBTRACT:
            return image - other
        case BackgroundMethod.MULTIPLY:
            return image * other
        case BackgroundMethod.DIVIDE:
            return np.divide(image, np.maximum(other, _SMALLEST_DIVISOR), dtype=np.float32)
        case BackgroundMethod.NONE:
            return image


def to_pixels(image: Image, pixel_type: PixelType) -> NDArray[Any]:
    """Convert to the pixel type; values are rounded and clipped for integer types.

    >>> to_pixels(np.float32([-1, 2.6, 300]), PixelType.UINT8)
    array([  0,   3, 255], dtype=uint8)
    """
    if pixel_type is PixelType.FLOAT32:
        return image
    dtype = np.dtype(pixel_type.value)
    return np.clip(np.rint(image), 0, np.iinfo(dtype).max).astype(dtype)


class UnevenBackground:
    """Slowly varying Perlin noise from 0 to 1, as from uneven staining or illumination.

    Parameters
    ----------
    config : SyntheticConfig
        Shape and voxel size; the wavelength in µm is the same along each axis.
    rng : numpy.random.Generator
        Random generator.
    """

    def __init__(self, config: SyntheticConfig, rng: np.random.Generator) -> None:
        self._shape = config.shape
        sides = np.array(config.shape) * config.voxel_size_um
        self._cycles = _BACKGROUND_CYCLES * sides / sides.max()
        self._table = noise_table(rng)
        self._origin = rng.random(3)
        coarse = self._evaluate(*(np.linspace(0, 1, 24) for _ in range(3)))
        self._low, self._span = float(coarse.min()), max(float(np.ptp(coarse)), 1e-6)

    def slices(self, slices: slice) -> Image:
        """Return some slices as float32 of shape (slices, y, x)."""
        z, y, x = (np.arange(n) / n for n in self._shape)
        field = self._evaluate(z[slices], y, x)
        field -= self._low
        field /= self._span
        return np.clip(field, 0, 1, out=field)

    def _evaluate(self, z: NDArray[Any], y: NDArray[Any], x: NDArray[Any]) -> Image:
        z, y, x = (part * cycles + o for part, cycles, o in zip((z, y, x), self._cycles, self._origin, strict=True))
        plane = np.stack([np.repeat(y, len(x)), np.tile(x, len(y))])
        return perlin(Points(plane, z, line_axis=0), self._table).reshape(len(z), len(y), len(x))
