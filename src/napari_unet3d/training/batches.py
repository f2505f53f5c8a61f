"""Volumes made ready once and kept in memory, and the batches of equal shapes that an epoch is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_unet3d.configs import Augmentation, Fit, TrainingConfig
from napari_unet3d.data.sample import Sample, Shape3D, VoxelSize
from napari_unet3d.errors import UserError
from napari_unet3d.model.devices import explain_memory_errors
from napari_unet3d.model.normalisation import normalise
from napari_unet3d.prediction.augmentation import Augmenter, augmentation_for
from napari_unet3d.prediction.fit import fit_volume, fitted_shape

Batch = tuple[torch.Tensor, torch.Tensor]
_Key = tuple[int, int]  # number of a volume, seed of its variation


@dataclass(frozen=True, slots=True)
class ReadyVolume:
    """A volume as the network takes it.

    Attributes
    ----------
    image : Tensor of float32, shape (1, z, y, x)
        Normalised, and fitted to the network.
    labels : Tensor of uint8, shape (1, z, y, x)
        1 is foreground.
    augmenter : Augmenter
        Varies it in accordance with its voxel size.
    """

    image: torch.Tensor
    labels: torch.Tensor
    augmenter: Augmenter

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        _, z, y, x = self.image.shape
        return z, y, x


def make_ready(sample: Sample, config: TrainingConfig, level: Augmentation) -> ReadyVolume:
    """Normalise a sample, fit it to the network and prepare its augmentation.

    Raises
    ------
    UserError
        If it has no labels, or is too small to be cropped.
    """
    if sample.labels is None:
        raise UserError(f"The volume '{sample.name}' has no labels; label it, or leave it out of training.")
    shape = fitted_shape(sample.shape, config.preset.total_stride, config.fit)
    image = fit_volume(normalise(sample.image, config.normalisation), shape, config.fit, is_labels=False)
    labels = fit_volume((sample.labels > 0).astype(np.uint8), shape, config.fit, is_labels=True)
    return ReadyVolume(
        torch.from_numpy(np.ascontiguousarray(image))[None],
        torch.from_numpy(np.ascontiguousarray(labels))[None],
        augmentation_for(level, _fitted_voxel_size(sample, shape, config.fit), shape),
    )


def _fitted_voxel_size(sample: Sample, shape: Shape3D, fit: Fit) -> VoxelSize:
    if fit is not Fit.RESIZE:
        return sample.voxel_size_um
    z, y, x = (
        size * before / after for size, before, after in zip(sample.voxel_size_um, sample.shape, shape, strict=True)
    )
    return z, y, x


class Batches:
    """Batches of volumes of one shape each, in an order that depends on seed and epoch alone.

    Parameters
    ----------
    samples : sequence of Sample
        What to draw from; every volume comes once per epoch.
    config : TrainingConfig
        Normalisation, fit, batch size, seed and workers. Worker processes are started by spawning, never by
        forking, and give the same batches as none.
    level : Augmentation
        How strongly the volumes are varied.
    shuffle : bool
        Draw a new order in every epoch.

    Raises
    ------
    UserError
        If a sample has no labels or cannot be made to fit, or there is not enough memory for all.
    """

    def __init__(
        self, samples: Sequence[Sample], config: TrainingConfig, level: Augmentation, *, shuffle: bool
    ) -> None:
        with explain_memory_errors():
            volumes = [make_ready(sample, config, level) for sample in samples]
        self._n_voxels = sum(volume.labels.numel() for volume in volumes)
        self._n_foreground = sum(int(volume.labels.count_nonzero()) for volume in volumes)
        self._order = _Order(volumes, config, shuffle=shuffle)
        self._loader: DataLoader[Batch] = DataLoader(
            _VariedVolumes(volumes),
            batch_sampler=self._order,
            num_workers=config.workers,
            multiprocessing_context="spawn" if config.workers else None,
            persistent_workers=config.workers > 0,
            # Of its own, although nothing is drawn from it: without one the loader draws from torch's global one.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self._order)

    @property
    def foreground_fraction(self) -> float:
        """Part of all voxels that is foreground."""
        return self._n_foreground / self._n_voxels

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Give images (volume, 1, z, y, x) in float32 and labels of that shape in uint8, batch by batch.

        Raises
        ------
        UserError
            If a worker process cannot start or dies.
        """
        self._order.epoch = epoch
        try:
            yield from self._loader
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                "A worker process that loads data has ended unexpectedly. Set workers to 0; in a script of your own, "
                "start the training below 'if __name__ == \"__main__\":'."
            ) from error


class _VariedVolumes(Dataset[Batch]):
    """A volume, varied by the seed that comes with its number; so it is the same in every worker process."""

    def __init__(self, volumes: Sequence[ReadyVolume]) -> None:
        self._volumes = tuple(volumes)

    def __getitem__(self, key: _Key) -> Batch:
        number, seed = key
        volume = self._volumes[number]
        return volume.augmenter(volume.image, volume.labels, seed)


class _Order(Sampler[list[_Key]]):
    """Which volumes make up which batch of the current `epoch`."""

    def __init__(self, volumes: Sequence[ReadyVolume], config: TrainingConfig, *, shuffle: bool) -> None:
        self.epoch = 1
        self._seed, self._batch_size, self._shuffle = config.seed, max(1, config.batch_size), shuffle
        self._groups: dict[Shape3D, list[int]] = {}
        for number, volume in enumerate(volumes):
            self._groups.setdefault(volume.shape, []).append(number)

    def __len__(self) -> int:
        return sum(-(-len(group) // self._batch_size) for group in self._groups.values())

    def __iter__(self) -> Iterator[list[_Key]]:
        rng = np.random.default_rng((self._seed, self.epoch))
        batches = []
        for group in self._groups.values():
            order = rng.permutation(group) if self._shuffle else np.asarray(group)
            batches += [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]
        if self._shuffle:
            batches = [batches[number] for number in rng.permutation(len(batches))]
        for batch in batches:
            yield [(int(number), int(rng.integers(2**32))) for number in batch]
