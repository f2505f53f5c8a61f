from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet3d.configs import PredictionConfig, Task, TrainingConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.inference.events import PredictionWritten
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.network import build_network, default_plan
from napari_unet3d.model.plan import LabelClass

Read = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def model_for() -> Callable[..., Checkpoint]:
    """Make a model with initial weights, for patches of 16 voxels."""

    def make(task: Task = Task.BINARY, *, seed: int = 0, **plan: Any) -> Checkpoint:
        config = TrainingConfig(task=task, preset="xxsmall", patch=(16, 16, 16), seed=seed)
        classes = (LabelClass(value=3, name="a"), LabelClass(value=300, name="b")) if task is Task.SEMANTIC else ()
        own = default_plan(config).model_copy(
            update={"task": task, "classes": classes, "patch_zyx": (16, 16, 16), **plan}
        )
        network = build_network(config, own)
        return replace(Checkpoint(config, network.state_dict(), 1), plan=own)

    return make


@pytest.fixture(scope="session")
def noisy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a volume with unequal sides that are no multiples of anything."""
    path = tmp_path_factory.mktemp("noisy") / "noisy.h5"
    image = np.random.default_rng(0).integers(0, 200, (18, 27, 35)).astype(np.uint16)
    write_volume(path, image, (2.0, 0.5, 1.0))
    return path


@pytest.fixture(scope="session")
def by_blocks() -> Callable[..., Read]:
    """Predict a file block by block and return the highest level of each image that was written."""

    def run(
        model: Checkpoint,
        source: Path,
        out: Path,
        config: PredictionConfig | None = None,
        blocks: BlockConfig | None = None,
        **options: Any,
    ) -> Read:
        config, blocks = config or PredictionConfig(device="cpu"), blocks or BlockConfig(block_size=(8, 16, 16))
        *_, last = predict_files(model, [source], out, config, blocks=blocks, **options)
        assert isinstance(last, PredictionWritten)
        assert last.prediction is None
        kinds = ("probability", "uncertainty")
        found = {}
        for path in last.files:
            if path.suffix != ".csv":
                kind = next((each for each in kinds if each in path.name), "labels")
                found[kind] = np.asarray(zarr.open_group(path, mode="r")["0"][:])
        return found

    return run
