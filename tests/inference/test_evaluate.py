from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.spatial.transform import Rotation

from napari_unet3d.configs import Axis, EvaluationConfig, Task, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.events import EvaluationFinished, ModelLoaded, TilesPredicted, VolumeEvaluated
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import LabelClass, Plan

Untrained = Callable[..., Checkpoint]
Textured = Callable[..., Sample]
CPU = EvaluationConfig(device="cpu")


@pytest.fixture
def dataset(textured: Textured, tmp_path: Path) -> Path:
    for number, voxel_size_um in enumerate([(1.0, 1.0, 1.0), (2.0, 0.5, 1.0), (0.3, 0.2, 0.1)], start=1):
        sample = textured(f"scan {number}", (4 + number, 9, 12), voxel_size_um, seed=number)
        add_sample(tmp_path / "dataset", sample, Subset.TEST)
    add_sample(tmp_path / "dataset", textured("never tested"), Subset.TRAIN)
    return tmp_path / "dataset"


def test_every_file_agrees_with_prediction_and_ground_truth(
    untrained: Untrained, textured: Textured, dataset: Path, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "run" / "model.safetensors", untrained())
    loaded, *between, finished = evaluate(tmp_path / "run", dataset, out=tmp_path / "out", config=CPU)
    assert isinstance(loaded, ModelLoaded)
    assert isinstance(finished, EvaluationFinished)
    tiles, volumes = between[::2], between[1::2]
    assert tiles == [TilesPredicted(1, 1, number, 3) for number in range(3)]
    assert len(volumes) == 3
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for number, event in enumerate(volumes, start=1):
        assert isinstance(event, VolumeEvaluated)
        assert (event.n_evaluated, event.n_volumes) == (number, 3)
        source = dataset / "test" / "images" / f"scan {number}.tif"
        truth = read_volume(dataset / "test" / "labels" / f"scan {number}.tif").array > 0
        *_, prediction = predict(untrained(), source, CPU)
        labels = read_volume(tmp_path / "out" / "predictions" / f"scan {number}_labels.tif")
        difference = read_volume(tmp_path / "out" / "differences" / f"scan {number}_difference.tif")
        np.testing.assert_array_equal(labels.array, prediction.labels)
        np.testing.assert_array_equal(event.prediction.labels, prediction.labels)
        np.testing.assert_array_equal(difference.array == 1, (labels.array > 0) & ~truth)
        np.testing.assert_array_equal(difference.array == 2, (labels.array == 0) & truth)
        assert difference.array.dtype == labels.array.dtype == np.uint8
        expected_size = read_volume(source).voxel_size_um
        assert labels.voxel_size_um == difference.voxel_size_um == expected_size
        expected = score(
            labels.array, GroundTruth(truth.astype(np.uint8)), f"scan {number}", read_volume(source).geometry
        )
        assert event.scores == expected
        assert metrics["volumes"][number - 1] == expected.as_dict()
        assert imread(tmp_path / "out" / "figures" / f"scan {number}.png").std() > 0.1
    assert list(metrics) == ["volumes", "mean"]
    with (tmp_path / "out" / "metrics.csv").open(encoding="utf-8-sig", newline="") as file:
        *rows, mean_row = csv.DictReader(file)
    for row, volume in zip([*rows, mean_row], [*metrics["volumes"], {"name": "mean", **metrics["mean"]}], strict=True):
        assert row.pop("volume") == volume["name"]
        assert row.pop("distance_unit") == volume["distance_unit"] == "µm"
        assert row.pop("seen_in") == volume["seen_in"] == "unknown"
        assert {name: float(cell) for name, cell in row.items()} == {name: volume[name] for name in row}
    assert list(metrics["volumes"][0]) == [
        "name",
        "dice",
        "iou",
        "precision",
        "recall",
        "hd95",
        "nsd",
        "distance_unit",
        "seen_in",
    ]
    assert metrics["mean"].pop("distance_unit") == "µm"
    assert metrics["mean"].pop("seen_in") == "unknown"
    for name, mean in metrics["mean"].items():
        assert mean == pytest.approx(np.mean([volume[name] for volume in metrics["volumes"]]))
    assert finished.metrics_file == tmp_path / "out" / "metrics.json"
    assert [figure.name for figure in finished.figures] == ["scan 1.png", "scan 2.png", "scan 3.png"]
    assert finished.volumes == tuple(event.scores for event in volumes if isinstance(event, VolumeEvaluated))


