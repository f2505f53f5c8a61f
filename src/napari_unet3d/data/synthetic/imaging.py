"""What a microscope or scanner does to the objects: background light, blur, photon and read noise, and grey values.

It works through slabs of slices, so that a large volume is never held in floating point as a whole. Every source of
noise has a generator of its own, so the thickness of the slabs does not change the result.
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
    """Return whether these settings do anything to the clean objects."""
    effects = (config.blur_um, config.photon_count, config.read_noise, config.uneven_background)
    return any(effects) or config.background_apply is not BackgroundMethod.NONE


def image_slabs(
    clean: NDArray[Any], config: SyntheticConfig, seeds: np.random.SeedSequence
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Image the clean objects slab by slab.

    The order is that of light: blurred objects, uneven background, photon noise, read noise; then the noise that
    `background_noise` makes. "Brightest value" means the upper end of ``config.intensity``.

    Parameters
    ----------
    clean : ndarray of any real number type, shape (z, y, x)
        Objects on a background of 0.
    config : SyntheticConfig
        The imaging and background settings, voxel size and pixel type.
    seeds : numpy.random.SeedSequence
        Where the noise starts.

    Yields
    ------
    slices : slice
        Which slices along z are finished.
    image : ndarray of ``config.pixel_type``, shape (slices, y, x)
        The finished slices.
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
    """Blur some slices of a volume, reading as many neighbours as the blur reaches; σ is the same in µm on each axis.

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
    """Join uniform noise to the constant baseline.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    config : SyntheticConfig
        ``background_baseline``, ``background_noise`` and ``background_generate`` are used.
    rng : numpy.random.Generator
        Draws the noise.

    Returns
    -------
    ndarray of float32, of this shape
        The background alone.
    """
    low, high = config.background_noise
    noise = np.float32(low) + np.float32(high - low) * rng.random(shape, np.float32)
    return combine(np.full(shape, config.background_baseline, np.float32), noise, config.background_generate)


def combine(image: Image, other: Image, method: BackgroundMethod) -> Image:
    """Add, subtract, multiply by or divide by another image of the same shape; `NONE` gives the first."""
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
    """Round and clip to an integer type; floating point stays as it is."""
    if pixel_type is PixelType.FLOAT32:
        return image
    dtype = np.dtype(pixel_type.value)
    return np.clip(np.rint(image), 0, np.iinfo(dtype).max).astype(dtype)


class UnevenBackground:
    """Perlin noise of long waves from 0 to 1, as a stain or an uneven illumination leaves it.

    Parameters
    ----------
    config : SyntheticConfig
        Shape and voxel size; the waves are as long along z as along y and x in µm.
    rng : numpy.random.Generator
        Draws the field.
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
        """Evaluate some slices: float32 of shape (slices, y, x)."""
        z, y, x = (np.arange(n) / n for n in self._shape)
        field = self._evaluate(z[slices], y, x)
        field -= self._low
        field /= self._span
        return np.clip(field, 0, 1, out=field)

    def _evaluate(self, z: NDArray[Any], y: NDArray[Any], x: NDArray[Any]) -> Image:
        z, y, x = (part * cycles + o for part, cycles, o in zip((z, y, x), self._cycles, self._origin, strict=True))
        plane = np.stack([np.repeat(y, len(x)), np.tile(x, len(y))])
        return perlin(Points(plane, z, line_axis=0), self._table).reshape(len(z), len(y), len(x))
