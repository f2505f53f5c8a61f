"""The batches of an epoch, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_unet3d.configs import Augmentation, TrainingConfig
from napari_unet3d.data.sample import Shape3D, VoxelSize
from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.volumes import PreparedVolume
from napari_unet3d.transforms.augment import Augmenter

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class DrawnPatch:
    """A part of a volume as it comes into a batch, and as it was before it was varied.

    Attributes
    ----------
    name : str
        The volume.
    start_zyx : tuple of int
        First voxel of the part.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    image, original : Tensor of float32, shape (1, z, y, x)
        Normalised grey values.
    targets, original_targets : Tensor of uint8, shape (channel, z, y, x)
        What the network shall answer.
    """

    name: str
    start_zyx: Shape3D
    voxel_size_um: VoxelSize
    image: torch.Tensor
    targets: torch.Tensor
    original: torch.Tensor
    original_targets: torch.Tensor


_Draw = tuple[int, int, Shape3D, Shape3D]  # number of a volume, seed of its variation, start and shape of the part

_LEAST_STEPS = 8  # of an epoch of patches: a single small volume would otherwise make epochs of one step


class Batches:
    """Batches of patches, or of whole volumes of one shape each.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        What to draw from. Whole volumes come once per epoch; patches are drawn from volumes as often as these hold
        annotated voxels.
    config : TrainingConfig
        Augmentation, share of patches on foreground, steps, seed, shuffling and workers. Worker processes are
        started by spawning, never by forking, and give the same batches as none.
    plan : Plan
        Patch and batch size.
    n_steps : int
        Batches of an epoch; 0 for what the settings say.
    """

    def __init__(self, volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan, n_steps: int = 0) -> None:
        self._sampler, self._volumes = _BatchSampler(volumes, config, plan, n_steps), tuple(volumes)
        self._dataset = _PatchDataset(volumes, config.augmentation)
        self._loader = _Loader(self._dataset, self._sampler, config.num_workers) if config.num_workers else None

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self._sampler)

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""
        return self._volumes[0].device

    def epoch(self, epoch: int, first_step: int = 1) -> Iterator[Batch]:
        """Return images (n, 1, z, y, x) in float32 and targets (n, channel, z, y, x) in uint8, batch by batch.

        Parameters
        ----------
        epoch : int
            Which epoch, counted from 1.
        first_step : int
            The step to begin with, counted from 1.

        Raises
        ------
        UserError
            If a worker process cannot start or dies.
        """
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        if self._loader is not None:
            yield from self._loader.batches()
            return
        for draws in self._sampler:
            images, targets = zip(*map(self._dataset.__getitem__, draws), strict=True)
            yield torch.stack(images), torch.stack(targets)

    def patches(self, epoch: int, first_step: int = 1) -> Iterator[DrawnPatch]:
        """Return what the batches of an epoch are made of, one by one, without worker processes.

        Parameters
        ----------
        epoch : int
            Which epoch, counted from 1.
        first_step : int
            The step to begin with, counted from 1.
        """
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        for draw in chain.from_iterable(self._sampler):
            number, _, start, shape = draw
            volume = self._volumes[number]
            yield DrawnPatch(volume.name, start, volume.voxel_size_um, *self._dataset[draw], *volume.crop(start, shape))


def steps_of_one_pass(shapes: Sequence[Shape3D], plan: Plan) -> int:
    """Count the steps that see each voxel about once, or each whole volume once.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Shapes (z, y, x) of the volumes as they are ready.
    plan : Plan
        Patch and batch size.
    """
    if plan.patch_zyx is None:
        return sum(-(-n_alike // plan.batch_size) for n_alike in Counter(shapes).values())
    n_voxels = sum(prod(shape) for shape in shapes)
    return max(_LEAST_STEPS, round(n_voxels / (prod(plan.patch_zyx) * plan.batch_size)))


class _PatchDataset(Dataset[Batch]):
    """A part of a volume, varied by the seed that comes with it; so it is the same in every worker process."""

    def __init__(self, volumes: Sequence[PreparedVolume], level: Augmentation) -> None:
        self._volumes, self._level = tuple(volumes), level

    def __getitem__(self, draw: _Draw) -> Batch:
        number, seed, start, shape = draw
        volume = self._volumes[number]
        return Augmenter(self._level, volume.voxel_size_um, shape)(*volume.crop(start, shape), seed)


class _Loader:
    """Worker processes that draw the same batches ahead."""

    def __init__(self, parts: _PatchDataset, order: _BatchSampler, n_workers: int) -> None:
        self._loader: DataLoader[Batch] = DataLoader(
            parts,
            batch_sampler=order,
            num_workers=n_workers,
            multiprocessing_context="spawn",
            persistent_workers=True,
            # Of its own, although nothing is drawn from it: without one the loader draws from torch's global one.
            generator=torch.Generator(),
        )

    def batches(self) -> Iterator[Batch]:
        """Return the batches of the order as it stands."""
        try:
            # In the main thread torch installs a handler of signals that raises the death of a worker wherever the
            # process happens to be, far from here; without it the loader looks after its workers by itself.
            with ThreadPoolExecutor(1) as aside:
                batches = aside.submit(iter, self._loader).result()
            yield from batches
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                "A worker process that loads data has ended unexpectedly. Set workers to 0; in a script of your own, "
                "start the training below 'if __name__ == \"__main__\":'."
            ) from error


class _BatchSampler(Sampler[list[_Draw]]):
    """Which parts of which volumes make up which batch of the current `epoch`, from `first_step` on."""

    def __init__(self, volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan, n_steps: int) -> None:
        self.epoch = self.first_step = 1
        self._volumes, self._config, self._plan = tuple(volumes), config, plan
        n_annotated = np.array([volume.patch_sampler.n_annotated for volume in volumes], dtype=float)
        self._shares = n_annotated / n_annotated.sum() if n_annotated.any() else np.ones(len(volumes)) / len(volumes)
        self._groups: dict[Shape3D, list[int]] = {}
        for number, volume in enumerate(volumes):
            self._groups.setdefault(volume.shape, []).append(number)
        self._n_steps = (
            n_steps or config.steps_per_epoch or steps_of_one_pass([volume.shape for volume in volumes], plan)
        )

    def __len__(self) -> int:
        return self._n_steps

    def __iter__(self) -> Iterator[list[_Draw]]:
        if self._plan.patch_zyx is None:
            yield from self._whole_volumes()
            return
        for step in range(self.first_step, len(self) + 1):
            yield self._patches(self._plan.patch_zyx, step)

    def _patches(self, patch: Shape3D, step: int) -> list[_Draw]:
        # Each step has a stream of its own, so that a run can go on at any step, with another batch size, too.
        rng = np.random.default_rng((self._config.seed, self.epoch, step))
        draws: list[_Draw] = []
        for _ in range(self._plan.batch_size):
            number = int(rng.choice(len(self._volumes), p=self._shares))
            on_foreground = bool(rng.random() < self._config.foreground_fraction)
            start = self._volumes[number].patch_sampler.draw(rng, patch, on_foreground=on_foreground)
            draws.append((number, int(rng.integers(2**32)), start, patch))
        return draws

    def _whole_volumes(self) -> Iterator[list[_Draw]]:
        step, passes = 0, 0
        while step < len(self):  # more steps than one pass has go through the volumes again
            for batch in self._one_pass(passes):
                step += 1
                if self.first_step <= step <= len(self):
                    yield batch
            passes += 1

    def _one_pass(self, number_of_pass: int) -> Iterator[list[_Draw]]:
        config, size = self._config, self._plan.batch_size
        seeds = (config.seed, self.epoch, number_of_pass) if number_of_pass else (config.seed, self.epoch)
        rng = np.random.default_rng(seeds)
        batches = []
        for group in self._groups.values():
            order = rng.permutation(group) if config.shuffle else np.asarray(group)
            batches += [order[start : start + size] for start in range(0, len(order), size)]
        if config.shuffle:
            batches = [batches[number] for number in rng.permutation(len(batches))]
        for batch in batches:
            yield [(int(n), int(rng.integers(2**32)), (0, 0, 0), self._volumes[n].shape) for n in batch]
