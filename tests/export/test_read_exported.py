"""Exported models are read again, and nothing that comes with them is run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unet3d import Sample, TrainingConfig, UserError, export_model, predict
from napari_unet3d.model.checkpoint import load_checkpoint, load_seen_content
from napari_unet3d.training.resume import resolve_start


@pytest.fixture
def copied(tmp_path: Path, as_onnx: Path, as_bundle: Path) -> dict[str, Path]:
    """Exported models that a test may damage."""
    return {
        "onnx": shutil.copytree(as_onnx, tmp_path / "onnx"),
        "bundle": shutil.copytree(as_bundle, tmp_path / "bundle"),
    }


def change(folder: Path, **values: object) -> None:
    """Change settings of the plan in the description of a model."""
    file = folder / "napari-unet3d.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    about["model"]["plan"] |= values
    file.write_text(json.dumps(about), encoding="utf-8")


def test_onnx_predicts_what_its_run_predicts(as_onnx: Path, binary_run: Path) -> None:
    image = np.random.default_rng(5).integers(0, 90, (7, 30, 26)).astype(np.uint16)
    sample = Sample("cells", image, voxel_size_um=(2.0, 0.5, 0.5))

    *_, of_run = predict(binary_run, sample)
    for exported in (as_onnx, as_onnx / "model.onnx"):
        *_, of_file = predict(exported, sample)
        np.testing.assert_allclose(of_file.probability, of_run.probability, atol=1e-5)
        assert of_file.geometry == of_run.geometry


def test_a_bundle_has_the_weights_of_its_run(as_bundle: Path, classes_model: Path) -> None:
    own, read = load_checkpoint(classes_model), load_checkpoint(as_bundle)

    assert read.plan == own.plan
    assert read.config == own.config
    assert read.voxel_size_um == own.voxel_size_um
    assert read.weights.keys() == own.weights.keys()
    for name, weights in own.weights.items():
        if not name.startswith("deep_supervision_heads."):  # which the bundle does not have
            torch.testing.assert_close(read.weights[name], weights, rtol=0, atol=0)
    assert load_checkpoint(as_bundle / "models" / "model.pt").plan == own.plan
    assert load_seen_content(as_bundle) is None  # nothing is known of an untrained network


def test_a_training_starts_from_a_bundle_and_not_from_onnx(as_bundle: Path, as_onnx: Path, tmp_path: Path) -> None:
    settings = TrainingConfig(task="semantic", class_names=("wall", "lumen"))
    start = resolve_start(tmp_path / "run", settings, resume=False, start_from=as_bundle)

    assert start.model is not None
    assert start.config.architecture == "dynunet"
    with pytest.raises(UserError, match="ONNX format cannot be trained"):
        resolve_start(tmp_path / "run", settings, resume=False, start_from=as_onnx)
    with pytest.raises(UserError, match="is an ONNX file already"):
        list(export_model(as_onnx, tmp_path / "again", "torch-export"))


def test_what_is_not_read_here_is_said(as_torch: Path, as_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in the format 'torch-export', which is not read here"):
        load_checkpoint(as_torch)
    alone = shutil.copy(as_onnx / "model.onnx", tmp_path / "alone.onnx")
    with pytest.raises(UserError, match=r"cannot be used alone: napari-unet3d\.json"):
        load_checkpoint(alone)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_a_bundle_with_code_in_it_is_refused(copied: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied["bundle"])
    torch.save({"model.weight": Evil()}, copied["bundle"] / "models" / "model.pt")
    (copied["bundle"] / "configs" / "inference.json").write_text("{\"run\": \"$__import__('os').system('touch ran')\"}")

    with pytest.raises(UserError, match="contains more than weights"):
        load_checkpoint(copied["bundle"])

    assert not (copied["bundle"] / "ran").exists()


@pytest.mark.parametrize("strides", [[[1, 2, 2]], [[2, 2, 2], [2, 2, 2]]])
def test_weights_of_another_network_are_refused(copied: dict[str, Path], strides: list[list[int]]) -> None:
    change(copied["bundle"], strides=strides, patch_zyx=None)

    with pytest.raises(UserError, match="do not belong to the network"):
        load_checkpoint(copied["bundle"])


def test_damaged_files_are_one_sentence(copied: dict[str, Path]) -> None:
    sample = Sample("cells", np.zeros((6, 16, 12)))
    change(copied["onnx"], task="instance")
    with pytest.raises(UserError, match=r"has the shape \(1, 1, .*\), not \(1, 3, "):
        list(predict(copied["onnx"], sample))
    (copied["onnx"] / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(UserError, match="is no ONNX file that can be run"):
        list(predict(copied["onnx"], sample))
    change(copied["onnx"], strides=[[3, 3, 3]])
    with pytest.raises(UserError, match=r"The settings in .*napari-unet3d\.json cannot be read"):
        load_checkpoint(copied["onnx"])
    (copied["onnx"] / "napari-unet3d.json").write_text("[]")
    with pytest.raises(UserError, match="is no JSON object"):
        load_checkpoint(copied["onnx"])