def test_results_remain_if_the_evaluation_is_stopped(untrained: Untrained, dataset: Path, tmp_path: Path) -> None:
    with closing(evaluate(untrained(), dataset, out=tmp_path / "out", config=CPU)) as events:
        assert isinstance(next(events), ModelLoaded)
        assert isinstance(next(events), TilesPredicted)
        assert not (tmp_path / "out").exists()
        first = next(events)
    assert isinstance(first, VolumeEvaluated)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics == {"volumes": [first.scores.as_dict()], "mean": first.scores.numbers()}
    files = sorted(
        path.name for path in (tmp_path / "out").rglob("*") if path.is_file() and path.parent.name != "errors"
    )
    tables = ["errors.csv", "evaluation.json", "metrics.csv", "metrics.json"]
    assert files == [*tables, "scan 1.png", "scan 1_difference.tif", "scan 1_labels.tif"]


def test_uncertainty_is_written_beside_the_predictions(untrained: Untrained, dataset: Path, tmp_path: Path) -> None:
    config = CPU.model_copy(update={"uncertainty": True})
    _, *events, _ = evaluate(untrained(), dataset, out=tmp_path / "out", config=config)
    volumes = [event for event in events if isinstance(event, VolumeEvaluated)]
    assert len(volumes) == 3
    for event in volumes:
        written = read_volume(tmp_path / "out" / "predictions" / f"{event.scores.name}_uncertainty.tif")
        np.testing.assert_array_equal(written.array, event.prediction.uncertainty)
        assert written.array.any()
        assert written.voxel_size_um == event.prediction.voxel_size_um


def test_results_before_a_damaged_volume_are_kept(untrained: Untrained, dataset: Path, tmp_path: Path) -> None:
    (dataset / "test" / "images" / "scan 2.tif").write_bytes(b"II*\0 cut off")
    events = evaluate(untrained(), dataset, out=tmp_path / "out", config=CPU)
    with pytest.raises(UserError, match=r"scan 2\.tif"):
        list(events)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [volume["name"] for volume in metrics["volumes"]] == ["scan 1"]


