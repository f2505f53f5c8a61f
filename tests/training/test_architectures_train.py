"""Runs of an architecture other than the default: training, prediction, resuming, fine-tuning, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_unet3d.cli import main
from napari_unet3d.configs import Device, Loss, PredictionConfig, SyntheticConfig, Task, TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.loop import train
from napari_unet3d.training.optim.learner import DataStatistics, Learner
from napari_unet3d.training.optim.losses import make_loss, supervise_all_resolutions

SHAPE = (8, 12, 16)


def config(**values: Any) -> TrainingConfig:
    given = {"architecture": "dynunet", "preset": "xxsmall", "epochs": 2, "device": "cpu", "val_fraction": 0.34}
    return TrainingConfig(**{**given, **values})


class TestDeepSupervision:
    def test_weights_halve_from_each_resolution_to_the_next_and_sum_to_one(self) -> None:
        loss = supervise_all_resolutions(lambda logits, _: logits.mean())
        outputs = tuple(torch.full((1, 1, n, n, n), value) for n, value in ((8, 1.0), (4, 10.0), (2, 100.0)))
        assert loss(outputs, torch.zeros(1, 1, 8, 8, 8)).item() == pytest.approx((4 * 1 + 2 * 10 + 100) / 7)

    def test_targets_are_those_of_nearest_interpolation_also_on_flat_grids(self) -> None:
        targets = torch.randint(0, 256, (2, 3, 4, 8, 12), generator=torch.Generator().manual_seed(0)).byte()
        seen: list[torch.Tensor] = []
        loss = supervise_all_resolutions(lambda logits, part: seen.append(part) or logits.sum())
        shapes = [(4, 8, 12), (4, 4, 6), (2, 2, 3)]
        loss(tuple(torch.zeros(2, 1, *shape) for shape in shapes), targets)
        for part, shape in zip(seen, shapes, strict=True):
            assert torch.equal(part, torch.nn.functional.interpolate(targets, shape, mode="nearest-exact"))

    @pytest.mark.parametrize("task", list(Task))
    @pytest.mark.parametrize("loss", list(Loss))
    def test_masked_voxels_do_not_count_at_any_resolution(self, task: Task, loss: Loss) -> None:
        classes = tuple(LabelClass(value=n, name=str(n)) for n in (1, 2)) if task is Task.SEMANTIC else ()
        plan = Plan(task=task, strides=((2, 2, 2),), patch_zyx=(8, 8, 8), classes=classes)
        compute = make_loss(config(task=task, loss=loss), plan)
        generator = torch.Generator().manual_seed(0)
        outputs = [torch.randn(1, plan.out_channels, n, n, n, generator=generator) for n in (8, 4)]
        targets = torch.randint(0, 2, (1, 3 if task is Task.INSTANCE else 1, 8, 8, 8), generator=generator).byte()
        targets[:, 0, :4] = IGNORE_INDEX
        before = compute(tuple(outputs), targets)
        for logits in outputs:
            logits[:, :, : logits.shape[2] // 2] *= -2
        assert compute(tuple(outputs), targets) == before
        for logits in outputs[1:]:
            logits[:, :, logits.shape[2] // 2 :] *= -2
        assert compute(tuple(outputs), targets) != before

    def test_validation_uses_the_logits_of_the_full_resolution_alone(self) -> None:
        plan = Plan(strides=((2, 2, 2), (2, 2, 2)), patch_zyx=SHAPE)
        learner = Learner(config(), plan, choose_device(Device.CPU), DataStatistics((0.5,), None, n_steps=10))
        images, targets = torch.randn(1, 1, *SHAPE), torch.zeros(1, 1, *SHAPE, dtype=torch.uint8)
        learner.wait(learner.step(images, targets))
        with learner.eval_mode():
            logits, _ = learner.forward(images, targets)
        assert logits.shape == images.shape


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_tiny_volume_is_learned_in_a_few_dozen_steps(ema_decay: float, tmp_path: Path) -> None:
    shape = {"objects": 3, "shape": (17, 24, 30), "object_shape_min": (8, 8, 8), "object_shape_max": (11, 12, 12)}
    *_, generated = generate_volume(SyntheticConfig(**shape, label_kind="foreground", seed=0))
    settings = config(
        epochs=5, steps_per_epoch=10, patch="whole", val_fraction=0, augmentation="none", ema_decay=ema_decay
    )
    for _ in train([generated.sample], tmp_path, settings):
        pass

    *_, prediction = predict(tmp_path, generated.sample, PredictionConfig(device="cpu"))

    found, labels = prediction.labels > 0, np.asarray(generated.sample.labels) > 0
    assert 2 * (found & labels).sum() / (found.sum() + labels.sum()) > 0.9


@pytest.mark.parametrize("shape", [(2, 2, 2), (5, 7, 9), (16, 40, 33)])
@pytest.mark.parametrize("strides", [((2, 2, 2), (2, 2, 2)), ((1, 2, 2), (2, 2, 2))])
def test_volumes_of_any_size_are_predicted(shape: tuple[int, int, int], strides: Any) -> None:
    plan = Plan(strides=strides, patch_zyx=(8, 16, 16))
    model = Checkpoint(config(), build_network(config(), plan).state_dict(), 1, plan=plan)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    *_, prediction = predict(model, Sample("a", image), PredictionConfig(device="cpu", overlap=0.25))
    assert prediction.labels.shape == prediction.probability.shape == shape
    assert np.isfinite(prediction.probability).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"patch": (8, 8, 12), "steps_per_epoch": 2, "ema_decay": 0.9, "dropout": 0.2},
        {"patch": "whole", "task": "instance", "optimizer": "sgd", "momentum": 0.9},
    ],
)
def test_a_resumed_run_ends_with_the_same_bits(settings: dict[str, Any], samples: list[Sample], tmp_path: Path) -> None:
    for _ in train(samples, tmp_path / "whole", config(epochs=3, **settings)):
        pass
    events = train(samples, tmp_path / "parts", config(epochs=3, **settings))
    next(event for event in events if isinstance(event, EpochFinished))
    events.close()
    for _ in train(samples, tmp_path / "parts", resume=True):
        pass
    for name in ("model.safetensors", "last.safetensors"):
        whole, parts = (load_file(tmp_path / run / name) for run in ("whole", "parts"))
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_fine_tuning_to_other_classes_resets_the_output_head_alone(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path / "binary", config(epochs=1)))
    settings = TrainingConfig(
        task="semantic", epochs=1, device="cpu", learning_rate=1e-8, weight_decay=0, val_fraction=0.34
    )

    events = list(train(samples, tmp_path / "semantic", settings, start_from=tmp_path / "binary"))

    assert any(isinstance(event, Notice) and "last layers are initialised" in event.message for event in events)
    before, after = (load_checkpoint(tmp_path / run) for run in ("binary", "semantic"))
    assert after.config.architecture.value == "dynunet"
    assert after.weights["output_block.conv.conv.weight"].shape[0] == 3
    kept = {name for name in before.weights if not name.startswith(("output_block.", "deep_supervision_heads."))}
    assert len(kept) == len(before.weights) - 4
    for name in kept:
        torch.testing.assert_close(after.weights[name], before.weights[name], atol=1e-6, rtol=0)


def test_starting_from_the_other_architecture_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path / "first", config(epochs=1)))
    with pytest.raises(UserError, match="has another network: architecture dynunet, not unet"):
        next(train(samples, tmp_path / "second", config(architecture="unet"), start_from=tmp_path / "first"))


def test_a_model_whose_header_names_another_architecture_is_refused(tmp_path: Path) -> None:
    model = Checkpoint(config(), build_network(config()).state_dict(), 1)
    save_checkpoint(tmp_path / "model.safetensors", model)
    loaded = load_checkpoint(tmp_path)
    assert loaded.config.architecture.value == "dynunet"
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in model.weights.items())

    save_checkpoint(tmp_path / "model.safetensors", replace(model, config=config(architecture="unet")))
    with pytest.raises(UserError) as error:
        load_checkpoint(tmp_path)
    assert str(error.value).split(". ") == [
        f"The weights in {tmp_path / 'model.safetensors'} do not belong to the network that its settings describe "
        "(architecture unet, preset xxsmall)",
        "Choose another model or train it again.",
    ]


def test_the_command_trains_and_predicts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, run_folder = tmp_path / "data", tmp_path / "run"
    size = "--shape 16 20 24 --object-shape-min 7 7 7 --object-shape-max 9 9 9 --objects 3"
    assert main(["generate", str(data), "--train", "2", "--test", "1", *size.split()]) == 0
    assert main(["train", str(data), "--run", str(run_folder), "--epochs", "1", "--architecture", "dynunet"]) == 0
    assert "DynUNet xxsmall (4, 8, 16 channels)" in capfd.readouterr().err
    assert json.loads((run_folder / "config.json").read_text())["architecture"] == "dynunet"
    image = next((data / "test" / "images").iterdir())
    assert main(["predict", str(run_folder), str(image), "--out", str(tmp_path / "out")]) == 0
    given = ["--architecture", "dynunet", "--activation", "relu"]
    assert main(["train", str(data), "--run", str(tmp_path / "other"), *given]) == 1
    assert "'activation' does not apply to the architecture dynunet" in capfd.readouterr().err
