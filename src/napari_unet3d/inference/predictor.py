"""A model on its device that predicts one volume after another."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import PredictionConfig, ResizeMode, Task
from napari_unet3d.data.channel_choice import channels_for_model
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, describe_voxel_size
from napari_unet3d.data.outliers import describe_outliers, named_outliers
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.evaluation.metrics.uncertainty import class_entropy, foreground_entropy
from napari_unet3d.inference.events import ModelLoaded, Prediction, TilesPredicted
from napari_unet3d.inference.output_maps import OutputMaps
from napari_unet3d.inference.postprocess import postprocess
from napari_unet3d.inference.sliding_window import MEMORY_REMEDY, SlidingWindow, TileTask
from napari_unet3d.inference.tile_grid import halo_grid
from napari_unet3d.inference.tiling import Flip, mirror_flips
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint
from napari_unet3d.model.devices import choose_device, explain_memory_errors
from napari_unet3d.transforms.normalise import apply_scales, clip_outliers, fit_scales
from napari_unet3d.transforms.pad import divisible_shape, to_divisible
from napari_unet3d.transforms.resample import shape_at_spacing, to_spacing

_SAME_VOXEL_SIZE = 0.05  # relative; calibrations may differ by a few per cent
_SIMILAR_SIDES = 1.25  # ratio of a side to that of the training volumes


class Predictor:
    """A model on its device that predicts one volume after another; close it to free the memory.

    A volume is preprocessed like the training volumes: normalised, resampled to the voxel size of the model if it has
    one, and predicted in tiles of the patch size. A model that was trained on whole volumes predicts whole
    volumes, padded or resized as in training, unless there is too little memory. There is one exception: for a model
    that was trained on cropped volumes, the volume is padded instead, so that the prediction covers all of it.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    config : PredictionConfig
        Overlap of tiles, test-time augmentation, threshold, device and precision.
    source : Path, optional
        The file or run folder of the model, from which other processes read it.

    Attributes
    ----------
    checkpoint, source : Checkpoint, Path or None
        As given.
    plan, config : Plan, PredictionConfig
        The plan of the model, and the settings.
    normalisation, percentiles : Normalisation, tuple of float
        How intensities are normalised.
    trained_on : tuple of str
        The channels that were chosen for the training, if any.
    resize_mode : ResizeMode
        How the shape of a volume is made one that the network can downsample.
    sliding_window : SlidingWindow
        The network on its device.

    Raises
    ------
    UserError
        If the device is not available, or does not have enough memory for the network.
    """

    def __init__(self, checkpoint: Checkpoint, config: PredictionConfig, source: Path | None = None) -> None:
        self.plan, self.config, self.source = checkpoint.plan, config, source
        self.normalisation, self.percentiles = checkpoint.config.normalisation, checkpoint.config.percentiles
        self.trained_on = checkpoint.config.channels
        self._training_voxel_size_um = checkpoint.voxel_size_um
        always_pad = self.plan.patch_zyx is not None or checkpoint.config.resize_mode is ResizeMode.CROP
        self.resize_mode = ResizeMode.PAD if always_pad else checkpoint.config.resize_mode
        self.checkpoint = checkpoint
        self.sliding_window = SlidingWindow(checkpoint, choose_device(config.device, config.precision))

    @property
    def shared_config(self) -> PredictionConfig:
        """The settings for other processes, which compute in the same number type, whatever their device is."""
        fields = {name: getattr(self.config, name) for name in PredictionConfig.model_fields}
        return PredictionConfig(**fields | {"precision": self.sliding_window.hardware.precision})

    def device_events(self) -> Iterator[ModelLoaded | Notice]:
        """Yield an event that names the device, and a notice for each known problem with it."""
        yield ModelLoaded(self.sliding_window.hardware.description)
        notices = () if self.checkpoint.package is None else self.checkpoint.package.notices
        yield from map(Notice, (*self.sliding_window.hardware.notices, *notices))

    @property
    def n_channels(self) -> int:
        """Number of channels that the model needs."""
        return self.plan.in_channels

    @property
    def model_hash(self) -> str:
        """A hash of weights and plan, by which an interrupted prediction knows its model again."""
        how = self.plan.model_dump_json(), self.normalisation.value, str(self.percentiles)
        digest = hashlib.blake2b("\n".join(how).encode(), digest_size=16)
        for name, weights in sorted(self.checkpoint.weights.items()):
            digest.update(name.encode() + weights.contiguous().cpu().numpy().tobytes())
        digest.update(self.checkpoint.onnx or b"")
        digest.update(b"" if self.checkpoint.package is None else self.checkpoint.package.text)
        return digest.hexdigest()

    def with_channels(self, sample: Sample) -> Sample:
        """Return a volume with the channels that the model needs, in its order; what was chosen is in its notices.

        Raises
        ------
        UserError
            If it does not have them.
        """
        return channels_for_model(sample, self.plan.channels, self.trained_on, self.config.channels)

    def notices_for(self, sample: Sample) -> Iterator[Notice]:
        """Yield what was assumed of a volume, and notices of outliers and of another size than in training."""
        sample = self.with_channels(sample)
        yield from map(Notice, sample.notices)
        if self.checkpoint.package is not None:  # which says how intensities are treated
            yield from self.size_notices(sample.name, sample.shape, sample.geometry)
            return
        known = sample.channels, sample.channel_names, self.percentiles, sample.intensities
        for name, outliers in named_outliers(sample.name, *known):
            yield Notice(describe_outliers(name, outliers, self.normalisation))
        yield from self.size_notices(sample.name, sample.shape, sample.geometry)

    def size_notices(self, name: str, shape: Shape3D, own: Geometry) -> Iterator[Notice]:
        """Yield notices if shape (z, y, x) or voxel size of a volume are other ones than in training."""
        if self.plan.patch_zyx is None and self.plan.volume_zyx is not None:
            yield from _size_notice(name, self.network_shape(shape, own), self.plan.volume_zyx)
        trained = self.plan.spacing_um or self._training_voxel_size_um
        if trained is None or (own.is_calibrated and self.plan.spacing_um is not None):
            return
        is_same = all(abs(new / old - 1) <= _SAME_VOXEL_SIZE for new, old in zip(own.spacing, trained, strict=True))
        if own.is_calibrated and is_same:
            return
        remedy = "resample the volume to that voxel size" if own.is_calibrated else "set the voxel size"
        yield Notice(
            f"The voxel size of '{name}' is {describe_voxel_size(own)} (z × y × x), that of the training "
            f"volumes {describe_voxel_size(Geometry(trained))}. The network measures objects in voxels: if the "
            f"prediction is poor, {remedy}."
        )

    def predict(
        self, sample: Sample, n_finished: int = 0, n_volumes: int = 1
    ) -> Generator[TilesPredicted | Notice, None, Prediction]:
        """Segment one volume; ``prediction = yield from predictor.predict(sample)`` passes the events on.

        Parameters
        ----------
        sample : Sample
            The volume.
        n_finished, n_volumes : int
            Finished volumes and all volumes, for the events.

        Yields
        ------
        TilesPredicted
            After each batch of tiles.
        Notice
            If there is not enough memory; the prediction continues with less at a time.

        Returns
        -------
        Prediction
            The result, on the grid of the image.

        Raises
        ------
        UserError
            If there is not enough memory, or the network output overflows.
        """
        sample = self.with_channels(sample)
        with explain_memory_errors(MEMORY_REMEDY):
            task, maps = self._preprocess(sample)
        for event in self.sliding_window.run(task):
            yield event if isinstance(event, Notice) else TilesPredicted(*event, n_finished, n_volumes)
        with explain_memory_errors(MEMORY_REMEDY):
            del task  # frees the preprocessed image before the outputs are resampled
            maps.resample_to(sample.shape)
            return self._result(sample, maps)

    def close(self) -> None:
        """Free the network and its memory on the device."""
        self.sliding_window.close()

    def _preprocess(self, sample: Sample) -> tuple[TileTask, OutputMaps]:
        if (package := self.checkpoint.package) is not None:
            z, y, x = sample.shape
            input_shape = package.input_shape((z, y, x))
            image = package.pad(package.preprocess(sample.channels), input_shape)
            maps = OutputMaps(self.plan.task, self.plan.out_channels, (z, y, x), input_shape, ResizeMode.PAD)
            grid = halo_grid(
                input_shape, package.tile((z, y, x)), self.config.overlap, package.steps_zyx, package.halo_zyx
            )
            return TileTask(sample.name, image, maps, self.config.overlap, self.flips, grid), maps
        scales = fit_scales(sample.channels, self.normalisation, self.percentiles, sample.intensities)
        image = clip_outliers(sample.channels, scales)
        if self.plan.spacing_um is not None and sample.geometry.is_calibrated:
            image = to_spacing(image, sample.spacing, self.plan.spacing_um, is_labels=False)
        z, y, x = image.shape[1:]
        input_shape = self.input_shape((z, y, x), self.resize_mode)
        image = to_divisible(apply_scales(image, scales), input_shape, self.resize_mode, is_labels=False)
        maps = OutputMaps(self.plan.task, self.plan.out_channels, (z, y, x), input_shape, self.resize_mode)
        return TileTask(sample.name, image, maps, self.config.overlap, self.flips), maps

    def network_shape(self, shape: Shape3D, geometry: Geometry) -> Shape3D:
        """Return the shape (z, y, x) of a volume at the voxel size of the model, if it has one."""
        if self.plan.spacing_um is None or not geometry.is_calibrated:
            return shape
        return shape_at_spacing(shape, geometry.spacing, self.plan.spacing_um)

    @property
    def flips(self) -> tuple[Flip, ...]:
        """The mirror images over which predictions are averaged."""
        return mirror_flips() if self.config.tta or self.config.uncertainty else ((),)

    def input_shape(self, shape: Shape3D, mode: ResizeMode) -> Shape3D:
        """Return the shape (z, y, x) of the network input for a volume at the voxel size of the model."""
        divisible = divisible_shape(shape, self.plan.total_stride, mode)
        # Volumes smaller than a patch are padded to its size, as in training.
        z, y, x = map(max, divisible, self.plan.patch_zyx or divisible)
        return z, y, x

    def uncertainty(
        self, probability: NDArray[np.float32], channels: NDArray[np.float16] | None
    ) -> NDArray[np.float32]:
        """Return the uncertainty (z, y, x) of maps; see `Prediction`."""
        if channels is not None and self.plan.task is Task.SEMANTIC:
            return class_entropy(probability, channels)
        return foreground_entropy(probability)

    def _result(self, sample: Sample, maps: OutputMaps) -> Prediction:
        uncertainty = self.uncertainty(maps.probability, maps.channels) if self.config.uncertainty else None
        labels = postprocess(maps.probability, maps.channels, sample.geometry, self.plan, self.config)
        return Prediction(
            sample.name,
            labels,
            maps.probability,
            sample.geometry,
            self.plan,
            maps.channels,
            uncertainty,
            intensities=sample.intensities,
        )


def _size_notice(name: str, shape: Shape3D, trained: Shape3D) -> Iterator[Notice]:
    """Yield a notice for a volume that is larger or smaller than the whole volumes that a network was trained on.

    Tiles of the size of training do not help: a network that has seen many objects at a time finds some in empty tiles,
    too, and more of them than in a whole volume.
    """
    ratios = [max(side / most, most / side) for side, most in zip(shape, trained, strict=True)]
    if max(ratios) > _SIMILAR_SIDES:
        yield Notice(
            f"'{name}' has {format_shape(shape)} voxels, but the network was trained on whole volumes of "
            f"{format_shape(trained)}. What it finds depends on how much foreground it sees at a time: if there are "
            "far fewer or more objects than in the training volumes, add volumes of this kind to them."
        )


def predictor_of(model: Path, config: PredictionConfig) -> Predictor:
    """Return the predictor of a model; a worker process keeps it for the next task, unless its files change."""
    with explain_os_errors(model, "read"):
        files = [model, *model.iterdir()] if model.is_dir() else [model]
        changed = max(file.stat().st_mtime_ns for file in files)
    return _loaded(model, changed, config)


@lru_cache(maxsize=1)
def _loaded(model: Path, _changed: int, config: PredictionConfig) -> Predictor:
    return Predictor(load_checkpoint(model), config, model)
