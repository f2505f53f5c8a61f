"""Predictions of other tools are scored as those of a model are."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from matplotlib.image import imread

from napari_unet3d.cli import main
from napari_unet3d.configs import EvaluationConfig, Task
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.report import write_report
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.evaluate_predictions import evaluate_predictions
from napari_unet3d.inference.events import EvaluationFinished
from napari_unet3d.model.checkpoint import Checkpoint

Untrained = Callable[..., Checkpoint]
Textured = Callable[..., Sample]
CPU = EvaluationConfig(device="cpu")
SHAPE = (5, 9, 12)


@pytest.fixture
def dataset(textured: Textured, tmp_path: Path) -> Path:
    for number, name in enumerate(("a", "b")):
        add_sample(tmp_path / "data", textured(name, seed=number), Subset.TEST)
    return tmp_path / "data"


def predict(folder: Path, **volumes: Any) -> Path:
    """Write predictions; a key ``a__tif`` is the file ``a.tif``."""
    for name, array in volumes.items():
        write_volume(folder / name.replace("__", "."), np.asarray(array), (2.0, 0.5, 1.0))
    return folder


def boxes(*values: int) -> np.ndarray:
    """The two boxes of the samples with other values; together they are one foreground of 3 × 5 × 7 voxels."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:4, 2:7, 3:8], labels[1:4, 2:7, 8:10] = values
    return labels


def finished(*arguments: Any, **options: Any) -> tuple[EvaluationFinished, list[str]]:
    *events, last = evaluate_predictions(*arguments, **options)
    assert isinstance(last, EvaluationFinished)
    return last, [event.message for event in events if isinstance(event, Notice)]


def test_scores_and_files_are_those_of_the_model_that_predicted(
    untrained: Untrained, dataset: Path, tmp_path: Path
) -> None:
    *_, of_model = evaluate(untrained(), dataset, out=tmp_path / "model", config=CPU)
    last, notices = finished(tmp_path / "model" / "predictions", dataset, out=tmp_path / "files")
    assert isinstance(of_model, EvaluationFinished)
    assert (last.volumes, last.mean, notices) == (of_model.volumes, of_model.mean, [])
    for file in ("metrics.json", "metrics.csv", "errors.csv"):
        assert (tmp_path / "files" / file).read_bytes() == (tmp_path / "model" / file).read_bytes()
    found = [
        sorted(path.relative_to(tmp_path / each) for path in (tmp_path / each).rglob("*"))
        for each in ("files", "model")
    ]
    assert found[0] == found[1]


def test_hand_computed_scores_of_each_task(dataset: Path, tmp_path: Path) -> None:
    half = boxes(7, 0)
    folder = predict(tmp_path / "p", a__tif=boxes(7, 300), b__tif=half)
    binary, notices = finished(folder, dataset)
    # 15 of 15 × 7 voxels' rows: the first box has 5 of 7 columns; Dice = 2 · 5 / (5 + 7).
    assert [scores.dice for scores in binary.volumes] == [1.0, pytest.approx(10 / 12)]
    assert "'a' has 2 labels, which count as one foreground" in notices[0]
    semantic, _ = finished(folder, dataset, task="semantic")
    assert [(each.name, each.dice) for each in semantic.volumes[1].classes] == [("7", 1.0), ("300", 0.0)]
    instance, notices = finished(folder, dataset, task=Task.INSTANCE)
    assert instance.volumes[1].instances is not None
    assert (instance.volumes[1].instances.n_matched, instance.volumes[1].instances.n_true) == (1, 2)
    assert notices == []


