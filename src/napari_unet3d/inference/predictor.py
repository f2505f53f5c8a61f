"""A model on its device, which predicts one volume after another."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from napari_unet3d.configs import PredictionConfig, ResizeMode, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample, Shape3D, format_um
from napari_unet3d.evaluation.metrics.uncertainty import class_entropy, foreground_entropy
from napari_unet3d.inference.events import ModelLoaded, Prediction, TilesPredicted
from napari_unet3d.inference.output_maps import OutputMaps
from napari_unet3d.inference.postprocess import postprocess
from napari_unet3d.inference.sliding_window import MEMORY_REMEDY, SlidingWindow, TileTask
from napari_unet3d.inference.tiling import mirror_flips
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.devices import choose_device, explain_memory_errors
from napari_unet3d.transforms.normalise import normalise
from napari_unet3d.transforms.pad import divisible_shape, to_divisible
from napari_unet3d.transforms.resample import to_spacing

_SAME_VOXEL_SIZE = 0.05  # relative; calibrations differ by a few per cent without meaning anything by it


class Predictor:
    """A model on its device, which predicts one volume after another; close it to give the memory back.

    A volume goes through what the training volumes went through: brought to the voxel size of the model if it has
    one, normalised, then predicted in tiles of the size of its patches. A model that was trained on whole volumes
    sees the whole volume, fitted to the network in the same way, unless the memory is too small for it. The exception
    is a model that was trained on cropped volumes: cropping changes no voxel that is kept, so nothing is lost by
    padding instead, and the prediction covers the whole volume.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    config : PredictionConfig
        Overlap of tiles, mirror images, threshold, device and precision.

    Raises
    ------
    UserError
        If the device is not there, or has not enough memory for the network.
    """

    def __init__(self, checkpoint: Checkpoint, config: PredictionConfig) -> None:
        self._plan, self._config = checkpoint.plan, config
        self._normalisation = checkpoint.config.normalisation
        self._trained_voxel_size_um = checkpoint.voxel_size_um
        sees_patches = self._plan.patch_zyx is not None or checkpoint.config.resize_mode is ResizeMode.CROP
        self._fit = ResizeMode.PAD if sees_patches else checkpoint.config.resize_mode
        self._predictor = SlidingWindow(checkpoint, choose_device(config.device, config.precision))

    def device_events(self) -> Iterator[ModelLoaded | Notice]:
        """Return the events that tell where the model runs and what is wrong there."""
        yield ModelLoaded(self._predictor.hardware.description)
        yield from map(Notice, self._predictor.hardware.notices)

    def notices_for(self, sample: Sample) -> Iterator[Notice]:
        """Return a notice when the network will see voxels of another size than those of the training volumes."""
        trained = self._trained_voxel_size_um
        if trained is None or self._plan.spacing_um is not None:
            return
        if any(abs(new / old - 1) > _SAME_VOXEL_SIZE for new, old in zip(sample.voxel_size_um, trained, strict=True)):
            yield Notice(
                f"The voxels of '{sample.name}' measure {format_um(sample.voxel_size_um)} (z × y × x), those of the "
                f"training volumes {format_um(trained)}. The network sees objects in voxels: resample the volume to "
                "that voxel size if the prediction is poor."
            )

    def predict(
        self, sample: Sample, n_finished: int = 0, n_volumes: int = 1
    ) -> Generator[TilesPredicted | Notice, None, Prediction]:
        """Segment one volume; ``prediction = yield from model.predict(sample)`` passes the events on.

        Parameters
        ----------
        sample : Sample
            The volume.
        n_finished, n_volumes : int
            How many volumes are finished already, of how many; for the events.

        Yields
        ------
        TilesPredicted
            After each batch of tiles.
        Notice
            When the memory is too small for what was tried; the prediction goes on with less.

        Returns
        -------
        Prediction
            The result, on the grid of the image.

        Raises
        ------
        UserError
            If there is not enough memory, or the network's numbers overflow.
        """
        with explain_memory_errors(MEMORY_REMEDY):
            job = self._prepare(sample)
        for event in self._predictor.run(job):
            yield event if isinstance(event, Notice) else TilesPredicted(*event, n_finished, n_volumes)
        with explain_memory_errors(MEMORY_REMEDY):
            maps = job.maps
            del job  # the grey values, so that there is room for the rest
            maps.resample_to(sample.shape)
            return self._result(sample, maps)

    def close(self) -> None:
        """Let go of the network and hand its memory back to the device."""
        self._predictor.close()

    def _prepare(self, sample: Sample) -> TileTask:
        image = sample.image
        if self._plan.spacing_um is not None:
            image = to_spacing(image, sample.voxel_size_um, self._plan.spacing_um, is_labels=False)
        z, y, x = image.shape
        shape = self._shape_to_predict((z, y, x))
        grey = to_divisible(normalise(image, self._normalisation), shape, self._fit, is_labels=False)
        maps = OutputMaps(self._plan.task, self._plan.out_channels, (z, y, x), shape, self._fit)
        mirrors = mirror_flips() if self._config.tta or self._config.uncertainty else ((),)
        return TileTask(sample.name, grey, maps, self._config.overlap, mirrors)

    def _shape_to_predict(self, shape: Shape3D) -> Shape3D:
        fitted = divisible_shape(shape, self._plan.total_stride, self._fit)
        # Training pads volumes that are smaller than a patch to its size, too.
        z, y, x = map(max, fitted, self._plan.patch_zyx or fitted)
        return z, y, x

    def _result(self, sample: Sample, maps: OutputMaps) -> Prediction:
        uncertainty = None
        if self._config.uncertainty and maps.channels is not None and self._plan.task is Task.SEMANTIC:
            uncertainty = class_entropy(maps.probability, maps.channels)
        elif self._config.uncertainty:
            uncertainty = foreground_entropy(maps.probability)
        labels = postprocess(maps.probability, maps.channels, sample.voxel_size_um, self._plan, self._config)
        return Prediction(
            sample.name, labels, maps.probability, sample.voxel_size_um, self._plan, maps.channels, uncertainty
        )
