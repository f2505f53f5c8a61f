"""A MONAI bundle has what its specification asks for, and MONAI runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from napari_unet3d import Sample, predict
from napari_unet3d.configs import ExportFormat
from napari_unet3d.export.description import not_in_the_file
from napari_unet3d.export.monai_config import inference
from napari_unet3d.export.monai_format import write
from napari_unet3d.export.task import ExportTask
from napari_unet3d.model.checkpoint import load_checkpoint

# What MONAI's schema of 2024-07-25 requires (docs.monai.io, "MONAI Bundle Specification").
_REQUIRED = (
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"),
    *("task", "description", "authors", "copyright", "network_data_format"),
)
_OF_A_TENSOR = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}


def test_metadata_have_what_the_schema_requires(as_bundle: Path) -> None:
    about = json.loads((as_bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))

    assert set(_REQUIRED) <= about.keys()
    assert about["authors"] == "A. Person"
    assert about["required_packages_version"].keys() == {"nibabel"}
    tensors = about["network_data_format"]
    assert about["network_data_format"].keys() == {"inputs", "outputs", "post_processed_outputs"}
    for tensor in (tensors["inputs"]["image"], tensors["outputs"]["pred"], tensors["post_processed_outputs"]["pred"]):
        assert tensor.keys() >= _OF_A_TENSOR
        assert tensor["spatial_shape"] == ["2*n", "4*n", "4*n"]
        assert len(tensor["channel_def"]) == tensor["num_channels"]
    assert tensors["inputs"]["image"]["channel_def"] == {"0": "dna", "1": "membrane"}


def test_weights_are_tensors_alone_and_the_licence_is_the_one_given(as_bundle: Path) -> None:
    weights = torch.load(as_bundle / "models" / "model.pt", weights_only=True)

    assert weights
    assert all(type(each) is torch.Tensor for each in weights.values())
    assert "MIT" in (as_bundle / "LICENSE").read_text(encoding="utf-8")
    assert (as_bundle / "docs" / "README.md").is_file()


def test_no_licence_is_made_up(task_for: Callable[..., ExportTask], tmp_path: Path) -> None:
    write(task_for("binary"), tmp_path)

    assert not (tmp_path / "LICENSE").exists()
    about = json.loads((tmp_path / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert about["license"] == about["authors"] == "not given"


@pytest.mark.filterwarnings("ignore")  # MONAI warns of configurations from strangers
def test_the_inference_writes_the_labels_of_predict(
    as_bundle: Path, classes_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # MONAI adds the bundle
    volume = np.random.default_rng(2).integers(0, 99, (2, 6, 16, 12)).astype(np.uint8)  # one tile
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(volume.T, affine), tmp_path / "cells.nii.gz")
    workflow = ConfigWorkflow(
        config_file=str(as_bundle / "configs" / "inference.json"),
        meta_file=str(as_bundle / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="inference",
        bundle_root=str(as_bundle),
        dataset_dir=str(tmp_path),
        output_dir=str(tmp_path),
    )
    workflow.initialize()
    workflow.run()

    written = nibabel.load(tmp_path / "cells_labels.nii.gz")
    sample = Sample("cells", volume, channel_names=load_checkpoint(classes_model).plan.channels)
    *_, prediction = predict(classes_model, sample)
    labels = np.asarray(written.dataobj).squeeze().T
    np.testing.assert_allclose(written.affine, affine)
    assert set(np.unique(labels)) == {0, 1, 5}
    assert np.mean(labels != prediction.labels) < 2e-3


def test_what_monai_cannot_do_is_said(task_for: Callable[..., ExportTask]) -> None:
    assert inference(task_for("instance"))["save_probabilities"] is True
    assert inference(task_for("binary"))["save_probabilities"] is False
    steps = {task: not_in_the_file(task_for(task), ExportFormat.MONAI_BUNDLE) for task in ("binary", "instance")}
    assert any("watershed" in step for step in steps["instance"])
    assert not any("foreground at" in step for step in steps["binary"])
