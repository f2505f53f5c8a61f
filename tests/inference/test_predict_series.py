"""Series in time through training, prediction and evaluation of files: (t, z, y, x) in, (t, z, y, x) out."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.cli import main
from napari_unet3d.configs import EvaluationConfig, PredictionConfig, TrainingConfig
from napari_unet3d.data.dataset import create_dataset
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.reading import read_image
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series_files import write_series
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.evaluate_predictions import evaluate_predictions
from napari_unet3d.inference.events import EvaluationFinished, Prediction, PredictionWritten, TilesPredicted
from napari_unet3d.inference.predict import predict, predict_files
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.training.events import Preflight, RunStarted, TrainingFinished
from napari_unet3d.training.preflight import check_then_train, preflight

Untrained = Callable[..., Checkpoint]
Textured = Callable[..., Sample]
CPU = PredictionConfig(device="cpu")
PLACE = Geometry((2.0, 0.5, 1.0))
N_TIMES = 3


def film(textured: Textured, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A box that moves; (t, z, y, x) of image and labels."""
    samples = [textured(seed=seed + time) for time in range(N_TIMES)]
    images = np.stack([np.roll(sample.image, time, -1) for time, sample in enumerate(samples)])
    labels = np.stack([np.roll(np.asarray(sample.labels), time, -1) for time, sample in enumerate(samples)])
    return images, (labels > 0).astype(np.uint8)


@pytest.fixture
def dataset(textured: Textured, tmp_path: Path) -> Path:
    folder = create_dataset(tmp_path / "data")
    for subset, name, seed in (("train", "a", 0), ("train", "b", 10), ("test", "t", 20)):
        image, labels = film(textured, seed)
        write_series(folder / subset / "images" / f"{name}.tif", image, PLACE, 30.0)
        write_series(folder / subset / "labels" / f"{name}.tif", labels, PLACE)
    return folder


def test_a_dataset_of_series_is_trained_on_with_whole_series_on_each_side(dataset: Path, tmp_path: Path) -> None:
    config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu", val_fraction=0.5)

    *events, finished = check_then_train(dataset, tmp_path / "run", config)

    (started,) = (event for event in events if isinstance(event, RunStarted))
    sides = [{name.split()[0] for name in names} for names in (started.train_names, started.val_names)]
    assert sorted(map(len, (started.train_names, started.val_names))) == [N_TIMES, N_TIMES]
    assert not sides[0] & sides[1]
    assert isinstance(finished, TrainingFinished)
    assert read_image(dataset / "test" / "images" / "t.tif").time_step_s == 30


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".nii.gz", ".npy", ".ome.zarr", ".h5"])
def test_a_series_becomes_one_file_with_its_place_and_step(
    untrained: Untrained, textured: Textured, tmp_path: Path, suffix: str
) -> None:
    image, model, place = film(textured)[0], untrained(), PLACE
    if suffix in (".nii.gz", ".npy"):
        place = make_geometry((2.0, 0.5, 1.0), np.diag([-1.0, 1.0, 1.0]), (1.0, 2.0, 3.0), "NIfTI")
    write_series(tmp_path / f"film{suffix}", image, place, 30.0)

    *events, written = predict_files(model, [tmp_path / f"film{suffix}"], tmp_path / "out", CPU, probability=True)

    assert isinstance(written, PredictionWritten)
    assert [file.name for file in written.files] == [f"film_labels{suffix}", f"film_probability{suffix}"]
    assert (written.n_times, written.prediction.name) == (N_TIMES, "film")
    labels, probability = map(read_image, written.files)
    assert (labels.axes, labels.array.shape, labels.time_step_s) == ("tzyx", image.shape, 30)
    assert labels.geometry.orientation == place.orientation
    assert labels.geometry.origin == (None if place.origin is None else pytest.approx(place.origin))
    assert labels.voxel_size_um == pytest.approx((2.0, 0.5, 1.0))
    for time in range(N_TIMES):
        *_, alone = predict(model, Sample("alone", image[time], geometry=place), CPU)
        assert isinstance(alone, Prediction)
        np.testing.assert_array_equal(labels.array[time], alone.labels)
        np.testing.assert_array_equal(probability.array[time], alone.probability)
    done = [event.n_volumes_done for event in events if isinstance(event, TilesPredicted)]
    assert done == pytest.approx([1 / 3, 2 / 3, 1])
    assert {path.name for path in (tmp_path / "out").iterdir() if not path.name.endswith(".json")} == {
        file.name for file in written.files
    }


def test_several_channels_and_time_points(untrained: Untrained, textured: Textured, tmp_path: Path) -> None:
    import tifffile

    image = film(textured)[0]
    both = np.stack([image, image[:, ::-1]], axis=1).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", both, ome=True, metadata={"axes": "TCZYX"}, photometric="minisblack")
    model = untrained()

    *_, written = predict_files(
        model, [tmp_path / "a.ome.tif"], tmp_path / "out", CPU.model_copy(update={"channels": ("2",)})
    )

    assert isinstance(written, PredictionWritten)
    labels = read_image(written.files[0])
    assert labels.array.shape == image.shape
    *_, alone = predict(model, Sample("alone", both[1, 1]), CPU)
    assert isinstance(alone, Prediction)
    np.testing.assert_array_equal(labels.array[1], alone.labels)


