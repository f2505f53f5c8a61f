"""A model for bioimage.io has what its specification asks for; bioimageio.core runs it in tools/check_bioimageio.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from monai.networks.nets import UNet
from PIL import Image

from napari_unet3d import ExportConfig, UserError, export_model
from napari_unet3d.export.bioimageio_description import _citation, halo_of, rdf
from napari_unet3d.export.bioimageio_format import check
from napari_unet3d.export.task import ExportTask

CARD = {"license": "CC-BY-4.0", "authors": ("A. Person", "B. Person")}


@pytest.fixture(scope="module")
def folder(as_bioimageio: Path) -> Path:
    return as_bioimageio


def test_the_description_names_every_file_and_what_was_given(folder: Path) -> None:
    about = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))

    assert about["name"] == "Nuclei  3D fast"  # the specification allows neither a colon nor a slash
    assert about["license"] == "CC-BY-4.0"
    assert about["authors"] == [{"name": "A. Person"}, {"name": "B. Person"}]
    assert about["cite"] == [{"text": "Person et al. 2026, doi:10.1234/abc.5.", "doi": "10.1234/abc.5"}]
    assert about["inputs"][0]["preprocessing"] == [
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["z", "y", "x"]}}
    ]
    z, y, _ = about["inputs"][0]["axes"][2:]
    assert (z["size"]["step"], y["size"]["step"], z["scale"], z["unit"]) == (1, 2, 2.0, "micrometer")
    for axis in about["outputs"][0]["axes"][2:]:  # bioimage.io wants the same units on both sides
        (same,) = (each for each in about["inputs"][0]["axes"][2:] if each["id"] == axis["id"])
        assert (axis["scale"], axis["unit"]) == (same["scale"], same["unit"])
    assert about["outputs"][0]["postprocessing"] == [{"id": "sigmoid"}]
    for weights in about["weights"].values():
        content = (folder / weights["source"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == weights["sha256"]
    named = {"README.md", "cover.png", "test_input.npy", "test_output.npy", "environment.yaml", "rdf.yaml"}
    weights_files = {"model.onnx", "weights.pt"}
    assert {path.name for path in folder.iterdir()} == named | weights_files | {"napari-unet3d.json"}
    assert "Validation" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_cover_is_twice_as_wide_as_high_and_small(folder: Path) -> None:
    with Image.open(folder / "cover.png") as cover:
        assert cover.width == 2 * cover.height
    assert (folder / "cover.png").stat().st_size < 500_000


def test_both_weights_compute_the_example(folder: Path) -> None:
    about = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
    image, expected = np.load(folder / "test_input.npy"), np.load(folder / "test_output.npy")
    tile = ((image - image.mean()) / (image.std() + 1e-6)).astype(np.float32)  # zero_mean_unit_variance

    (logits,) = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"image": tile})
    network = UNet(**about["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]).eval()
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    with torch.inference_mode():
        other = network(torch.from_numpy(tile)).sigmoid().numpy()

    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, atol=1e-5)
    np.testing.assert_allclose(other, expected, atol=1e-5)


def test_authors_and_licence_are_never_made_up(task_for: Callable[..., ExportTask]) -> None:
    with pytest.raises(UserError, match="needs license and authors of the model, which are yours to give"):
        check(task_for("binary"))
    with pytest.raises(UserError, match="needs authors of the model"):
        check(task_for("binary", license="MIT"))
    assert _citation("A page, https://example.org/x") == {
        "text": "A page, https://example.org/x",
        "url": "https://example.org/x",
    }


def test_classes_are_softmax_and_the_halo_leaves_a_voxel(task_for: Callable[..., ExportTask], folder: Path) -> None:
    task = task_for("semantic", **CARD)
    about = rdf(task, folder)

    assert about["outputs"][0]["postprocessing"] == [{"id": "softmax", "kwargs": {"axis": "channel"}}]
    assert about["outputs"][0]["axes"][1]["channel_names"] == ["background", "wall", "lumen"]
    for axis, halo in zip(about["inputs"][0]["axes"][2:], halo_of(task), strict=True):
        assert axis["size"]["min"] > 2 * halo >= 2
        assert axis["size"]["min"] % axis["size"]["step"] == 0
    assert json.dumps(about)  # plain values only


def test_a_short_name_is_as_long_as_the_format_asks_for(task_for: Callable[..., ExportTask], folder: Path) -> None:
    task = task_for("binary", name="run", **CARD)
    assert rdf(task, folder)["name"] == "3D segmentation run"


def test_a_citation_without_doi_and_address_is_refused(binary_run: Path, tmp_path: Path) -> None:
    config = ExportConfig(citation="A. Person, personal communication", **CARD)
    with pytest.raises(UserError, match="has neither a DOI nor a web address"):
        list(export_model(binary_run, tmp_path / "out", "bioimageio", config))
    assert not (tmp_path / "out").exists()
