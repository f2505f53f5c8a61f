"""A model on its device that predicts one volume after another."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from napari_unet3d.configs import PredictionConfig, ResizeMode, Task
from napari_unet3d.data.channel_choice import channels_for_model
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, describe_voxel_size
from napari_unet3d.data.outliers import describe_outliers, named_outliers
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.evaluation.metrics.uncertainty import class_entropy, foreground_entropy
from napari_unet3d.inference.events import ModelLoaded, Prediction, TilesPredicted
from napari_unet3d.inference.output_maps import OutputMaps
from napari_unet3d.inference.postprocess import postprocess
from napari_unet3d.inference.sliding_window import MEMORY_REMEDY, SlidingWindow, TileTask
from napari_unet3d.inference.tiling import mirror_flips
from napari_unet3d.model.checkpoint import Checkpoint
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

    Raises
    ------
    UserError
        If the device is not available, or does not have enough memory for the network.
    """

    def __init__(self, checkpoint: Checkpoint, config: PredictionConfig) -> None:
        self._plan, self._config = checkpoint.plan, config
        self._normalisation, self._percentiles = checkpoint.config.normalisation, checkpoint.config.percentiles
        self._training_voxel_size_um = checkpoint.voxel_size_um
        self._trained_on = checkpoint.config.channels
        always_pad = self._plan.patch_zyx is not None or checkpoint.config.resize_mode is ResizeMode.CROP
        self._resize_mode = ResizeMode.PAD if always_pad else checkpoint.config.resize_mode
        self._sliding_window = SlidingWindow(checkpoint, choose_device(config.device, config.precision))

    def device_events(self) -> Iterator[ModelLoaded | Notice]:
        """Yield an event that names the device, and a notice for each known problem with it."""
        yield ModelLoaded(self._sliding_window.hardware.description)
        yield from map(Notice, self._sliding_window.hardware.notices)

    @property
    def n_channels(self) -> int:
        """Number of channels that the model needs."""
        return self._plan.in_channels

    def with_channels(self, sample: Sample) -> Sample:
        """Return a volume with the channels that the model needs, in its order; what was chosen is in its notices.

        Raises
        ------
        UserError
            If it does not have them.
        """
        return channels_for_model(sample, self._plan.channels, self._trained_on, self._config.channels)

    def notices_for(self, sample: Sample) -> Iterator[Notice]:
        """Yield what was assumed of a volume, and notices of outliers and of another size than in training."""
        sample = self.with_channels(sample)
        yield from map(Notice, sample.notices)
        known = sample.channels, sample.channel_names, self._percentiles, sample.intensities
        for name, outliers in named_outliers(sample.name, *known):
            yield Notice(describe_outliers(name, outliers, self._normalisation))
        if self._plan.patch_zyx is None and self._plan.volume_zyx is not None:
            shape = sample.shape
            if self._plan.spacing_um is not None and sample.geometry.is_calibrated:
                shape = shape_at_spacing(shape, sample.spacing, self._plan.spacing_um)
            yield from _size_notice(sample.name, shape, self._plan.volume_zyx)
        trained, own = self._plan.spacing_um or self._training_voxel_size_um, sample.geometry
        if trained is None or (own.is_calibrated and self._plan.spacing_um is not None):
            return
        is_same = all(abs(new / old - 1) <= _SAME_VOXEL_SIZE for new, old in zip(own.spacing, trained, strict=True))
        if own.is_calibrated and is_same:
            return
        remedy = "resample the volume to that voxel size" if own.is_calibrated else "set the voxel size"
        yield Notice(
            f"The voxel size of '{sample.name}' is {describe_voxel_size(own)} (z × y × x), that of the training "
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
            task = self._preprocess(sample)
        for event in self._sliding_window.run(task):
            yield event if isinstance(event, Notice) else TilesPredicted(*event, n_finished, n_volumes)
        with explain_memory_errors(MEMORY_REMEDY):
            maps = task.maps
            del task  # frees the preprocessed image before the outputs are resampled
            maps.resample_to(sample.shape)
            return self._result(sample, maps)

    def close(self) -> None:
        """Free the network and its memory on the device."""
        self._sliding_window.close()

    def _preprocess(self, sample: Sample) -> TileTask:
        scales = fit_scales(sample.channels, self._normalisation, self._percentiles, sample.intensities)
        image = clip_outliers(sample.channels, scales)
        if self._plan.spacing_um is not None and sample.geometry.is_calibrated:
            image = to_spacing(image, sample.spacing, self._plan.spacing_um, is_labels=False)
        z, y, x = image.shape[1:]
        input_shape = self._input_shape((z, y, x))
        image = to_divisible(apply_scales(image, scales), input_shape, self._resize_mode, is_labels=False)
        maps = OutputMaps(self._plan.task, self._plan.out_channels, (z, y, x), input_shape, self._resize_mode)
        flips = mirror_flips() if self._config.tta or self._config.uncertainty else ((),)
        return TileTask(sample.name, image, maps, self._config.overlap, flips)

    def _input_shape(self, shape: Shape3D) -> Shape3D:
        divisible = divisible_shape(shape, self._plan.total_stride, self._resize_mode)
        # Volumes smaller than a patch are padded to its size, as in training.
        z, y, x = map(max, divisible, self._plan.patch_zyx or divisible)
        return z, y, x

    def _result(self, sample: Sample, maps: OutputMaps) -> Prediction:
        uncertainty = None
        if self._config.uncertainty and maps.channels is not None and self._plan.task is Task.SEMANTIC:
            uncertainty = class_entropy(maps.probability, maps.channels)
        elif self._config.uncertainty:
            uncertainty = foreground_entropy(maps.probability)
        labels = postprocess(maps.probability, maps.channels, sample.geometry, self._plan, self._config)
        return Prediction(
            sample.name,
            labels,
            maps.probability,
            sample.geometry,
            self._plan,
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
