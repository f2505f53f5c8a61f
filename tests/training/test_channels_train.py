"""Training with several channels, from volumes to predictions, scores, snapshots and a further training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from channel_samples import NAMES, SHAPE, two_channels

from napari_unet3d import PredictionConfig, TrainingConfig, evaluate, predict, train
from napari_unet3d.configs import Augmentation, EvaluationConfig, Normalisation, ResizeMode
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.model.network import build_network, default_plan, summarise, training_memory
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.receptive_field import receptive_field
from napari_unet3d.runs.snapshots import open_snapshots
from napari_unet3d.training.augmented_events import AugmentedPatches
from napari_unet3d.training.augmented_patches import augmented_patches
from napari_unet3d.training.loading.gpu_cache import cache_on_gpu
from napari_unet3d.training.loading.volumes import prepare_volume
from napari_unet3d.training.preflight import preflight
from napari_unet3d.transforms.augment import Augmenter

FAST: dict[str, Any] = {"task": "semantic", "preset": "xxsmall", "epochs": 1, "device": "cpu"}


def trained(samples: list[Sample], run: Path, **settings: Any) -> list[Any]:
    return list(train(samples, run, TrainingConfig(**FAST | settings)))


def notices(events: Any) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on both channels."""
    folder = tmp_path_factory.mktemp("run")
    trained([two_channels("a", 1), two_channels("b", 2)], folder)
    return folder


@pytest.mark.parametrize(
    ("channels", "lowest", "highest"), [((), 0.95, 1.0), (("dapi",), 0.0, 0.8), (("2",), 0.0, 0.8)]
)
def test_classes_that_differ_in_the_bright_channel_need_both(
    tmp_path: Path, channels: tuple[str, ...], lowest: float, highest: float
) -> None:
    samples = [two_channels(name, seed) for seed, name in enumerate("abc")]
    trained(samples, tmp_path, channels=channels, epochs=22, val_fraction=0, augmentation="none")

    *_, result = evaluate(tmp_path, [two_channels("test", 99)])

    assert lowest <= result.mean.dice <= highest
    assert load_checkpoint(tmp_path).plan.channels == ({(): NAMES, ("dapi",): NAMES[:1], ("2",): NAMES[1:]}[channels])


@pytest.mark.parametrize("architecture", ["unet", "dynunet"])
def test_networks_take_the_channels_and_see_as_far(architecture: str) -> None:
    config = TrainingConfig(**FAST | {"task": "binary", "architecture": architecture})
    one = default_plan(config)
    three = one.model_copy(update={"channels": ("a", "b", "c")})

    network = build_network(config, three).eval()
    assert network(torch.zeros(1, 3, 32, 32, 32)).shape == (1, 1, 32, 32, 32)
    assert receptive_field(config, three) == receptive_field(config, one)
    assert training_memory(config, three, (32, 32, 32)) > training_memory(config, one, (32, 32, 32))
    assert "Input: 3 channels (a, b, c)" in summarise(config, plan=three).text
    assert "Input" not in summarise(config, plan=one).text


def test_models_without_channels_have_one() -> None:
    assert Plan(strides=((2, 2, 2),)).in_channels == 1
    assert Plan.model_validate_json('{"strides": [[2, 2, 2]]}').channels == ()


@pytest.mark.parametrize("mode", list(ResizeMode))
@pytest.mark.parametrize("spacing", ["original", (1.5, 0.5, 0.7)])
def test_each_channel_is_prepared_like_a_volume_of_its_own(mode: ResizeMode, spacing: Any) -> None:
    config = TrainingConfig(**FAST | {"patch": "whole", "resize_mode": mode, "normalisation": "percentile"})
    plan = default_plan(config).model_copy(
        update={"task": "binary", "spacing_um": None if spacing == "original" else spacing}
    )
    sample = two_channels("a", 1)

    both = prepare_volume(sample, config, plan)
    image, targets = both.crop((0, 0, 0), both.shape)

    for number, channel in enumerate(sample.image):
        alone = prepare_volume(Sample("a", channel, sample.labels, geometry=sample.geometry), config, plan)
        assert torch.equal(image[number], alone.crop((0, 0, 0), alone.shape)[0][0])
    (cached,) = cache_on_gpu([both], torch.device("cpu"))
    on_device, same_targets = cached.crop((1, 0, 0), (8, 8, 8))
    assert torch.equal(on_device, both.crop((1, 0, 0), (8, 8, 8))[0])
    assert torch.equal(same_targets, targets[:, 1:9, :8, :8])


