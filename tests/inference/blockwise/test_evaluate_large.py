"""Test sets with volumes that do not fit into memory have the scores and the errors of the whole volumes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet3d.cli import main
from napari_unet3d.configs import EvaluationConfig, Task
from napari_unet3d.data.dataset import read_pair
from napari_unet3d.data.dataset_voxel_size import write_given_voxel_size
from napari_unet3d.data.events import Notice
from napari_unet3d.data.pairs import Subset, list_pairs
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.seen_content import record_content
from napari_unet3d.data.split import Split
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.report import write_report
from napari_unet3d.inference import large_volumes
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.evaluate_predictions import evaluate_predictions
from napari_unet3d.inference.events import EvaluationFinished, LargeVolumeEvaluated, VolumeEvaluated
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint

Model = Callable[..., Checkpoint]
CPU = EvaluationConfig(device="cpu")
SHAPE = (18, 27, 35)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Write two test volumes, one with a mask; the voxel size is that of the dataset."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        coarse = random.integers(0, 4, (6, 9, 12)) * (random.random((6, 9, 12)) < 0.4)
        labels = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[:, :, : SHAPE[2]].astype(np.uint16)
        for kind, values in (("images", random.integers(0, 200, SHAPE).astype(np.uint16)), ("labels", labels)):
            write_volume(tmp_path / "data" / "test" / kind / f"{name}.h5", values)
    mask = (random.random(SHAPE) < 0.9).astype(np.uint8)
    write_volume(tmp_path / "data" / "test" / "annotated" / "b.npy", mask)
    write_given_voxel_size(tmp_path / "data", (2.0, 0.5, 1.0))
    return tmp_path / "data"


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr("napari_unet3d.data.volume_parts._FRACTION_OF_MEMORY", 0)


def tables(folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    with (folder / "errors.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [{key: cell for key, cell in row.items() if key != "picture"} for row in csv.DictReader(file)]
    numbers = ("error_volume", "depth", "z", "y", "x")
    rows = [row | {key: pytest.approx(float(row[key]), rel=1e-6) for key in numbers} for row in rows]  # type: ignore[misc]
    return json.loads((folder / "metrics.json").read_text()), rows


def nearly(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: nearly(each) for key, each in value.items()}
    if isinstance(value, list):
        return [nearly(each) for each in value]
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


@pytest.mark.parametrize("task", [Task.BINARY, Task.SEMANTIC])
def test_evaluation_of_a_model(
    model_for: Model, dataset: Path, little_memory: Callable[[], None], tmp_path: Path, task: Task
) -> None:
    model = model_for(task)
    pair = list_pairs(dataset, Subset.TEST)[1]
    model = replace(model, seen=record_content(Split((read_pair(pair),), ())))
    *_, whole = evaluate(model, dataset, out=tmp_path / "whole", config=CPU)
    little_memory()
    *events, last = evaluate(model, dataset, out=tmp_path / "blocks", config=CPU)
    assert isinstance(whole, EvaluationFinished)
    assert isinstance(last, EvaluationFinished)
    evaluated = [event for event in events if isinstance(event, LargeVolumeEvaluated)]
    assert [(event.scores.name, event.n_evaluated, event.n_volumes) for event in evaluated] == [
        ("a", 1, 2),
        ("b", 2, 2),
    ]
    assert [str(event.scores.seen_in) for event in evaluated] == ["never", "training"]
    (scores, errors), (of_blocks, errors_of_blocks) = tables(tmp_path / "whole"), tables(tmp_path / "blocks")
    assert of_blocks == nearly(scores)
    assert len(errors) > 5
    assert errors_of_blocks == errors
    for kind, folder in (("labels", "predictions"), ("difference", "differences")):
        found = read_volume(tmp_path / "blocks" / folder / f"a_{kind}.ome.zarr")
        expected = read_volume(next((tmp_path / "whole" / folder).glob(f"a_{kind}.*")))
        np.testing.assert_array_equal(found.array, expected.array)
        assert found.voxel_size_um == (2.0, 0.5, 1.0)
    messages = [event.message for event in events if isinstance(event, Notice)]
    assert sum("has no figure and no pictures of errors" in message for message in messages) == 2
    assert not list((tmp_path / "blocks").rglob(".*"))
    write_report(None, tmp_path / "report.html", tmp_path / "blocks")
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_evaluation_of_predicted_objects(
    dataset: Path, little_memory: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        labels = read_volume(dataset / "test" / "labels" / f"{name}.h5").array
        write_volume(tmp_path / "other" / f"{name}_seg.npy", np.roll(labels, 1, 2), (2.0, 0.5, 1.0))
    arguments = ["evaluate", str(dataset), "--predictions", str(tmp_path / "other"), "--task", "instance"]
    arguments += ["--ignore-border-objects"]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    table = capsys.readouterr().out.splitlines()[:-1]
    little_memory()
    assert main([*arguments, "--out", str(tmp_path / "blocks")]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[:-1] == table
    assert "touch the border" in output.err
    assert tables(tmp_path / "blocks") == tuple(nearly(each) for each in tables(tmp_path / "whole"))


def test_nothing_is_written_without_a_folder(
    model_for: Model, dataset: Path, little_memory: Callable[[], None], tmp_path: Path
) -> None:
    little_memory()
    before = sorted(tmp_path.rglob("*"))
    *_, event, last = evaluate(model_for(), dataset, config=CPU)
    assert isinstance(event, LargeVolumeEvaluated)
    assert isinstance(last, EvaluationFinished)
    assert event.labels is None
    assert sorted(tmp_path.rglob("*")) == before


def test_evaluations_are_replaced_and_stopped(
    model_for: Model, dataset: Path, little_memory: Callable[[], None], tmp_path: Path
) -> None:
    little_memory()
    out = tmp_path / "out"
    list(evaluate(model_for(), dataset, out=out, config=CPU))
    before = sorted(out.rglob("*"))
    events = evaluate(model_for(seed=1), dataset, out=out, config=CPU)
    while not isinstance(next(events), LargeVolumeEvaluated):
        pass
    events.close()  # type: ignore[attr-defined]
    assert sorted(out.rglob("*")) == before
    list(evaluate(model_for(seed=1), dataset, out=out, config=CPU))
    assert sorted(out.rglob("*")) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_seen_is_found_in_any_slices(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_volumes, "memory_limit", lambda: 1)
    sample = read_pair(list_pairs(dataset, Subset.TEST)[0])
    part = replace(sample, image=sample.image[4:14, 5:20, 5:20], labels=None)
    seen = record_content(Split((), (part,)))
    with large_volumes.open_volume(dataset / "test" / "images" / "a.h5", "images") as opened:
        assert str(large_volumes._seen_in(seen, large_volumes.volume_parts(opened))) == "validation"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array[:, :, 1:], "18 × 27 × 34 voxels and its image"),
        (lambda array: array.astype(np.int32) - 1, "goes down to -1"),
        (lambda array: array + 0.5, "are not integers"),
    ],
)
def test_wrong_predictions_are_refused(
    dataset: Path, little_memory: Callable[[], None], tmp_path: Path, change: Any, message: str
) -> None:
    little_memory()
    for name in ("a", "b"):
        labels = read_volume(dataset / "test" / "labels" / f"{name}.h5").array
        write_volume(tmp_path / "other" / f"{name}.npy", change(labels))
    with pytest.raises(UserError, match=message):
        list(evaluate_predictions(tmp_path / "other", dataset))


def test_augmentation_and_compressed_labels_are_refused(
    model_for: Model, dataset: Path, little_memory: Callable[[], None], tmp_path: Path
) -> None:
    assert not isinstance(next(evaluate(model_for(), dataset, config=CPU)), VolumeEvaluated)
    little_memory()
    with pytest.raises(UserError, match="cannot be augmented"):
        list(evaluate(model_for(), dataset, config=EvaluationConfig(device="cpu", test_augmentation="light")))
    labels = dataset / "test" / "labels" / "a.h5"
    write_volume(labels.with_suffix(".nii.gz"), read_volume(labels).array)
    labels.unlink()
    with pytest.raises(UserError, match=r"a\.nii\.gz cannot be read in parts"):
        list(evaluate(model_for(), dataset, config=CPU))


def test_command_predicts_and_scores(
    model_for: Model, dataset: Path, little_memory: Callable[[], None], tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "run" / "model.safetensors", model_for(Task.INSTANCE))
    little_memory()
    out = tmp_path / "out"
    assert main(["evaluate", str(tmp_path / "run"), str(dataset), "--out", str(out), "--device", "cpu"]) == 0
    assert {path.name for path in (out / "predictions").iterdir()} >= {"a_labels.ome.zarr", "a_objects.csv"}
    assert json.loads((out / "metrics.json").read_text())["mean"]["instances"]["n_true"] > 0
