"""Prediction through the public function: patches, voxel sizes, tasks, mirror images, too little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn.modules.module import register_module_forward_pre_hook

from napari_unet3d.configs import Normalisation, PredictionConfig, ResizeMode, Task, TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import OutOfMemory
from napari_unet3d.inference import memory_budget as memory
from napari_unet3d.inference.events import Prediction, PredictionWritten, TilesPredicted
from napari_unet3d.inference.memory_budget import MemoryBudget, bytes_per_voxel, largest_tile
from napari_unet3d.inference.predict import predict, predict_files
from napari_unet3d.inference.tile_grid import tile_grid
from napari_unet3d.inference.tiling import gaussian_window
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.transforms.pad import halve_longest_side

VOXEL_SIZE = (2.0, 0.5, 1.0)
CPU = torch.device("cpu")
PATCH = (4, 12, 14)


def model(
    resize_mode: ResizeMode = ResizeMode.PAD, normalisation: Normalisation = Normalisation.NONE, **plan: Any
) -> Checkpoint:
    """Make a model of a small network with its initial weights."""
    config = TrainingConfig(
        preset="xxsmall", resize_mode=resize_mode, normalisation=normalisation, task=plan.get("task", "binary")
    )
    made = Plan(**{"strides": ((1, 2, 2),), **plan})
    weights = build_network(config, made).state_dict()
    return Checkpoint(config, weights, 1, plan=made)


def volume(shape: tuple[int, int, int] = (9, 22, 30), seed: int = 0) -> Sample:
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, (0.5, 2, 1)) * 8
    return Sample("scan", smooth.astype(np.float32), voxel_size_um=VOXEL_SIZE)


def run(checkpoint: Checkpoint, sample: Sample, **values: Any) -> tuple[list[Any], Prediction]:
    _, *between, last = predict(checkpoint, sample, PredictionConfig(device="cpu", **values))
    assert isinstance(last, Prediction)
    return between, last


def outputs(checkpoint: Checkpoint, image: np.ndarray) -> np.ndarray:
    """Return the probabilities (channel, z, y, x) of the network itself."""
    with torch.no_grad():
        logits = checkpoint.network()(torch.from_numpy(np.ascontiguousarray(image))[None, None])
    is_classes = checkpoint.plan.task is Task.SEMANTIC
    probabilities: np.ndarray = (logits.softmax(1) if is_classes else logits.sigmoid())[0].numpy()
    return probabilities


def blended(checkpoint: Checkpoint, image: np.ndarray, patch: tuple[int, int, int]) -> np.ndarray:
    """Blend the network outputs for all tiles of a volume, in float64."""
    windows = [gaussian_window(min(side, whole)) for side, whole in zip(patch, image.shape, strict=True)]
    window = windows[0][:, None, None] * windows[1][:, None] * windows[2]
    sums, weights = np.zeros((checkpoint.plan.out_channels, *image.shape)), np.zeros(image.shape)
    for row in tile_grid(image.shape, patch, 0.5, checkpoint.plan.total_stride).rows():
        for corner in row:
            box = tuple(slice(start, start + side) for start, side in zip(corner, window.shape, strict=True))
            sums[:, *box] += window * outputs(checkpoint, image[box])
            weights[box] += window
    return sums / weights


def padded(image: np.ndarray) -> np.ndarray:
    """Return the image itself: 9 × 22 × 30 voxels are divisible by strides of 1 × 2 × 2."""
    assert image.shape == (9, 22, 30)
    return image


def test_a_model_trained_on_patches_predicts_in_tiles() -> None:
    checkpoint, sample = model(patch_zyx=PATCH), volume()
    events, result = run(checkpoint, sample)
    expected = blended(checkpoint, padded(sample.image), PATCH)[0]
    np.testing.assert_allclose(result.probability, expected, atol=1e-5)
    np.testing.assert_array_equal(result.labels, result.probability >= 0.5)
    assert 0 < result.labels.mean() < 1
    n_tiles = tile_grid((9, 22, 30), PATCH, 0.5, (1, 2, 2)).n_tiles
    assert n_tiles == 4 * 3 * 4
    assert [event.n_done for event in events] == sorted({event.n_done for event in events})
    assert (events[-1].n_done, events[-1].n_total) == (n_tiles, n_tiles)
    assert events[-1].n_volumes_done == 1


def test_a_patch_as_large_as_the_volume_and_the_whole_volume_agree_bit_by_bit() -> None:
    sample = volume((7, 21, 27))  # is padded to 7 × 22 × 28
    (tiled_event,), tiled = run(model(patch_zyx=(7, 22, 28)), sample)
    (whole_event,), whole = run(model(), sample)
    assert tiled_event == whole_event == TilesPredicted(1, 1)
    np.testing.assert_array_equal(tiled.probability, whole.probability)
    network_input = np.pad(sample.image, [(0, 0), (0, 1), (0, 1)], mode="symmetric")
    np.testing.assert_allclose(whole.probability, outputs(model(), network_input)[0, :, :21, :27], atol=1e-6)


def test_a_volume_smaller_than_a_patch_is_padded_to_its_size_as_in_training() -> None:
    checkpoint, sample = model(patch_zyx=(8, 12, 14)), volume((5, 20, 9))
    _, result = run(checkpoint, sample)
    network_input = np.pad(sample.image, [(1, 2), (0, 0), (2, 3)], mode="symmetric")
    expected = blended(checkpoint, network_input, (8, 12, 14))[0, 1:6, :, 2:11]
    np.testing.assert_allclose(result.probability, expected, atol=1e-5)


def test_more_overlap_takes_more_tiles() -> None:
    checkpoint, sample = model(patch_zyx=(4, 8, 8)), volume((4, 16, 24))
    totals = [run(checkpoint, sample, overlap=overlap)[0][-1].n_total for overlap in (0, 0.25, 0.5)]
    assert totals[0] == 2 * 3
    assert totals == sorted(set(totals))


def test_stopping_between_tiles_leaves_torch_as_it_was() -> None:
    before = torch.get_num_threads(), torch.get_rng_state()
    with closing(predict(model(patch_zyx=(4, 8, 8)), volume(), PredictionConfig(device="cpu"))) as events:
        for _ in range(3):
            next(events)
            assert torch.get_num_threads() == before[0]
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("patch", [None, PATCH])
def test_classes_keep_their_values_and_probabilities(patch: tuple[int, int, int] | None) -> None:
    classes = (LabelClass(value=3, name="wall"), LabelClass(value=300, name="cell"))
    checkpoint = model(task=Task.SEMANTIC, classes=classes, patch_zyx=patch)
    sample = volume()
    _, result = run(checkpoint, sample, uncertainty=False)
    expected = blended(checkpoint, padded(sample.image), patch or (9, 22, 30))
    assert result.maps is not None
    assert (result.maps.shape, result.maps.dtype) == ((2, 9, 22, 30), np.float16)
    np.testing.assert_allclose(result.probability, 1 - expected[0], atol=1e-5)
    np.testing.assert_allclose(result.maps, expected[1:], atol=1e-3)
    assert result.plan == checkpoint.plan
    assert set(np.unique(result.labels)) == {0, 3, 300}
    first, second = np.sort(expected, axis=0)[:0:-1]
    clear = first - second > 2e-3
    hand = np.array([0, 3, 300])[expected.argmax(0)]
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(result.labels[clear], hand[clear])


def test_objects_have_three_maps_and_ids() -> None:
    checkpoint, sample = model(task=Task.INSTANCE, patch_zyx=PATCH), volume()
    _, result = run(checkpoint, sample)
    expected = blended(checkpoint, padded(sample.image), PATCH)
    assert result.maps is not None
    np.testing.assert_allclose(result.probability, expected[0], atol=1e-5)
    np.testing.assert_allclose(result.maps, expected[1:], atol=1e-3)
    assert result.labels.shape == (9, 22, 30)
    assert result.labels.dtype.kind == "u"


def test_the_voxel_size_of_the_model_is_used_and_the_result_is_on_the_grid_of_the_image() -> None:
    # The network sees voxels of 1 × 0.5 × 2 µm: twice as many along z, half as many along x.
    checkpoint, sample = model(spacing_um=(1.0, 0.5, 2.0)), volume((6, 18, 24))
    events, result = run(checkpoint, sample)
    assert result.probability.shape == result.labels.shape == (6, 18, 24)
    image = ndimage.gaussian_filter1d(sample.image, 0.5, axis=2, mode="nearest")
    image = (image[..., ::2] + image[..., 1::2]) / 2
    seen = ndimage.zoom(image, (2, 1, 1), order=1, mode="nearest", grid_mode=True)
    output = outputs(checkpoint, seen)[0]
    output = ndimage.gaussian_filter1d(output, 0.5, axis=0, mode="nearest")
    output = (output[::2] + output[1::2]) / 2
    expected = ndimage.zoom(output, (1, 1, 2), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(result.probability, expected, atol=1e-5)
    assert not [event for event in events if isinstance(event, Notice)]
    assert result.voxel_size_um == VOXEL_SIZE


def test_maps_are_resampled_to_the_image_too() -> None:
    checkpoint = model(task=Task.INSTANCE, spacing_um=(3.0, 0.7, 0.6), patch_zyx=(4, 8, 8))
    _, result = run(checkpoint, volume((7, 19, 25)), uncertainty=True)
    assert result.maps is not None
    assert result.uncertainty is not None
    assert result.maps.shape == (2, 7, 19, 25)
    assert result.uncertainty.shape == result.labels.shape == (7, 19, 25)
    assert 0 <= result.maps.min() <= result.maps.max() <= 1


def test_mirror_images_are_averaged_and_counted() -> None:
    checkpoint, sample = model(), volume((6, 10, 16))
    events, result = run(checkpoint, sample, tta=True)
    mean = np.zeros((6, 10, 16))
    for flip in np.ndindex(2, 2, 2):
        axes = tuple(np.flatnonzero(flip))
        mean += np.flip(outputs(checkpoint, np.flip(sample.image, axes))[0], axes) / 8
    np.testing.assert_allclose(result.probability, mean, atol=1e-5)
    assert events == [TilesPredicted(number, 8) for number in range(1, 9)]
    assert result.uncertainty is None


def test_a_mirrored_volume_has_the_mirrored_prediction() -> None:
    checkpoint, sample = model(patch_zyx=(4, 8, 16)), volume((6, 8, 24))
    mirrored = Sample("mirrored", sample.image[::-1, :, ::-1], voxel_size_um=VOXEL_SIZE)
    _, first = run(checkpoint, sample, tta=True)
    _, second = run(checkpoint, mirrored, tta=True)
    np.testing.assert_allclose(first.probability, second.probability[::-1, :, ::-1], atol=1e-5)
    _, without = run(checkpoint, sample)
    assert abs(without.probability - first.probability).max() > 1e-3


def test_uncertainty_is_the_entropy_of_the_mean_over_mirror_images() -> None:
    checkpoint, sample = model(), volume((6, 10, 16))
    _, averaged = run(checkpoint, sample, tta=True)
    events, result = run(checkpoint, sample, uncertainty=True)
    assert len(events) == 8
    np.testing.assert_array_equal(result.probability, averaged.probability)
    p = result.probability.astype(np.float64)
    assert result.uncertainty is not None
    np.testing.assert_allclose(result.uncertainty, -p * np.log2(p) - (1 - p) * np.log2(1 - p), atol=1e-5)


def test_the_uncertainty_of_classes_reaches_one() -> None:
    classes = tuple(LabelClass(value=value, name=str(value)) for value in (1, 2, 3))
    checkpoint = model(task=Task.SEMANTIC, classes=classes)
    for weight in checkpoint.weights.values():
        weight.zero_()  # all four are equally probable
    _, result = run(checkpoint, volume((4, 8, 8)), uncertainty=True)
    assert result.uncertainty is not None
    np.testing.assert_allclose(result.uncertainty, 1, atol=1e-3)


def test_uncertainty_is_written_beside_the_labels(tmp_path: Path) -> None:
    sample = volume((4, 10, 16))
    write_volume(tmp_path / "scan.nii.gz", sample.image, VOXEL_SIZE)
    config = PredictionConfig(device="cpu", uncertainty=True)
    *_, last = predict_files(model(), [tmp_path / "scan.nii.gz"], tmp_path / "out", config, probability=True)
    assert isinstance(last, PredictionWritten)
    assert [path.name for path in last.files] == [
        "scan_labels.nii.gz",
        "scan_probability.nii.gz",
        "scan_uncertainty.nii.gz",
    ]
    written = read_volume(last.files[2])
    np.testing.assert_array_equal(written.array, last.prediction.uncertainty)
    assert written.voxel_size_um == pytest.approx(VOXEL_SIZE)


@contextmanager
def memory_for(n_voxels: int, first_calls: int = 0) -> Iterator[list[tuple[int, ...]]]:
    """Make networks run out of memory for more voxels, after the first calls; yield the shapes of their inputs."""
    seen: list[tuple[int, ...]] = []

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if type(module).__name__ != "UNet" or inputs[0].numel() < 100:  # the tiny volume for which layers are measured
            return
        seen.append(tuple(inputs[0].shape))
        if len(seen) > first_calls and inputs[0].numel() > n_voxels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    hook = register_module_forward_pre_hook(refuse)
    try:
        yield seen
    finally:
        hook.remove()


def test_a_batch_that_does_not_fit_is_halved_and_the_prediction_continues() -> None:
    checkpoint, sample = model(patch_zyx=PATCH), volume()
    _, expected = run(checkpoint, sample)
    with memory_for(prod(PATCH), first_calls=3) as seen:
        events, result = run(checkpoint, sample)
    assert set(seen[:4]) == {(2, 1, *PATCH)}
    assert set(seen[4:]) == {(1, 1, *PATCH)}
    (notice,) = (event.message for event in events if isinstance(event, Notice))
    assert notice == "There is not enough memory for 'scan'; it is now predicted 1 tile at a time."
    tiles = [event.n_done for event in events if isinstance(event, TilesPredicted)]
    assert tiles == [2, 4, 6, *range(7, 49)], "nothing is predicted twice"
    np.testing.assert_allclose(result.probability, expected.probability, atol=1e-5)


def test_a_whole_volume_that_does_not_fit_is_predicted_in_tiles() -> None:
    checkpoint, sample = model(), volume((32, 48, 64))
    with memory_for(32 * 32 * 48) as seen:
        events, result = run(checkpoint, sample)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert [notice.split("predicted ")[1] for notice in notices] == [
        "in tiles of 32 × 48 × 32 voxels, with less context.",
        "1 tile at a time.",
    ]
    assert seen[-1] == (1, 1, 32, 48, 32)
    np.testing.assert_allclose(result.probability, blended(checkpoint, sample.image, (32, 48, 32))[0], atol=1e-5)


def test_sizes_that_fit_are_kept_for_the_next_volume(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_volume(tmp_path / f"{name}.tif", volume((32, 32, 64)).image, VOXEL_SIZE)
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    with memory_for(32 * 32 * 32) as seen:
        events = list(predict_files(model(), files, tmp_path / "out", PredictionConfig(device="cpu")))
    assert sum(isinstance(event, PredictionWritten) for event in events) == 2
    assert sum(prod(shape) > 32**3 for shape in seen) == 2, "one is too large, and two of half the size at a time are"


def test_when_nothing_fits_the_error_says_what_to_do() -> None:
    before = torch.get_num_threads()
    with memory_for(100), pytest.raises(OutOfMemory, match="Predict a part of the volume"):
        run(model(), volume((8, 32, 64)))
    assert torch.get_num_threads() == before
    run(model(), volume())


def test_a_gpu_tries_smaller_budgets_in_order() -> None:
    gpu = torch.device("cuda")
    budget, tile, changes = MemoryBudget(gpu, gpu, 4), (96, 64, 96), []
    for _ in range(20):
        step = budget.reduce(budget.n_tiles, tile, (4, 8, 8))
        if step is None:
            break
        budget, change = step
        tile = budget.limited((96, 64, 96))
        changes.append(change.split(",")[0])
    assert changes[:5] == [
        "2 tiles at a time",
        "1 tile at a time",
        "with the sums in main memory",
        "in tiles of 48 × 64 × 96 voxels",
        "in tiles of 48 × 64 × 48 voxels",
    ]
    on_cpu = changes.index("on the CPU")
    assert changes[on_cpu - 1] == "in tiles of 32 × 32 × 32 voxels"
    assert changes[on_cpu + 1 :][:2] == ["1 tile at a time", "in tiles of 48 × 64 × 96 voxels"]
    assert changes[-1] == "in tiles of 32 × 32 × 32 voxels"


def test_halving_by_hand() -> None:
    assert halve_longest_side((40, 96, 64), (4, 4, 4), 32) == (40, 48, 64)
    assert halve_longest_side((40, 36, 12), (1, 4, 4), 32) == (32, 36, 12)
    assert halve_longest_side((32, 32, 12), (1, 4, 4), 32) is None
    assert halve_longest_side((96, 128, 96), (64, 64, 64), 32) is None


def test_a_volume_larger_than_the_free_memory_is_predicted_in_tiles_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint, sample = model(), volume((8, 48, 64))
    per_voxel = bytes_per_voxel(checkpoint.network(), (2, 4, 4))
    enough = int(per_voxel * 8 * 48 * 32)
    assert largest_tile(per_voxel, (8, 48, 64), (1, 2, 2), enough) == (8, 48, 32)
    assert largest_tile(per_voxel, (8, 48, 64), (1, 2, 2), 2 * enough) == (8, 48, 64)
    monkeypatch.setattr("napari_unet3d.inference.sliding_window.free_memory", lambda _: enough)
    events, result = run(checkpoint, sample)
    assert "in overlapping tiles of 8 × 48 × 32 voxels" in events[0].message
    np.testing.assert_allclose(result.probability, blended(checkpoint, sample.image, (8, 48, 32))[0], atol=1e-5)


def test_memory_is_estimated_from_the_largest_layer() -> None:
    # The up-convolution of xxsmall has 4 + 8 input channels at half of y and x, and one output channel at full size.
    assert bytes_per_voxel(model().network(), (2, 4, 4)) == 16 * (12 / 4 + 1)


def test_the_batch_is_as_large_as_the_memory_allows() -> None:
    budget = memory.fit_batch_size(MemoryBudget(CPU, CPU, 16), bytes_per_tile=1, sums_zyx=(1, 1, 1), n_channels=1)
    assert budget == MemoryBudget(CPU, CPU, 16)
    tight = memory.fit_batch_size(MemoryBudget(CPU, CPU, 16), 10**15, (1, 1, 1), 1)
    assert tight.n_tiles == 1
