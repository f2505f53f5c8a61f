"""What is predicted block by block is what is predicted in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error

from napari_unet3d.configs import PredictionConfig, Task
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.inference.events import Prediction
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint

Model, Blocks = Callable[..., Checkpoint], Callable[..., dict[str, np.ndarray]]
CPU = PredictionConfig(device="cpu")


def in_memory(model: Checkpoint, source: Path, config: PredictionConfig = CPU) -> Prediction:
    *_, prediction = predict(model, source, config)
    assert isinstance(prediction, Prediction)
    return prediction


def assert_same_labels(found: np.ndarray, whole: Prediction, threshold: float) -> None:
    is_close = np.abs(whole.probability - threshold) < 1e-5
    assert np.array_equal(found[~is_close], whole.labels[~is_close])
    assert is_close.mean() < 0.01
    assert 0.05 < (whole.labels > 0).mean() < 0.95


@pytest.mark.parametrize("block", [(8, 16, 16), (18, 9, 35), (5, 27, 12)])
@pytest.mark.parametrize("spacing", [None, (1.4, 0.8, 1.0), (3.0, 0.4, 1.7)])
def test_foreground_of_any_blocks_and_voxel_sizes(
    block: tuple[int, int, int],
    spacing: tuple[float, float, float] | None,
    model_for: Model,
    noisy_file: Path,
    by_blocks: Blocks,
    tmp_path: Path,
) -> None:
    model = model_for(spacing_um=spacing)
    whole = in_memory(model, noisy_file)
    config = CPU.model_copy(update={"threshold": float(np.median(whole.probability))})
    whole = in_memory(model, noisy_file, config)
    found = by_blocks(model, noisy_file, tmp_path, config, BlockConfig(block_size=block), probability=True)
    np.testing.assert_allclose(found["probability"], whole.probability, rtol=0, atol=3e-6)
    assert_same_labels(found["labels"], whole, config.threshold)


def test_classes_mirror_images_and_uncertainty(
    model_for: Model, noisy_file: Path, by_blocks: Blocks, tmp_path: Path
) -> None:
    model, config = model_for(Task.SEMANTIC), CPU.model_copy(update={"uncertainty": True, "overlap": 0.25})
    whole = in_memory(model, noisy_file, config)
    found = by_blocks(model, noisy_file, tmp_path, config, BlockConfig(block_size=16), probability=True)
    assert found["labels"].dtype == np.uint16
    assert set(np.unique(found["labels"])) <= {0, 3, 300}
    assert np.mean(found["labels"] != whole.labels) < 1e-3  # only where two classes are equally likely
    assert whole.uncertainty is not None
    np.testing.assert_allclose(found["uncertainty"], whole.uncertainty, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found["probability"], whole.probability, rtol=0, atol=3e-6)


@pytest.mark.parametrize("block", [16, (18, 27, 12)])
def test_regions_below_the_minimum_volume_are_removed_across_blocks(
    block: object, model_for: Model, noisy_file: Path, by_blocks: Blocks, tmp_path: Path
) -> None:
    model, everything = model_for(), in_memory(model_for(), noisy_file)
    high = float(np.quantile(everything.probability, 0.8))
    config = CPU.model_copy(update={"min_volume": 12.0, "threshold": high})
    whole = in_memory(model, noisy_file, config)
    removed = (everything.probability >= high) & (whole.labels == 0)
    assert removed.any()
    found = by_blocks(model, noisy_file, tmp_path, config, BlockConfig(block_size=block))
    assert np.array_equal(found["labels"], whole.labels)


def test_single_objects_are_those_of_the_whole_volume(
    model_for: Model, noisy_file: Path, by_blocks: Blocks, tmp_path: Path
) -> None:
    model = model_for(Task.INSTANCE)
    config = CPU.model_copy(update={"seed_confidence": 0.0, "seed_prominence": 0.002, "boundary_weight": 0.0})
    whole = in_memory(model, noisy_file, config)
    assert whole.labels.max() > 50
    found = by_blocks(model, noisy_file, tmp_path, config, BlockConfig(block_size=(9, 14, 35)))
    assert found["labels"].max() == whole.labels.max()
    assert adapted_rand_error(whole.labels, found["labels"])[0] < 1e-9
    assert np.array_equal(found["labels"] > 0, whole.labels > 0)


def test_a_volume_that_is_smaller_than_a_patch(model_for: Model, by_blocks: Blocks, tmp_path: Path) -> None:
    source = tmp_path / "small.npy"
    write_volume(source, np.random.default_rng(1).random((5, 9, 12)).astype(np.float32))
    whole = in_memory(model_for(), source)
    found = by_blocks(model_for(), source, tmp_path / "out", blocks=BlockConfig(block_size=4), probability=True)
    np.testing.assert_allclose(found["probability"], whole.probability, rtol=0, atol=3e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_hot_pixels_are_clipped_as_in_memory(dtype: type, model_for: Model, by_blocks: Blocks, tmp_path: Path) -> None:
    image = np.random.default_rng(2).normal(20, 3, (12, 18, 20)).astype(dtype)
    image[3, 4, 5] = 120
    source = tmp_path / "hot.tif"
    write_volume(source, image)
    whole = in_memory(model_for(), source)
    found = by_blocks(model_for(), source, tmp_path / "out", probability=True)
    np.testing.assert_allclose(found["probability"], whole.probability, rtol=0, atol=3e-6)


def test_probability_as_uint8(model_for: Model, noisy_file: Path, by_blocks: Blocks, tmp_path: Path) -> None:
    blocks = BlockConfig(blocks=True, probability_type="uint8")
    found = by_blocks(model_for(), noisy_file, tmp_path, blocks=blocks, probability=True)
    whole = in_memory(model_for(), noisy_file)
    assert found["probability"].dtype == np.uint8
    np.testing.assert_allclose(found["probability"] / 255, whole.probability, rtol=0, atol=0.5 / 255 + 1e-6)
