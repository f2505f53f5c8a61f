"""A voxel size that is given counts where a file has none, in training, checks, prediction and evaluation."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_unet3d import PredictionConfig, TrainingConfig, predict, train
from napari_unet3d.cli import main
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.training.preflight import preflight

LABELS = np.zeros((8, 16, 16), np.uint8)
LABELS[2:6, 4:12, 4:12] = 1
GIVEN = (2.0, 0.5, 0.25)
SMALL = {"preset": "xxsmall", "epochs": 1, "device": "cpu", "val_fraction": 0}


@pytest.mark.parametrize(
    ("own", "result", "said"),
    [
        (Geometry(), GIVEN, "is unknown; with the given one, 2 × 0.5 × 0.25 µm, it is taken as 2 × 0.5 × 0.25 µm"),
        (Geometry((None, 3.0, 3.0)), (2.0, 3.0, 3.0), "it is taken as 2 × 3 × 3 µm"),
        (Geometry((4.0, 1.0, 1.0), is_um=False), GIVEN, "4 × 1 × 1 without a unit"),
        (Geometry((1.0, 1.0, 1.0)), (1.0, 1.0, 1.0), "is used for volumes without a voxel size only"),
        (Geometry(GIVEN), GIVEN, ""),
    ],
)
def test_what_a_file_says_is_kept_and_the_rest_is_filled(own: Geometry, result: tuple, said: str) -> None:
    sample = with_voxel_size(Sample("a", LABELS, geometry=own), GIVEN)
    assert sample.voxel_size_um == result
    assert any(said in notice for notice in sample.notices) if said else not sample.notices
    assert with_voxel_size(sample, GIVEN).notices == sample.notices
    assert with_voxel_size(sample, None) is sample


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name, subset in (("a", Subset.TRAIN), ("b", Subset.TRAIN), ("t", Subset.TEST)):
        image = (LABELS * 100 + np.random.default_rng(ord(name)).integers(0, 20, LABELS.shape)).astype(np.uint8)
        add_sample(tmp_path / "dataset", Sample(name, image, LABELS), subset)
    return tmp_path / "dataset"


def test_training_prediction_and_checks_use_it(dataset: Path, tmp_path: Path) -> None:
    config = TrainingConfig(**SMALL, voxel_size=GIVEN, spacing=("median",))
    *_, result = preflight(dataset, config, timed=False)
    assert not any("voxel size of" in issue.message and "in voxels" in issue.message for issue in result.issues)
    started = next(event for event in train(dataset, tmp_path / "run", config) if type(event).__name__ == "RunStarted")
    assert started.plan.spacing_um == GIVEN
    list(train(dataset, tmp_path / "run", config, overwrite=True))
    *_, prediction = predict(
        tmp_path / "run", dataset / "test/images/t.tif", PredictionConfig(voxel_size=GIVEN, device="cpu")
    )
    assert prediction.voxel_size_um == GIVEN


def test_the_command_takes_it_and_volumes_inside_files(
    dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ["--preset", "xxsmall", "--epochs", "1", "--device", "cpu", "--val-fraction", "0"]
    settings += ["--voxel-size", "2", "0.5", "0.25"]
    assert main(["train", str(dataset), "--run", str(tmp_path / "run"), *settings]) == 0
    assert "it is taken as 2 × 0.5 × 0.25 µm" in capfd.readouterr().err
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"] = LABELS * 100
        file["volumes/labels"] = LABELS
    arguments = ["predict", str(tmp_path / "run"), str(tmp_path / "a.h5" / "volumes" / "raw"), "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--voxel-size", "2", "0.5", "0.25"]) == 0
    assert read_volume(tmp_path / "out" / "a_volumes_raw_labels.h5").voxel_size_um == GIVEN
    assert main([*arguments[:2], str(tmp_path / "a.h5" / "row"), "--out", str(tmp_path / "out")]) == 1
    assert "has no volume 'row'; it holds volumes/labels" in capfd.readouterr().err
    assert main(["train", str(dataset), "--run", str(tmp_path / "r2"), "--voxel-size", "0", "1", "1"]) == 1
    assert "choose a value from 0.0001" in capfd.readouterr().err


def test_a_folder_of_slices_is_predicted(tmp_path: Path, dataset: Path) -> None:
    list(train(dataset, tmp_path / "run", TrainingConfig(**SMALL)))
    import tifffile

    (tmp_path / "brain").mkdir()
    for number, plane in enumerate(LABELS):
        tifffile.imwrite(tmp_path / "brain" / f"z{number}.tif", plane * 100)
    arguments = ["predict", str(tmp_path / "run"), str(tmp_path / "brain"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert read_volume(tmp_path / "out" / "brain_labels.tif").array.shape == LABELS.shape


def test_hdf5_keeps_what_it_can(tmp_path: Path) -> None:
    geometry = Geometry((None, 0.5, 0.5), origin=None)
    write_volume(tmp_path / "a.h5", LABELS, geometry=geometry)
    assert read_volume(tmp_path / "a.h5").voxel_size_um == (None, 0.5, 0.5)