def test_frames_of_an_unnamed_array_are_time_only_when_the_user_says_so(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    image = film(textured)[0]
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(UserError, match="has 3 channels"):
        list(predict_files(untrained(), [tmp_path / "a.npy"], tmp_path / "out", CPU))

    told = PredictionConfig(device="cpu", fourth_axis="time-points")
    *_, written = predict_files(untrained(), [tmp_path / "a.npy"], tmp_path / "out", told)

    assert isinstance(written, PredictionWritten)
    assert read_image(written.files[0]).axes == "tzyx"


def test_a_time_point_that_cannot_be_predicted_is_named_and_nothing_is_left(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    image = film(textured)[0].astype(np.float32)
    image[2, 0, 0, 0] = np.nan
    write_series(tmp_path / "a.tif", image, PLACE)

    with pytest.raises(UserError, match=r"Time point 2 of 3 of a\.tif could not be predicted: .* NaN"):
        list(predict_files(untrained(), [tmp_path / "a.tif"], tmp_path / "out", CPU))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_stopped_prediction_of_a_series_leaves_nothing(
    untrained: Untrained, textured: Textured, tmp_path: Path
) -> None:
    write_series(tmp_path / "a.tif", film(textured)[0], PLACE)
    events = predict_files(untrained(), [tmp_path / "a.tif"], tmp_path / "out", CPU)
    tiles = [event for event in (next(events) for _ in range(4)) if isinstance(event, TilesPredicted)]
    assert tiles
    events.close()  # type: ignore[attr-defined]
    assert list((tmp_path / "out").iterdir()) == []


def test_each_time_point_is_scored_and_named(dataset: Path, untrained: Untrained, tmp_path: Path) -> None:
    *_, finished = evaluate(untrained(), dataset, out=tmp_path / "out", config=EvaluationConfig(device="cpu"))

    assert isinstance(finished, EvaluationFinished)
    assert [scores.name for scores in finished.volumes] == ["t t=0", "t t=1", "t t=2"]
    with open(tmp_path / "out" / "errors.csv", encoding="utf-8") as file:
        assert {next(iter(row.values())) for row in csv.DictReader(file)} <= {"t t=0", "t t=1", "t t=2"}
    with open(tmp_path / "out" / "metrics.csv", encoding="utf-8") as file:
        assert {"t t=0", "t t=1", "t t=2"} <= {next(iter(row.values())) for row in csv.DictReader(file)}
    assert (tmp_path / "out" / "predictions" / "t t=1_labels.tif").exists()


def test_predictions_of_series_that_are_files_are_scored(dataset: Path, tmp_path: Path) -> None:
    labels = read_image(dataset / "test" / "labels" / "t.tif").array
    wrong = labels.copy()
    wrong[1] = 0
    write_series(tmp_path / "series" / "t_labels.nii.gz", wrong, PLACE)
    for time in range(N_TIMES):
        write_volume(tmp_path / "single" / f"t t={time}_labels.tif", wrong[time], geometry=PLACE)

    for folder in ("series", "single"):
        *events, finished = evaluate_predictions(tmp_path / folder, dataset)
        assert isinstance(finished, EvaluationFinished)
        assert [scores.dice for scores in finished.volumes] == [1, 0, 1]
        assert not [event for event in events if isinstance(event, Notice)]


def test_the_command_predicts_a_series(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], untrained: Untrained
) -> None:
    options = ["--epochs", "1", "--device", "cpu", "--val-fraction", "0.5"]
    assert main(["train", str(dataset), "--run", str(tmp_path / "run"), *options]) == 0
    capsys.readouterr()

    image = dataset / "test" / "images" / "t.tif"
    assert main(["predict", str(tmp_path / "run"), str(image), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0

    out = capsys.readouterr().out
    assert out.splitlines() == [str(tmp_path / "out" / "t_labels.tif")]
    assert read_image(out.strip()).array.shape == read_image(image).array.shape
    assert (
        main(["train", str(dataset), "--run", str(tmp_path / "other"), *options, "--split-time-points", "--check"]) == 0
    )
    assert "Time points of the series 'a' are used for both training and validation" in capsys.readouterr().out


def test_the_only_series_is_split_in_space_and_the_check_says_so(textured: Textured, tmp_path: Path) -> None:
    labels = np.zeros((N_TIMES, 60, 24, 24), np.uint8)
    labels[:, 4:12, 4:9, 4:9] = labels[:, 48:56, 4:9, 4:9] = 1
    folder = create_dataset(tmp_path)
    noise = np.random.default_rng(0).integers(0, 50, labels.shape)
    write_series(folder / "train" / "images" / "a.tif", (labels * 100 + noise).astype(np.uint8), PLACE)
    write_series(folder / "train" / "labels" / "a.tif", labels, PLACE)
    *_, checked = preflight(folder, TrainingConfig(preset="xxsmall", device="cpu", val_fraction=0.3), timed=False)

    assert isinstance(checked, Preflight)
    (found,) = (issue.message for issue in checked.issues if "validation, from voxel" in issue.message)
    assert found.startswith("'a' is the only series, so a block of each time point is used for validation, from voxel")
