"""The batches of an epoch, which depend only on seed and epoch."""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.torchrun import ProcessNumber
from napari_unet3d.training.loading.volumes import PreparedVolume
from napari_unet3d.transforms.augment import Augmenter

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class DrawnPatch:
    """A patch as it is in a batch, and before augmentation.

    Attributes
    ----------
    name : str
        Name of the volume.
    start_zyx : tuple of int
        First voxel (z, y, x) of the patch in the volume.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of `Geometry.spacing`.
    image, original : Tensor of float32, shape (channel, z, y, x)
        Normalised intensities with and without augmentation.
    targets, original_targets : Tensor of uint8, shape (channel, z, y, x)
        Targets of the network.
    """

    name: str
    start_zyx: Shape3D
    spacing: VoxelSize
    image: torch.Tensor
    targets: torch.Tensor
    original: torch.Tensor
    original_targets: torch.Tensor


_Draw = tuple[int, int, Shape3D, Shape3D]  # index of a volume, seed of the augmentation, start and shape of the patch

_BATCHES_AHEAD = 4  # that are read while a step is computed
_MIN_STEPS = 8  # per epoch of patches: otherwise a single small volume would make epochs of one step


class Batches:
    """Batches of patches, or of whole volumes of one shape each.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        The volumes. Whole volumes are used once per epoch; patches are drawn from volumes in proportion to their
        numbers of annotated voxels.
    config : TrainingConfig
        Augmentation, foreground fraction, steps per epoch, seed, shuffling and number of workers. Worker processes are
        spawned, never forked, and make the same batches as the main process.
    plan : Plan
        Patch and batch size.
    n_steps : int
        Batches per epoch; 0 for the number that follows from settings and volumes.
    """

    def __init__(self, volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan, n_steps: int = 0) -> None:
        self._sampler, self._volumes = _BatchSampler(volumes, config, plan, n_steps), tuple(volumes)
        self._dataset = _PatchDataset(volumes, config)
        self._loader = _Loader(self._dataset, self._sampler, config.num_workers) if config.num_workers else None

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self._sampler)

    @property
    def device(self) -> torch.device:
        """The device of the batches."""
        return self._volumes[0].device

    def take_part(self, number: ProcessNumber) -> None:
        """Yield only the part of each batch that one of several processes has; the batch size must be a multiple."""
        self._sampler.number = number

    def epoch(self, epoch: int, first_step: int = 1) -> Iterator[Batch]:
        """Yield batches of images (n, channel, z, y, x) in float32 and targets (n, channel, z, y, x) in uint8.

        Parameters
        ----------
        epoch : int
            The epoch, counted from 1.
        first_step : int
            The first step, counted from 1.

        Raises
        ------
        UserError
            If a worker process cannot start or dies.
        """
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        if self._loader is not None:
            yield from self._loader.batches()
            return
        batches = self._read_ahead() if any(volume.is_in_parts for volume in self._volumes) else self._crop_all()
        for batch in batches:
            images, targets = zip(*batch, strict=True)
            yield torch.stack(images), torch.stack(targets)

    def _crop_all(self) -> Iterator[list[Batch]]:
        for draws in self._sampler:
            yield [self._dataset[draw] for draw in draws]

    def _read_ahead(self) -> Iterator[list[Batch]]:
        """Yield augmented patches, while a thread reads those of the next batches from their files."""
        waiting: deque[list[tuple[_Draw, Future[Batch]]]] = deque()
        with ThreadPoolExecutor(1, "reads patches") as thread:
            try:
                for draws in self._sampler:
                    waiting.append([(draw, thread.submit(self._dataset.crop, draw)) for draw in draws])
                    if len(waiting) > _BATCHES_AHEAD:
                        yield [self._dataset.augment(draw, crop.result()) for draw, crop in waiting.popleft()]
                while waiting:
                    yield [self._dataset.augment(draw, crop.result()) for draw, crop in waiting.popleft()]
            finally:
                thread.shutdown(cancel_futures=True)

    def patches(self, epoch: int, first_step: int = 1) -> Iterator[DrawnPatch]:
        """Yield the patches of the batches of an epoch one by one, without worker processes.

        Parameters
        ----------
        epoch : int
            The epoch, counted from 1.
        first_step : int
            The first step, counted from 1.
        """
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        for draw in chain.from_iterable(self._sampler):
            number, _, start, shape = draw
            volume = self._volumes[number]
            yield DrawnPatch(volume.name, start, volume.spacing, *self._dataset[draw], *volume.crop(start, shape))


