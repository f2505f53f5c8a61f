"""Start what settings ask for: processes on this machine, or those of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from napari_unet3d.configs import Device
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.errors import UserError
from napari_unet3d.inference.workers.base import Workers
from napari_unet3d.inference.workers.cluster import ClusterWorkers
from napari_unet3d.inference.workers.local import LocalWorkers
from napari_unet3d.threads import limit_threads


@contextmanager
def started_workers(config: WorkersConfig, device: Device) -> Iterator[Workers | None]:
    """Yield the workers, which are ended at the end of the block; None if this process works alone.

    Parameters
    ----------
    config : WorkersConfig
        Which processes.
    device : Device
        The device that was chosen.

    Raises
    ------
    UserError
        If both kinds are asked for, or the cluster cannot be used.
    """
    if config.is_alone:
        yield None
        return
    if config.scheduler and config.workers > 1:
        raise UserError("The scheduler of a cluster decides on its workers. Leave out --workers or --scheduler.")
    workers: Workers
    if config.scheduler:
        workers = ClusterWorkers(config.scheduler)
    else:
        workers = LocalWorkers(config.workers, limit_threads(torch.get_num_threads()), _gpus(device))
    try:
        yield workers
    finally:
        workers.close()


def _gpus(device: Device) -> list[str]:
    """Return the names of the GPUs that this process may use."""
    if device is Device.CPU or not torch.cuda.is_available():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]