def test_samples_are_evaluated_and_nothing_is_written_without_a_folder(
    untrained: Untrained, textured: Textured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = Sample("empty", textured().image, np.zeros((5, 9, 12), bool))
    *_, _tiles, second, finished = evaluate(untrained(), [textured(), empty], config=CPU)
    assert isinstance(second, VolumeEvaluated)
    assert isinstance(finished, EvaluationFinished)
    assert [scores.name for scores in finished.volumes] == ["textured", "empty"]
    assert finished.volumes[1].dice == 0
    assert (finished.metrics_file, finished.figures) == (None, ())
    np.testing.assert_array_equal(second.image, empty.image)
    assert list(tmp_path.iterdir()) == []


def test_layer_names_become_file_names_and_clashes_are_refused(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    list(evaluate(untrained(), [textured("a/b: $x$")], out=tmp_path / "out", config=CPU))
    assert (tmp_path / "out" / "figures" / "a_b_ $x$.png").is_file()
    with pytest.raises(UserError, match="Two test volumes are called 'A_b'"):
        next(evaluate(untrained(), [textured("a/b"), textured("A_b")], out=tmp_path / "clash", config=CPU))
    assert not (tmp_path / "clash").exists()


def test_test_volumes_need_labels(untrained: Untrained, textured: Textured, dataset: Path) -> None:
    with pytest.raises(UserError, match="'bare' has no labels"):
        next(evaluate(untrained(), [textured(), Sample("bare", textured().image)], config=CPU))
    (dataset / "test" / "labels" / "scan 3.tif").unlink()
    with pytest.raises(UserError, match=r"test/labels has no partner for scan 3\.tif"):
        next(evaluate(untrained(), dataset, config=CPU))


def test_an_empty_test_set_is_reported(untrained: Untrained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no test volumes"):
        next(evaluate(untrained(), [], config=CPU))
    with pytest.raises(UserError, match="test contains no volumes"):
        next(evaluate(untrained(), create_dataset(tmp_path / "dataset"), config=CPU))
    with pytest.raises(UserError, match="not a dataset"):
        next(evaluate(untrained(), tmp_path, config=CPU))


def test_notices_report_pairs_matched_by_order_and_voxel_sizes(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    write_volume(tmp_path / "test" / "images" / "x.tif", textured().image, (1, 1, 1))
    write_volume(tmp_path / "test" / "labels" / "y.tif", textured().labels, (1, 1, 1))
    events = evaluate(untrained(voxel_size_um=(9.0, 1.0, 1.0)), tmp_path, config=CPU)
    by_order, voxel_size = (event.message for event in events if isinstance(event, Notice))
    assert "x.tif" in by_order
    assert "9 × 1 × 1 µm" in voxel_size


def test_the_seed_determines_the_test_augmentation(untrained: Untrained, textured: Textured) -> None:
    def volumes(**values: object) -> list[VolumeEvaluated]:
        config = EvaluationConfig(device="cpu", **values)  # type: ignore[arg-type]
        events = evaluate(untrained(), [textured("a"), textured("b")], config=config)
        return [event for event in events if isinstance(event, VolumeEvaluated)]

    plain = volumes()
    first, again, other = (volumes(test_augmentation="heavy", seed=seed) for seed in (1, 1, 2))
    for event, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(event.image, same.image)
        np.testing.assert_array_equal(event.truth.labels, same.truth.labels)
    assert [event.scores for event in first] == [event.scores for event in again]
    assert not np.array_equal(first[0].image, plain[0].image)
    assert not np.array_equal(first[0].image, first[1].image)  # the two samples differ only in their names
    assert not np.array_equal(first[0].image, other[0].image)
    # Image and ground truth are augmented together: the box is still the bright part.
    for event in first:
        assert event.image[event.truth.labels > 0].mean() > event.image[event.truth.labels == 0].mean() + 50


def test_the_figure_shows_slices_along_the_requested_axis(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    for axis in Axis:
        config = EvaluationConfig(device="cpu", figure_axis=axis)
        list(evaluate(untrained(), [textured(voxel_size_um=(1.0, 1.0, 1.0))], out=tmp_path / axis, config=config))
    pictures = [imread(tmp_path / axis / "figures" / "textured.png") for axis in Axis]
    assert len({picture.shape for picture in pictures}) == 3  # the sides of the volume are all different


def of_task(task: Task, ignore_label: int | None = None) -> Checkpoint:
    """A model with initial weights whose task and label convention are given; classes are 7, 300 and one more."""
    config = TrainingConfig(task=task, ignore_label=ignore_label)
    classes = (LabelClass(value=7, name="core"), LabelClass(value=300, name="shell"), LabelClass(value=301, name="x"))
    plan = Plan(
        task=task, ignore_label=ignore_label, strides=((2, 2, 2),), classes=classes if task is Task.SEMANTIC else ()
    )
    return Checkpoint(config, build_network(config, plan).state_dict(), 1, plan=plan)


@pytest.mark.parametrize("ignore_label", [None, 0, 255, -1])
@pytest.mark.parametrize("task", list(Task))
def test_labels_are_decoded_and_scored_with_the_settings_of_the_model(
    task: Task, ignore_label: int | None, textured: Textured, tmp_path: Path
) -> None:
    sample = textured()
    labels = np.asarray(sample.labels).copy()
    labels[:, :, :2] = 1  # background, or an object
    sample = Sample("painted", sample.image, labels, sample.voxel_size_um)
    config = EvaluationConfig(device="cpu", tolerance=0.6)
    _, *_, event, finished = evaluate(of_task(task, ignore_label), [sample], out=tmp_path / "out", config=config)
    assert isinstance(event, VolumeEvaluated)
    assert isinstance(finished, EvaluationFinished)
    truth = decode_labels(labels, task, ignore_label)
    names = {7: "core", 300: "shell", 301: "x"} if task is Task.SEMANTIC else {}
    options = MetricOptions(task, names, tolerance=0.6)
    predicted = event.prediction.labels
    assert event.scores == score(predicted, truth, "painted", sample.geometry, options)
    np.testing.assert_array_equal(event.truth.labels, truth.labels)
    difference = read_volume(tmp_path / "out" / "differences" / "painted_difference.tif").array
    annotated = labels != (labels.max() + 1 if ignore_label is None else ignore_label)
    np.testing.assert_array_equal(difference == 1, annotated & (predicted > 0) & (truth.labels == 0))
    np.testing.assert_array_equal(difference == 2, annotated & (predicted == 0) & (truth.labels > 0))
    wrong = annotated & (predicted > 0) & (truth.labels > 0) & (predicted != truth.labels)
    np.testing.assert_array_equal(difference == 3, wrong & (task is Task.SEMANTIC))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert metrics["mean"] == finished.mean.numbers()
    assert ("instances" in metrics["mean"]) == (task is Task.INSTANCE)
    assert ("classes" in metrics["mean"]) == (task is Task.SEMANTIC)


def test_augmentation_transforms_ids_and_label_mask_together(textured: Textured) -> None:
    sample = textured(shape=(6, 9, 12))
    labels = np.asarray(sample.labels).astype(np.uint64)
    labels[labels == 300] = 2**40  # more than a float32 can represent
    labels[1:4, 2:7, :3] = 1
    sample = Sample("few", np.where(labels > 0, 1000 + labels % 1000, 0).astype(np.uint16), labels)
    config = EvaluationConfig(device="cpu", test_augmentation="light", seed=3)
    model = of_task(Task.INSTANCE, 0)
    [event] = [event for event in evaluate(model, [sample], config=config) if isinstance(event, VolumeEvaluated)]
    assert not np.array_equal(event.image, sample.image), "the seed changes nothing; take another one"
    assert event.truth.label_mask is not None
    np.testing.assert_array_equal(event.truth.label_mask, event.image > 0)
    intensity = {0: 0, 1: 1001, 7: 1007, 2**40: 1000 + 2**40 % 1000}
    for value in (7, 2**40):
        np.testing.assert_array_equal(event.truth.labels == value, event.image == intensity[value])
    assert set(np.unique(event.truth.labels)) == {0, 7, 2**40}


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


OBLIQUE = Rotation.from_euler("xyz", [20, 5, 3], degrees=True).as_matrix()


@pytest.mark.parametrize(
    ("suffix", "result", "geometry"),
    [
        (".nii.gz", ".nii.gz", make_geometry((2.0, 0.5, 1.0), OBLIQUE, (100.0, 50.0, 7.0), "NIfTI", space="scanner")),
        (".nrrd", ".nrrd", make_geometry((2.0, 0.5, 1.0), np.diag([-1, 1, 1]), (1.0, 2.0, 3.0), "ITK")),
        (".mha", ".mha", make_geometry((2.0, 0.5, 1.0), OBLIQUE, (1.0, 2.0, 3.0), "ITK")),
        (".ome.zarr", ".ome.zarr", Geometry((2.0, 0.5, 1.0), origin=(60.9, 52.1, 100.0), frame="OME-Zarr")),
        (".npy", ".npy", Geometry((None, 0.5, 1.0))),
        (".mrc", ".mrc", Geometry((2.0, 0.5, 1.0))),
        (".tif", ".tif", Geometry()),
        (".ome.tif", ".ome.tif", Geometry((None, 0.5, 1.0))),
    ],
)
def test_results_have_format_and_place_of_the_image(
    untrained: Untrained, textured: Textured, tmp_path: Path, suffix: str, result: str, geometry: Geometry
) -> None:
    sample = textured().at(geometry)
    for kind, array in (("images", sample.image), ("labels", sample.labels)):
        write_volume(tmp_path / "d" / "test" / kind / f"scan{suffix}", array, geometry=geometry)
    config = CPU.model_copy(update={"uncertainty": True})
    *events, finished = evaluate(untrained(), tmp_path / "d", out=tmp_path / "out", config=config)
    assert not [event for event in events if isinstance(event, Notice) and "instead of" in event.message]
    image = read_volume(tmp_path / "d" / "test" / "images" / f"scan{suffix}").geometry
    for name in ("predictions/scan_labels", "predictions/scan_uncertainty", "differences/scan_difference"):
        assert read_volume(tmp_path / "out" / f"{name}{result}").geometry == image
    assert isinstance(finished, EvaluationFinished)
    assert finished.mean.distance_unit == ("µm" if geometry.is_calibrated else "voxels")
    row = rows_of(tmp_path / "out" / "metrics.csv")[0]
    assert row["distance_unit"] == finished.mean.distance_unit


def test_another_format_is_used_with_a_notice_where_that_of_the_image_cannot_hold_its_place(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    """A sample from elsewhere has no file, and TIFF no orientation."""
    sample = textured().at(make_geometry((2.0, 0.5, 1.0), OBLIQUE, (1.0, 2.0, 3.0), "napari"))
    events = list(evaluate(untrained(), [sample], out=tmp_path, config=CPU))
    (notice,) = [event.message for event in events if isinstance(event, Notice) and "instead of" in event.message]
    assert notice.startswith("textured: Results are written as .nii.gz instead of .tif, which holds no")
    written = read_volume(tmp_path / "predictions" / "textured_labels.nii.gz").geometry
    np.testing.assert_allclose(written.directions, OBLIQUE.T, atol=1e-6)
    assert not list(tmp_path.rglob("*.tif"))


def test_volumes_with_and_without_a_voxel_size_have_no_mean_distance(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    samples = [textured("sized"), textured("plain").at(Geometry())]
    *_, finished = evaluate(untrained(), samples, out=tmp_path, config=CPU)
    assert isinstance(finished, EvaluationFinished)
    assert [scores.distance_unit for scores in finished.volumes] == ["µm", "voxels"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [metrics["mean"][name] for name in ("hd95", "nsd", "distance_unit")] == [None, None, None]
    assert metrics["mean"]["dice"] == pytest.approx(np.mean([scores.dice for scores in finished.volumes]))
    rows = rows_of(tmp_path / "metrics.csv")
    assert [row["distance_unit"] for row in rows] == ["µm", "voxels", ""]
    assert rows[2]["hd95"] == rows[2]["nsd"] == ""