def steps_of_one_pass(shapes: Sequence[Shape3D], plan: Plan) -> int:
    """Count the steps that see each voxel about once, or each whole volume once.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Shapes (z, y, x) of the prepared volumes.
    plan : Plan
        Patch and batch size.
    """
    if plan.patch_zyx is None:
        return sum(-(-n_alike // plan.batch_size) for n_alike in Counter(shapes).values())
    n_voxels = sum(prod(shape) for shape in shapes)
    return max(_MIN_STEPS, round(n_voxels / (prod(plan.patch_zyx) * plan.batch_size)))


class _PatchDataset(Dataset[Batch]):
    """Augmented patches; the seed is part of the index, so that the result is the same in every worker process."""

    def __init__(self, volumes: Sequence[PreparedVolume], config: TrainingConfig) -> None:
        self._volumes, self._level, self._dropout = tuple(volumes), config.augmentation, config.channel_dropout

    def __getitem__(self, draw: _Draw) -> Batch:
        return self.augment(draw, self.crop(draw))

    def crop(self, draw: _Draw) -> Batch:
        """Return a patch without augmentation."""
        number, _, start, shape = draw
        return self._volumes[number].crop(start, shape)

    def augment(self, draw: _Draw, crop: Batch) -> Batch:
        """Return an augmented patch."""
        number, seed, _, shape = draw
        return Augmenter(self._level, self._volumes[number].spacing, shape, self._dropout)(*crop, seed)


class _Loader:
    """Worker processes that prepare the batches in advance."""

    def __init__(self, dataset: _PatchDataset, sampler: _BatchSampler, n_workers: int) -> None:
        self._loader: DataLoader[Batch] = DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=n_workers,
            multiprocessing_context="spawn",
            persistent_workers=True,
            worker_init_fn=_ignore_signals,
            # Nothing is drawn from it, but without one the loader draws from torch's global generator.
            generator=torch.Generator(),
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of the current epoch of the sampler."""
        try:
            # In the main thread, torch installs a signal handler that raises an error wherever the process happens to
            # be when a worker dies. Created in another thread, the loader checks its workers itself.
            with ThreadPoolExecutor(1) as thread:
                batches = thread.submit(iter, self._loader).result()
            yield from batches
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                "A worker process that loads data has ended unexpectedly. Set num_workers to 0; in your own script, "
                "start the training below 'if __name__ == \"__main__\":'."
            ) from error


def _ignore_signals(_worker: int) -> None:
    """Leave USR1 and HUP, which schedulers send to all processes of a job, to the process that trains."""
    for name in ("SIGUSR1", "SIGHUP"):
        if hasattr(signal, name):  # not on Windows
            signal.signal(getattr(signal, name), signal.SIG_IGN)


class _BatchSampler(Sampler[list[_Draw]]):
    """Draws the patches of each batch of the current `epoch`, from `first_step` on."""

    def __init__(self, volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan, n_steps: int) -> None:
        self.epoch = self.first_step = 1
        self.number = ProcessNumber(0, 1, 0)
        self._volumes, self._config, self._plan = tuple(volumes), config, plan
        n_annotated = np.array([volume.patch_sampler.n_annotated for volume in volumes], dtype=float)
        weights = n_annotated if n_annotated.any() else np.ones(len(volumes))
        self._probabilities = weights / weights.sum()
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
        n_own = self._plan.batch_size // self.number.n_processes
        own = slice(self.number.rank * n_own, (self.number.rank + 1) * n_own)
        for step in range(self.first_step, len(self) + 1):
            yield self._patches(self._plan.patch_zyx, step)[own]

    def _patches(self, patch: Shape3D, step: int) -> list[_Draw]:
        # Each step has its own random generator, so that a run can continue at any step, also with another batch size.
        rng = np.random.default_rng((self._config.seed, self.epoch, step))
        draws: list[_Draw] = []
        for _ in range(self._plan.batch_size):
            number = int(rng.choice(len(self._volumes), p=self._probabilities))
            on_foreground = bool(rng.random() < self._config.foreground_fraction)
            start = self._volumes[number].patch_sampler.draw(rng, patch, on_foreground=on_foreground)
            draws.append((number, int(rng.integers(2**32)), start, patch))
        return draws

    def _whole_volumes(self) -> Iterator[list[_Draw]]:
        step, passes = 0, 0
        while step < len(self):  # an epoch may be longer than one pass over the volumes
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
