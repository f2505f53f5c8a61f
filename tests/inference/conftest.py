from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.network import build_network


@pytest.fixture(scope="session")
def untrained() -> Callable[..., Checkpoint]:
    """Make a model with the initial weights of its settings; its predictions are neither empty nor full."""

    def make(voxel_size_um: VoxelSize | None = None, **values: object) -> Checkpoint:
        config = TrainingConfig(**values)  # type: ignore[arg-type]
        return Checkpoint(config, build_network(config).state_dict(), 1, voxel_size_um=voxel_size_um)

    return make


@pytest.fixture(scope="session")
def textured() -> Callable[..., Sample]:
    """Make a volume with unequal sides and a bright box in it, and labels of the box with ids above 1."""

    def make(
        name: str = "textured",
        shape: tuple[int, int, int] = (5, 9, 12),
        voxel_size_um: VoxelSize = (2.0, 0.5, 1.0),
        seed: int = 0,
    ) -> Sample:
        image = np.random.default_rng(seed).integers(0, 50, shape).astype(np.uint16)
        labels = np.zeros(shape, np.uint16)
        labels[1:4, 2:7, 3:8] = 7
        labels[1:4, 2:7, 8:10] = 300
        return Sample(name, image + np.uint16(100) * (labels > 0), labels, voxel_size_um)

    return make
