"""Models for other programs: these compute the same, and nothing is kept if they do not."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from napari_unet3d import Sample, UserError, export_model, predict
from napari_unet3d.cli.app import main
from napari_unet3d.export import monai_format, torch_format
from napari_unet3d.export.comparison import example_input, own_output, tile_difference, tiled_output, volume_grid
from napari_unet3d.export.events import ExportEvent, ExportStep, ModelExported
from napari_unet3d.export.task import ExportTask
from napari_unet3d.model.checkpoint import load_checkpoint, save_checkpoint


def textured(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 6, 16, 12), (3, 1, 2, 4, 8)])
def test_onnx_computes_the_probabilities_of_the_network_for_any_tiles(
    as_onnx: Path, binary_run: Path, shape: tuple[int, ...]
) -> None:
    session = onnxruntime.InferenceSession(as_onnx / "model.onnx")
    tiles = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    (output,) = session.run(None, {"image": tiles})

    with torch.inference_mode():
        expected = load_checkpoint(binary_run).network()(torch.from_numpy(tiles)).sigmoid().numpy()
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert [each.name for each in session.get_outputs()] == ["probability"]


def test_a_program_of_torch_holds_the_softmax_and_no_deep_supervision(as_torch: Path, classes_model: Path) -> None:
    program = torch.export.load(as_torch / "model.pt2").module()
    tiles = torch.randn(2, 2, 8, 8, 16, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        output = program(tiles)
        expected = load_checkpoint(classes_model).network()(tiles).softmax(1)

    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.sum(1), torch.ones(2, 8, 8, 16))


EXPORTED = [
    ("as_onnx", "binary_run", 1),
    ("as_torch", "classes_model", 2),
    ("as_bundle", "classes_model", 2),
]


@pytest.mark.parametrize(("exported", "model", "n_channels"), EXPORTED)
def test_the_code_on_the_page_makes_the_labels_of_predict(
    exported: str,
    model: str,
    n_channels: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    volume = textured(n_channels, 7, 37, 30)
    shutil.copytree(request.getfixturevalue(exported), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    np.save("volume.npy", volume)
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)

    variables: dict[str, np.ndarray] = {}
    exec(compile(code, "README.md", "exec"), variables)

    names = load_checkpoint(request.getfixturevalue(model)).plan.channels
    sample = Sample("volume", volume if n_channels > 1 else volume[0], channel_names=names)
    *_, prediction = predict(request.getfixturevalue(model), sample)
    labels = np.load("labels.npy")
    assert len(np.unique(labels)) > 1
    output = variables["output"]
    np.testing.assert_allclose(1 - output[0] if n_channels > 1 else output[0], prediction.probability, atol=1e-5)
    assert np.mean(labels != prediction.labels) < 1e-3  # maps in float16 decide otherwise between two equal classes


def test_the_description_says_what_goes_in_and_what_comes_out(as_torch: Path) -> None:
    about = json.loads((as_torch / "napari-unet3d.json").read_text(encoding="utf-8"))

    assert about["input"]["channels"] == ["dna", "membrane"]
    assert about["input"]["sides_are_multiples_of_zyx"] == [2, 4, 4]
    assert about["output"]["channels"] == ["background", "wall", "lumen"]
    assert about["classes"] == [{"label": 1, "name": "wall"}, {"label": 5, "name": "lumen"}]
    assert about["normalisation"]["method"] == "z-score"
    assert about["voxel_size"] == {"zyx_um": [2.0, 0.5, 0.5], "volumes_are_resampled_to_it": False}
    assert about["tiles"]["size_zyx"] == [6, 16, 12]
    assert 0 <= about["largest_difference_when_checked"] <= 1e-4
    assert "license" not in about  # nobody has given one


def test_every_step_is_an_event_and_the_last_one_the_result(torch_events: list[ExportEvent]) -> None:
    *steps, exported = torch_events

    assert [(type(step), step.n_done, step.n_steps) for step in steps] == [(ExportStep, n, 3) for n in range(3)]
    assert isinstance(exported, ModelExported)
    assert 0 <= max(exported.tile_difference, exported.volume_difference) <= 1e-4
    assert sorted(path.name for path in exported.folder.iterdir()) == ["README.md", "model.pt2", "napari-unet3d.json"]
    assert [path.name for path in exported.folder.parent.iterdir()] == [exported.folder.name]


def test_what_is_given_about_the_model_is_on_its_page(as_onnx: Path) -> None:
    page = (as_onnx / "README.md").read_text(encoding="utf-8")

    assert page.startswith("# Nuclei\n")
    assert "- Licence: CC-BY-4.0\n" in page
    assert "- Authors: A. Person, B. Person\n" in page
    assert json.loads((as_onnx / "napari-unet3d.json").read_text(encoding="utf-8"))["license"] == "CC-BY-4.0"


def test_stopping_leaves_nothing(binary_run: Path, tmp_path: Path) -> None:
    events = export_model(binary_run, tmp_path / "out", "torch-export")
    next(events)
    events.close()

    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_output_overflows_leaves_nothing(binary_run: Path, tmp_path: Path) -> None:
    model = load_checkpoint(binary_run)
    huge = {name: weights * 1e30 for name, weights in model.weights.items()}
    save_checkpoint(tmp_path / "huge.safetensors", type(model)(model.config, huge, 1, plan=model.plan))

    with pytest.raises(UserError, match="is not finite: it is damaged"):
        list(export_model(tmp_path / "huge.safetensors", tmp_path / "out", "torch-export"))

    assert not (tmp_path / "out").exists()


def test_another_output_is_an_error(task_for: Callable[..., ExportTask]) -> None:
    task = task_for("binary")
    grid = volume_grid(task)
    image = example_input(task, grid.shape_zyx)
    network = task.network

    def run(tiles: np.ndarray, error: float = 0.0) -> np.ndarray:
        with torch.inference_mode():
            return (network(torch.from_numpy(tiles)).sigmoid() + error).numpy()

    assert tile_difference(task, run) < 1e-5
    np.testing.assert_allclose(tiled_output(run, 1, image, grid), own_output(task, image, grid), atol=1e-5)
    with pytest.raises(UserError, match=r"its output differs by 0.0002 .* more than 0.0001"):
        tile_difference(task, lambda tiles: run(tiles, 2e-4))
    with pytest.raises(UserError, match="differs by nan"):
        tile_difference(task, lambda tiles: run(tiles, np.nan))
    with pytest.raises(UserError, match=r"has the shape \(1, 6, 16, 11\) instead of \(1, 6, 16, 12\)"):
        tile_difference(task, lambda tiles: run(tiles)[..., :-1])


def test_a_folder_with_other_files_is_never_replaced(as_torch: Path, classes_model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")

    with pytest.raises(UserError, match="contains other files"):
        list(export_model(classes_model, tmp_path / "mine", "torch-export", overwrite=True))
    with pytest.raises(UserError, match="is a file"):
        list(export_model(classes_model, tmp_path / "file", "torch-export"))
    with pytest.raises(UserError, match="contains an exported model already"):
        list(export_model(classes_model, as_torch, "torch-export"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize(
    ("write", "file"), [(torch_format.write, "model.pt2"), (monai_format.write, "models/model.pt")]
)
def test_a_full_disk_is_an_error_that_can_be_explained(
    write: Callable[[ExportTask, Path], None],
    file: str,
    task_for: Callable[..., ExportTask],
    tmp_path: Path,
) -> None:
    """torch's own writer would end the process."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        write(task_for("binary"), tmp_path)


def test_an_unknown_format_is_named(binary_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no format 'keras'\. Choose one of onnx, torch-export, "):
        list(export_model(binary_run, tmp_path / "out", "keras"))


def test_a_missing_package_is_named(binary_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)

    with pytest.raises(UserError, match=r"needs the package onnxscript\. Install napari-unet3d\[export\]\."):
        list(export_model(binary_run, tmp_path / "out", "onnx"))


def test_the_command_refuses_what_it_cannot_do(
    binary_run: Path, as_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(binary_run), "--to", "onnx", "--out", str(as_onnx)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["export", str(binary_run), "--to", "keras", "--out", str(as_onnx)]) == 2