def test_normalisation_of_a_channel_does_not_depend_on_the_others(run: Path) -> None:
    sample = two_channels("c", 3)
    brighter = replace(sample, image=np.stack([sample.image[0], sample.image[1] * 2]))

    *_, one = predict(run, sample)
    *_, other = predict(run, brighter)

    assert isinstance(one, Prediction)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-4)


@pytest.mark.parametrize("level", [Augmentation.LIGHT, Augmentation.HEAVY])
def test_channels_are_moved_together(level: Augmentation) -> None:
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (1, 8, 12, 12)).astype(np.uint8))
    image = torch.cat([labels.float(), 10 * labels.float()])
    augment = Augmenter(level, (1.0, 1.0, 1.0), (8, 12, 12))

    for seed in range(20):
        params = augment.sample_params(seed, 2)
        if any(each.sigma_zyx or each.gamma for each in params.intensities):
            continue
        augmented, _ = augment(image, labels, seed)
        torch.testing.assert_close(augmented[1], 10 * augmented[0])


def test_intensities_are_changed_channel_by_channel_and_the_first_as_if_it_were_alone() -> None:
    augment = Augmenter(Augmentation.HEAVY, (1.0, 1.0, 1.0), (8, 8, 8))
    drawn = [augment.sample_params(seed, 3) for seed in range(200)]

    assert all(augment.sample_params(seed).intensities == drawn[seed].intensities[:1] for seed in range(200))
    for channel in range(3):
        assert 0.25 < np.mean([each.intensities[channel].gamma is not None for each in drawn]) < 0.45
    assert any(each.intensities[0].gamma and not each.intensities[1].gamma for each in drawn)


def test_dropped_channels_are_zero_and_one_stays() -> None:
    image, labels = torch.rand(3, 4, 4, 4) + 1, torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    augment = Augmenter(Augmentation.NONE, (1.0, 1.0, 1.0), (4, 4, 4), channel_dropout=0.5)
    before = image.clone()

    kept = np.array([(augment(image, labels, seed)[0].flatten(1) != 0).all(1).tolist() for seed in range(400)])

    assert torch.equal(image, before), "the volume itself is not changed"
    assert kept.any(1).all()
    assert 0.5 < kept.mean() < 0.6  # 1/2, and one of three in the eighth of the cases in which all would be dropped
    assert Augmenter(Augmentation.NONE, (1.0, 1.0, 1.0), (4, 4, 4), 0.9).sample_params(1).dropped == ()


def test_dropout_reaches_the_batches_and_is_described(run: Path) -> None:
    samples = [two_channels("a", 1), two_channels("b", 2)]
    config = TrainingConfig(**FAST | {"channel_dropout": 0.9, "augmentation": "none"})

    *_, found = augmented_patches(samples, config, n=6)

    assert isinstance(found, AugmentedPatches)
    assert all((patch.image.reshape(2, -1) == 0).all(1).sum() <= 1 for patch in found.patches)
    assert any((patch.image.reshape(2, -1) == 0).all(1).any() for patch in found.patches)
    assert found.patches[0].channel_names == NAMES
    assert found.augmentation == "not augmented, but channels left out with a probability of 90%"


def test_dropout_of_single_channels_is_said_to_have_no_effect(tmp_path: Path) -> None:
    both = two_channels("a", 1), two_channels("b", 2)
    single = [replace(each, image=each.image[0], channel_names=()) for each in both]
    expected = "The channel dropout of 0.5 has no effect, since the volumes have a single channel. Set it to 0."

    assert expected in notices(trained(single, tmp_path, channel_dropout=0.5))
    *_, result = preflight(single, TrainingConfig(**FAST | {"channel_dropout": 0.5}), timed=False)
    issues = [issue.message for issue in result.issues]
    assert expected in issues


