from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import ModelLoaded, Prediction, PredictionWritten, TilesPredicted
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.inference.write import write_prediction
from napari_unet3d.model.checkpoint import Checkpoint

CPU = PredictionConfig(device="cpu")


@pytest.fixture
def prediction() -> Prediction:
    probability = np.random.default_rng(0).random((3, 5, 7), dtype=np.float32)
    return Prediction("scan", (probability >= 0.5).astype(np.uint8), probability, Geometry((2.0, 0.5, 0.25)))


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".nii.gz", ".nii", ".npy", ".ome.zarr", ".nrrd", ".mha"])
def test_predictions_are_written_with_their_voxel_size_in_the_format_of_the_image(
    suffix: str, prediction: Prediction, tmp_path: Path
) -> None:
    source = tmp_path / "in" / f"scan.v2{suffix}"
    write_volume(source, np.zeros((3, 5, 7), np.uint16), (2.0, 0.5, 0.25))
    files = write_prediction(prediction, source, tmp_path / "out", probability=True)
    assert [path.name for path in files] == [f"scan.v2_labels{suffix}", f"scan.v2_probability{suffix}"]
    labels, probability = (read_volume(path) for path in files)
    np.testing.assert_array_equal(labels.array, prediction.labels)
    assert labels.array.dtype == np.uint8
    np.testing.assert_array_equal(probability.array, prediction.probability)
    assert probability.array.dtype == np.float32
    assert labels.voxel_size_um == pytest.approx((2.0, 0.5, 0.25))
    assert probability.voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


def test_a_nifti_prediction_keeps_the_affine_of_its_image(prediction: Prediction, tmp_path: Path) -> None:
    affine = np.array([[0, -0.25e-3, 0, 4.0], [0.5e-3, 0, 0, -7.0], [0, 0, 2e-3, 11.0], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.zeros((5, 7, 3), np.uint8), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "scan.nii.gz")
    sample = read_sample(tmp_path / "scan.nii.gz")
    probability = np.zeros(sample.shape, np.float32)
    result = Prediction("scan", probability.astype(np.uint8), probability, sample.geometry)
    for path in write_prediction(result, tmp_path / "scan.nii.gz", tmp_path / "out", probability=True):
        np.testing.assert_allclose(nibabel.load(path).affine, affine, atol=1e-9)


def test_probability_is_written_only_if_requested(prediction: Prediction, tmp_path: Path) -> None:
    files = write_prediction(prediction, tmp_path / "scan.tif", tmp_path / "out")
    assert files == [tmp_path / "out" / "scan_labels.tif"]
    assert list((tmp_path / "out").iterdir()) == files


def test_a_prediction_is_written_even_if_its_image_is_gone(prediction: Prediction, tmp_path: Path) -> None:
    (labels,) = write_prediction(prediction, tmp_path / "gone.nii.gz", tmp_path / "out")
    assert read_volume(labels).voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


def test_a_format_with_a_separate_header_becomes_its_single_file_variant(
    prediction: Prediction, tmp_path: Path
) -> None:
    (labels,) = write_prediction(prediction, tmp_path / "scan.mhd", tmp_path / "out")
    assert labels.name == "scan_labels.mha"


def test_an_earlier_prediction_is_replaced_elsewhere_but_not_next_to_the_image(
    prediction: Prediction, tmp_path: Path
) -> None:
    source = tmp_path / "scan.tif"
    write_volume(source, np.zeros((3, 5, 7), np.uint8))
    elsewhere, next_to_image = tmp_path / "out" / "scan_labels.tif", tmp_path / "scan_labels.tif"
    for path in (elsewhere, next_to_image):
        write_volume(path, np.full((3, 5, 7), 9, np.uint8))
    write_prediction(prediction, source, tmp_path / "out")
    np.testing.assert_array_equal(read_volume(elsewhere).array, prediction.labels)
    with pytest.raises(UserError, match=r"scan_labels\.tif already exists next to its image"):
        write_prediction(prediction, source, tmp_path / "out" / "..")
    assert (read_volume(next_to_image).array == 9).all()


def test_files_are_predicted_one_after_another(
    untrained: Callable[..., Checkpoint], textured: Callable[..., Sample], tmp_path: Path
) -> None:
    sources = []
    for name, shape in (("a.tif", (4, 6, 9)), ("b.nii.gz", (7, 4, 5))):
        sample = textured(shape=(8, 10, 12))
        write_volume(tmp_path / name, sample.image[tuple(map(slice, shape))], (3.0, 2.0, 1.0))
        sources.append(tmp_path / name)
    events = predict_files(untrained(), sources, tmp_path / "out", CPU)
    assert isinstance(next(events), ModelLoaded)
    assert next(events) == TilesPredicted(1, 1, 0, 2)
    first = next(events)
    assert isinstance(first, PredictionWritten)
    assert (first.n_written, first.n_volumes) == (1, 2)
    np.testing.assert_array_equal(read_volume(first.files[0]).array, first.prediction.labels)
    assert not (tmp_path / "out" / "b_labels.nii.gz").exists()
    tiles, second = events
    assert isinstance(tiles, TilesPredicted)
    assert tiles.n_volumes_done == 2
    assert isinstance(second, PredictionWritten)
    assert second.files == (tmp_path / "out" / "b_labels.nii.gz",)
    assert read_volume(second.files[0]).voxel_size_um == pytest.approx((3.0, 2.0, 1.0))


def test_files_that_would_be_overwritten_are_found_before_the_first_prediction(
    untrained: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    sources = [tmp_path / "one" / "scan.tif", tmp_path / "two" / "SCAN.tif"]
    for source in sources:
        write_volume(source, np.zeros((4, 5, 6), np.uint8))
    with pytest.raises(UserError, match=r"Two results are called '(SCAN|scan)_labels\.tif'"):
        next(predict_files(untrained(), sources, tmp_path / "out", CPU))
    write_volume(tmp_path / "two" / "SCAN_probability.tif", np.zeros((4, 5, 6), np.uint8))
    with pytest.raises(UserError, match="next to its image"):
        next(predict_files(untrained(), sources[1:], tmp_path / "two", CPU, probability=True))
    assert not (tmp_path / "out").exists()