def test_errors_in_volumes_of_several_channels_are_drawn_in_their_colours(tmp_path: Path) -> None:
    truth = np.zeros((6, 20, 24), np.uint8)
    truth[2:4, 5:12, 5:12] = 1
    image = np.stack([truth * 200, np.arange(truth.size).reshape(truth.shape) % 200]).astype(np.uint8)
    sample = Sample("cell", image, truth, (2.0, 0.5, 0.5), channel_names=("dapi", "membrane"))
    add_sample(tmp_path / "data", sample, Subset.TEST)
    write_volume(tmp_path / "predicted" / "cell.tif", truth * 0, (2.0, 0.5, 0.5))
    list(evaluate_predictions(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "scores"))
    (picture,) = (tmp_path / "scores" / "errors").glob("*.png")
    pixels = imread(picture)[..., :3]
    corner = pixels[: len(pixels) // 8, -len(pixels) // 8 :].reshape(-1, 3)  # without texts
    assert (corner[:, 1] > corner[:, [0, 2]].max(1) + 0.2).any(), "the second channel is green"


def test_classes_have_the_names_that_are_given(dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", a__tif=boxes(1, 300), b__tif=boxes(1, 300))
    last, _ = finished(folder, dataset, task="semantic", class_names=["wall"])
    assert [each.name for each in last.mean.classes] == ["wall", "7", "300"]
    with pytest.raises(UserError, match="belong to the task semantic"):
        next(evaluate_predictions(folder, dataset, class_names=["wall"]))


def test_an_ignored_label_counts_nowhere(dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", a__tif=boxes(1, 0), b__tif=boxes(1, 0))
    last, _ = finished(folder, dataset, ignore_label=300)
    assert last.mean.dice == 1.0


@pytest.mark.parametrize("name", ["a.tif", "a_seg.tif", "A-mask.nii.gz", "a_labels.npy", "a_prediction_labels.tif"])
def test_predictions_belong_to_the_volume_of_their_name(name: str, dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", **{name.replace(".", "__"): boxes(7, 300), "b__tif": boxes(7, 300)})
    if name == "a_prediction_labels.tif":
        with pytest.raises(
            UserError, match=r"has no prediction for a of the test set; it contains a_prediction_labels"
        ):
            next(evaluate_predictions(folder, dataset))
        return
    assert finished(folder, dataset)[0].mean.dice == 1.0


def test_maps_beside_the_labels_are_no_predictions(dataset: Path, tmp_path: Path) -> None:
    maps = {
        f"{name}_{kind}__tif": np.full(SHAPE, 0.5, np.float32)
        for name in "ab"
        for kind in ("probability", "uncertainty")
    }
    folder = predict(tmp_path / "p", a_labels__tif=boxes(7, 300), b_labels__tif=boxes(7, 300), **maps)
    assert finished(folder, dataset, task="instance")[1] == []


def test_missing_ones_are_refused_and_extra_ones_named(dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", a__tif=boxes(7, 300), c__tif=boxes(7, 300))
    with pytest.raises(UserError, match=r"has no prediction for b of the test set; it contains a\.tif, c\.tif"):
        next(evaluate_predictions(folder, dataset, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    predict(folder, b__tif=boxes(7, 300))
    _, notices = finished(folder, dataset, task="instance")
    assert notices == ["1 predictions belong to none of the 2 test volumes and are left out: c.tif."]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((9, 5, 12), np.uint8), r"b\.tif has shape \(9, 5, 12\), its image .*b\.tif \(5, 9, 12\)"),
        (np.full(SHAPE, 0.5, np.float32), "that are not integers"),
        (np.full(SHAPE, -1, np.int16), "goes down to -1"),
        (np.full(SHAPE, np.nan, np.float32), "that are not integers"),
    ],
)
def test_what_does_not_fit_its_volume_is_named(array: Any, words: str, dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", a__tif=boxes(7, 300), b__tif=array)
    with pytest.raises(UserError, match=words):
        list(evaluate_predictions(folder, dataset))


def test_orientation_origin_and_voxel_size_are_compared(textured: Textured, tmp_path: Path) -> None:
    sample = textured("a")

    def save(path: Path, array: Any, affine: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.asarray(array).T, affine), path)

    place = np.diag([1e-3, 5e-4, 2e-3, 1])
    for kind, array in (("images", sample.image.astype(np.uint16)), ("labels", boxes(1, 1))):
        save(tmp_path / "data" / "test" / kind / "a.nii", array, place)
    flipped = place @ np.diag([-1, 1, 1, 1])
    flipped[0, 3] = 11 * 1e-3  # the same place, stored from the other end of x
    save(tmp_path / "flipped" / "a.nii", boxes(1, 1)[:, :, ::-1], flipped)
    turned, notices = finished(tmp_path / "flipped", tmp_path / "data")
    assert turned.mean.dice == 1.0
    assert any("the labels were turned onto the image" in notice for notice in notices)
    oblique = place.copy()
    oblique[:2, :2] = [[8e-4, -3e-4], [6e-4, 4e-4]]
    save(tmp_path / "oblique" / "a.nii", boxes(1, 1), oblique)
    with pytest.raises(UserError, match=r"orientation of .*oblique.*a\.nii differs from that of its image"):
        list(evaluate_predictions(tmp_path / "oblique", tmp_path / "data"))
    moved = place @ np.diag([2, 1, 1, 1])
    moved[0, 3] = 0.1
    save(tmp_path / "moved" / "a.nii", boxes(1, 1), moved)
    _, notices = finished(tmp_path / "moved", tmp_path / "data")
    assert any("the voxel size of the image is used" in notice for notice in notices)
    assert any("origin" in notice for notice in notices)


def test_a_background_of_1_is_suspected_where_0_is_ignored(dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", a__tif=boxes(2, 2) + 1, b__tif=boxes(2, 2))
    _, notices = finished(folder, dataset, ignore_label=0)
    assert any("'a' has no voxel of 0" in notice for notice in notices)
    assert not any("'b' has no voxel of 0" in notice for notice in notices)


def test_settings_of_a_model_are_refused(dataset: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "p", a__tif=boxes(7, 300), b__tif=boxes(7, 300))
    with pytest.raises(UserError, match="without test-augmentation, threshold"):
        next(evaluate_predictions(folder, dataset, config=EvaluationConfig(threshold=0.4, test_augmentation="light")))
    assert finished(folder, dataset, config=EvaluationConfig(tolerance=3, figure_slices=2))[0].mean.dice == 1


class TestCommand:
    """``evaluate --predictions`` and the report about it."""

    def run(self, *tokens: object) -> int:
        return main([str(token) for token in tokens])

    def test_table_files_and_report(self, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        folder, out = predict(tmp_path / "other tool", a__tif=boxes(7, 300), b__tif=boxes(7, 0)), tmp_path / "out"
        options = ("--task", "instance", "--ignore-border-objects", "--tolerance", 0.5)
        assert self.run("evaluate", dataset, "--predictions", folder, "--out", out, *options) == 0
        table = capfd.readouterr().out
        assert "F1" in table.splitlines()[0]
        about = json.loads((out / "evaluation.json").read_text())
        assert (about["model"], about["predictions"], about["labels"]["task"]) == ("", str(folder), "instance")
        with (out / "metrics.csv").open(encoding="utf-8-sig", newline="") as file:
            assert [row["volume"] for row in csv.DictReader(file)] == ["a", "b", "mean"]

        assert self.run("report", "--evaluation", out, "--out", tmp_path / "report.html") == 0
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert f"The predictions are those in {folder}" in page
        assert "<h1>other tool</h1>" in page
        (command,) = [line for line in page.split("\n") if "evaluate" in line and "--predictions" in line]
        tokens = shlex.split(command.replace("<pre>", "").replace("</pre>", "").replace("&#39;", "'"))
        assert self.run(*tokens[1:]) == 0
        again = Path(tokens[tokens.index("--out") + 1])
        assert (again / "metrics.json").read_bytes() == (out / "metrics.json").read_bytes()

    @pytest.mark.parametrize(
        ("tokens", "words"),
        [
            (["evaluate", "D", "--out", "O"], "No dataset was given"),
            (["evaluate", "R", "D", "--predictions", "P", "--out", "O"], "--predictions takes no model"),
            (["evaluate", "R", "D", "--task", "instance", "--out", "O"], "are those of the model"),
            (["evaluate", "D", "--predictions", "P", "--out", "O"], "does not exist"),
            (["report", "--out", "p.html"], "No run was given"),
            (["report", "--dataset", "D", "--evaluation", "E", "--out", "p.html"], "No run was given"),
        ],
    )
    def test_what_does_not_go_together(self, tokens: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.run(*tokens) == 1
        told = capfd.readouterr().err
        assert words in told
        assert told.count("\n") == 1


def test_a_report_needs_a_run_or_an_evaluation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a run nor an evaluation"):
        write_report(None, tmp_path / "report.html")