def test_snapshots_show_all_channels(run: Path) -> None:
    snapshots = open_snapshots(run)
    assert snapshots is not None
    volume = snapshots.volume(0)

    assert volume.info.channel_names == NAMES
    np.testing.assert_array_equal(
        volume.image, two_channels(volume.info.name, {"a": 1, "b": 2}[volume.info.name]).image
    )


def test_prediction_finds_channels_by_name_in_any_order(run: Path) -> None:
    sample = two_channels("c", 3)
    turned = Sample(
        "c",
        np.stack([sample.image[1], sample.image[0] * 0, sample.image[0]]),
        geometry=sample.geometry,
        channel_names=("membrane", "other", "dapi"),
    )

    *_, expected = predict(run, sample)
    *events, found = predict(run, turned)

    assert isinstance(expected, Prediction)
    assert isinstance(found, Prediction)
    np.testing.assert_array_equal(found.probability, expected.probability)
    assert "those of the training volumes are used by name: dapi, membrane." in " ".join(notices(events))
    *_, chosen = predict(run, turned, PredictionConfig(channels=(3, 1)))
    np.testing.assert_array_equal(chosen.probability, expected.probability)


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.zeros((3, *SHAPE))])
def test_other_numbers_of_channels_are_refused_in_one_sentence(run: Path, image: Any) -> None:
    with pytest.raises(UserError, match=r"'x' has [13] channels?, but the training volumes have 2 channels \(d"):
        list(predict(run, Sample("x", image)))


def test_evaluation_augments_and_shows_all_channels(run: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(test_augmentation="heavy", device="cpu")
    *_, evaluated, _ = evaluate(run, [two_channels("c", 3)], out=tmp_path, config=config)

    assert (evaluated.image.shape, evaluated.channel_names) == ((2, *SHAPE), NAMES)
    assert (tmp_path / "figures" / "c.png").exists()


def test_a_model_is_trained_further_on_its_channels(run: Path, tmp_path: Path) -> None:
    third = two_channels("c", 3)
    wide = replace(
        third,
        image=np.concatenate([third.image[::-1], third.image[:1] * 0 + 5]),
        channel_names=("membrane", "dapi", "x"),
    )

    list(train([wide, replace(wide, name="d")], tmp_path, TrainingConfig(**FAST), start_from=run))

    assert load_checkpoint(tmp_path).plan.channels == NAMES
    alone = [replace(third, image=third.image[0], channel_names=(), name=name) for name in "ef"]
    with pytest.raises(UserError, match="'e' has 1 channel, but the volumes that the model was trained on have 2"):
        list(train(alone, tmp_path / "other", TrainingConfig(**FAST), start_from=run))


def test_volumes_with_other_channels_are_named_before_training(tmp_path: Path) -> None:
    one = two_channels("a", 1)
    other = replace(one, name="b", image=one.image[0], channel_names=())

    with pytest.raises(UserError, match=r"'b' has 1 channel, but 'a' has 2 channels \(dapi, membrane\)"):
        trained([one, other], tmp_path)
    *_, result = preflight([one, other], TrainingConfig(**FAST), timed=False)
    assert "'b' has 1 channel, but 'a' has 2" in " ".join(issue.message for issue in result.issues)


def test_the_check_says_which_channels_are_used_and_which_is_constant() -> None:
    dark = two_channels("b", 2)
    dark = replace(dark, image=np.stack([dark.image[0], dark.image[1] * 0]))

    *_, result = preflight([two_channels("a", 1), dark], TrainingConfig(**FAST), timed=False)

    messages = [issue.message for issue in result.issues]
    assert "The images have 2 channels (dapi, membrane), each normalised by itself." in messages
    assert "The channel 'membrane' of 'b' has a constant intensity; export it again." in messages


def test_a_constant_channel_is_normalised_to_zero() -> None:
    config = TrainingConfig(**FAST)
    sample = two_channels("a", 1)
    sample = replace(sample, image=np.stack([sample.image[0], sample.image[1] * 0 + 9]))

    for method in (Normalisation.Z_SCORE, Normalisation.PERCENTILE, Normalisation.MIN_MAX):
        plan = default_plan(config).model_copy(update={"task": "binary"})
        image, _ = prepare_volume(sample, config.model_copy(update={"normalisation": method}), plan).crop(
            (0, 0, 0), (4, 4, 4)
        )
        assert not image[1].any()
