from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unet3d.configs import Normalisation, PredictionConfig, ResizeMode
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import ModelLoaded, Prediction
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint

Untrained = Callable[..., Checkpoint]
Textured = Callable[..., Sample]
CPU = PredictionConfig(device="cpu")


def predicted(model: Checkpoint | Path | str, image: Sample | Path | str, config: PredictionConfig = CPU) -> Prediction:
    *_, last = predict(model, image, config)
    assert isinstance(last, Prediction)
    return last


def network_on(checkpoint: Checkpoint, network_input: np.ndarray) -> np.ndarray:
    """Return the probability that the network itself computes for an input of a divisible shape."""
    network = checkpoint.network()
    with torch.no_grad():
        logits = network(torch.from_numpy(network_input.astype(np.float32))[None, None])
    return 1 / (1 + np.exp(-logits[0, 0].numpy().astype(np.float64)))


@pytest.mark.parametrize("voxel_size_um", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.25), (0.01, 3.0, 40.0)])
@pytest.mark.parametrize("resize_mode", [ResizeMode.PAD, ResizeMode.CROP])
def test_the_whole_volume_is_predicted_as_by_the_network_itself(
    resize_mode: ResizeMode, voxel_size_um: tuple[float, float, float], untrained: Untrained, textured: Textured
) -> None:
    checkpoint, sample = untrained(resize_mode=resize_mode), textured(voxel_size_um=voxel_size_um)
    image = sample.image.astype(np.float64)
    normalised = (image - image.mean()) / image.std()
    padded = np.pad(normalised, [(0, 1), (0, 1), (0, 0)], mode="symmetric")  # 5 × 9 × 12 to 6 × 10 × 12
    expected = network_on(checkpoint, padded)[:5, :9, :12]

    result = predicted(checkpoint, sample)
    assert result.probability.shape == result.labels.shape == (5, 9, 12)
    assert (result.probability.dtype, result.labels.dtype) == (np.float32, np.uint8)
    np.testing.assert_allclose(result.probability, expected, atol=1e-5)
    np.testing.assert_array_equal(result.labels, result.probability >= 0.5)
    assert 0 < result.labels.mean() < 1
    assert result.voxel_size_um == voxel_size_um
    assert result.name == "textured"


def test_a_volume_of_a_divisible_shape_is_predicted_as_it_is(untrained: Untrained, textured: Textured) -> None:
    checkpoint, sample = untrained(normalisation=Normalisation.NONE), textured(shape=(6, 8, 12))
    expected = network_on(checkpoint, sample.image)
    np.testing.assert_allclose(predicted(checkpoint, sample).probability, expected, atol=1e-5)


def test_a_model_trained_on_resized_volumes_sees_resized_ones(untrained: Untrained, textured: Textured) -> None:
    checkpoint, sample = untrained(preset="small", resize_mode=ResizeMode.RESIZE), textured(shape=(9, 11, 18))
    result = predicted(checkpoint, sample)
    assert result.probability.shape == (9, 11, 18)
    # The network sees 8 × 12 × 20 voxels; a constant volume stays constant on either grid.
    image = sample.image.astype(np.float64)
    normalised = torch.from_numpy((image - image.mean()) / image.std())[None, None]
    network_input = torch.nn.functional.interpolate(normalised, (8, 12, 20), mode="trilinear")[0, 0].numpy()
    probability = torch.from_numpy(network_on(checkpoint, network_input))[None, None]
    expected = torch.nn.functional.interpolate(probability, (9, 11, 18), mode="trilinear")[0, 0].numpy()
    np.testing.assert_allclose(result.probability, expected, atol=1e-5)
    np.testing.assert_array_equal(result.labels, result.probability >= 0.5)


@pytest.mark.parametrize("method", list(Normalisation))
def test_the_normalisation_of_the_model_is_repeated(
    method: Normalisation, untrained: Untrained, textured: Textured
) -> None:
    sample = textured()
    brighter = Sample("brighter", sample.image.astype(np.float32) * 3 + 1000)
    checkpoint = untrained(normalisation=method)
    same = np.allclose(
        predicted(checkpoint, sample).probability, predicted(checkpoint, brighter).probability, atol=1e-4
    )
    assert same is (method is not Normalisation.NONE)


def test_the_threshold_itself_is_foreground(untrained: Untrained, textured: Textured) -> None:
    probability = predicted(untrained(), textured()).probability
    threshold = float(np.sort(probability, axis=None)[probability.size // 2])  # one of the probabilities
    result = predicted(untrained(), textured(), PredictionConfig(threshold=threshold, device="cpu"))
    assert np.count_nonzero(result.labels) == np.count_nonzero(probability.astype(np.float64) >= threshold)
    assert predicted(untrained(), textured(), PredictionConfig(threshold=0, device="cpu")).labels.all()
    assert not predicted(untrained(), textured(), PredictionConfig(threshold=1, device="cpu")).labels.any()


def test_files_and_run_folders_are_read(untrained: Untrained, textured: Textured, tmp_path: Path) -> None:
    checkpoint, sample = untrained(), textured()
    save_checkpoint(tmp_path / "run" / "model.safetensors", checkpoint)
    write_volume(tmp_path / "scan.ome.tif", sample.image, sample.voxel_size_um)
    result = predicted(str(tmp_path / "run"), tmp_path / "scan.ome.tif")
    np.testing.assert_array_equal(result.probability, predicted(checkpoint, sample).probability)
    assert (result.name, result.voxel_size_um) == ("scan", sample.voxel_size_um)


def test_the_first_event_names_the_device(untrained: Untrained, textured: Textured) -> None:
    first = next(predict(untrained(), textured(), CPU))
    assert isinstance(first, ModelLoaded)
    assert first.device.startswith("CPU (")


def test_another_voxel_size_yields_a_notice(untrained: Untrained, textured: Textured) -> None:
    def notices(
        trained: tuple[float, float, float] | None, here: tuple[float, float, float] = (2, 0.5, 1)
    ) -> list[str]:
        events = predict(untrained(trained), textured(voxel_size_um=here), CPU)
        return [event.message for event in events if isinstance(event, Notice)]

    assert notices(None) == notices((2.0, 0.5, 1.0)) == notices((2.02, 0.495, 1.0)) == []
    assert len(notices((0.002, 0.001, 0.001), here=(0.003, 0.001, 0.001))) == 1
    (message,) = notices((2.0, 1.0, 1.0))
    assert "2 × 0.5 × 1 µm" in message
    assert "2 × 1 × 1 µm" in message


def test_a_volume_smaller_than_the_network_is_padded(untrained: Untrained, textured: Textured) -> None:
    sample = textured(shape=(4, 7, 10))
    tiny = Sample("tiny", sample.image[:2, :3, :5])
    assert predicted(untrained(preset="small"), tiny).labels.shape == (2, 3, 5)


def test_overflow_is_reported_instead_of_an_empty_prediction(untrained: Untrained, textured: Textured) -> None:
    checkpoint = untrained()
    for weight in checkpoint.weights.values():
        weight.fill_(1e30)
    with pytest.raises(UserError, match=r"overflowed on 'textured'.*fp32"):
        predicted(checkpoint, textured())


def test_the_state_of_torch_is_restored_between_and_after_events(untrained: Untrained, textured: Textured) -> None:
    before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_rng_state()
    for _ in predict(untrained(), textured(), CPU):
        assert (torch.get_num_threads(), torch.is_grad_enabled()) == before[:2]
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
    assert torch.equal(torch.get_rng_state(), before[2])


def test_the_same_volume_gives_the_same_bits(untrained: Untrained, textured: Textured) -> None:
    checkpoint = untrained(dropout=0.5)
    first, again = predicted(checkpoint, textured()), predicted(checkpoint, textured())
    np.testing.assert_array_equal(first.probability, again.probability)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_reported(untrained: Untrained, textured: Textured) -> None:
    with pytest.raises(UserError, match="cuda"):
        predicted(untrained(), textured(), PredictionConfig(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_agrees_with_the_cpu_and_frees_its_memory(untrained: Untrained, textured: Textured) -> None:
    checkpoint, sample = untrained(preset="small"), textured(shape=(20, 36, 44))
    before = torch.cuda.memory_allocated()
    exact = predicted(checkpoint, sample, PredictionConfig(device="cuda", precision="fp32"))
    np.testing.assert_allclose(exact.probability, predicted(checkpoint, sample).probability, atol=5e-3)
    fast = predicted(checkpoint, sample, PredictionConfig(device="cuda"))
    np.testing.assert_allclose(fast.probability, exact.probability, atol=0.1)
    assert torch.cuda.memory_allocated() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_too_little_gpu_memory_is_reported_and_the_next_prediction_works(
    untrained: Untrained, textured: Textured
) -> None:
    checkpoint = untrained(preset="medium")
    before = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        with pytest.raises(UserError, match="not enough memory"):
            predicted(checkpoint, Sample("large", np.zeros((64, 256, 256), np.uint8)), PredictionConfig(device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.cuda.memory_allocated() == before
    assert predicted(checkpoint, textured(), PredictionConfig(device="cuda")).labels.shape == (5, 9, 12)
