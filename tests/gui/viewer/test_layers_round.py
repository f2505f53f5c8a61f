"""From a layer to a model, its prediction, the layer and the file of that, and back: the place stays exactly."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from scipy.spatial.transform import Rotation

from napari_unet3d import PredictionConfig, TrainingConfig, train
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.prediction_job import predict_sample
from napari_unet3d.widgets.predict.show import show_comparison_of_layer
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layers import show_sample, spatial_kwargs
from napari_unet3d.widgets.viewer.places import source_file

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # of napari, for oblique layers in 2D
SHAPE = (8, 9, 10)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2:6, 2:7, 3:8] = 1
IMAGE = LABELS * np.uint8(100) + np.random.default_rng(0).integers(0, 30, SHAPE).astype(np.uint8)
OBLIQUE = Rotation.from_euler("xyz", [20, 5, 3], degrees=True).as_matrix()
CPU = PredictionConfig(device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained for one step on layers, whose labels are turned onto their image."""
    viewer = ViewerModel()
    image = viewer.add_image(IMAGE, scale=(2, 1, 1), translate=(7, 0, 0), units="um")
    labels = viewer.add_labels(LABELS[::-1], scale=(-2, 1, 1), translate=(7 + 2 * 7, 0, 0), units="um")
    sample = sample_from_layers(image, labels)
    np.testing.assert_array_equal(sample.labels, LABELS)
    run = tmp_path_factory.mktemp("run")
    config = TrainingConfig(preset="xxsmall", epochs=1, steps_per_epoch=1, device="cpu", val_fraction=0)
    notices = [event.message for event in train([sample], run, config) if isinstance(event, Notice)]
    assert any("turned onto" in notice for notice in notices), notices
    return run


@st.composite
def transforms(draw: st.DrawFn) -> dict[str, Any]:
    """Return the spatial properties of a layer: signed scale, rotation, shear, translation, affine, unit."""
    lengths = st.floats(0.1, 9).map(lambda length: round(length, 3))
    scale = [draw(lengths) * draw(st.sampled_from([1, 1, -1])) for _ in "zyx"]
    turns = [np.eye(3), OBLIQUE, *(turn.as_matrix().round() for turn in Rotation.create_group("O"))]
    affine = np.eye(4)
    affine[:3, :3] = draw(st.sampled_from(turns))
    affine[:3, 3] = [draw(st.floats(-50, 50)) for _ in "zyx"]
    return {
        "scale": scale,
        "translate": [draw(st.floats(-50, 50)) for _ in "zyx"],
        "rotate": draw(st.sampled_from(turns)),
        "shear": draw(st.sampled_from([(0, 0, 0), (0, 0, 0), (0.2, 0, 0)])),
        "affine": affine,
        "units": draw(st.sampled_from(["um", "nm", "mm", "pixel"])),
    }


def assert_same_place(one: Any, other: Any) -> None:
    for voxel in ((0, 0, 0), (7, 0, 0), (0, 8, 0), (1, 2, 9)):
        points = [np.array(each.data_to_world(voxel)) * _um(each) for each in (one, other)]
        extent = np.abs(one.extent.world * _um(one)).max()
        np.testing.assert_allclose(*points, rtol=1e-5, atol=1e-6 * extent)


def _um(layer: Any) -> float:
    return {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "pixel": 1.0}[str(layer.units[-1])]


def labels_in(folder: Path) -> list[Path]:
    """Return the files of labels, without the files beside ``.npy`` that hold their place."""
    return [path for path in folder.glob("scan_labels*") if path.suffix != ".json"]


def numbers(geometry: Geometry) -> tuple[Any, Any, Any]:
    origin, directions = geometry.origin or (0.0, 0.0, 0.0), geometry.directions or np.eye(3)
    return geometry.sizes, directions, origin


@settings(max_examples=12)
@given(place=transforms())
def test_results_lie_where_the_layer_lies_in_the_viewer_and_in_files(model: Path, place: dict[str, Any]) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(IMAGE, name="scan", **place)
    sample = sample_from_layers(image)
    with TemporaryDirectory() as folder:
        *_, comparison = predict_sample(model, sample, CPU, Path(folder), source_file(image))
        assert isinstance(comparison, Comparison)
        assert_same_place(image, show_comparison_of_layer(viewer, comparison, image, None))
        (file,) = labels_in(Path(folder))
        written = read_volume(file)
    np.testing.assert_array_equal(written.array, comparison.prediction.labels)
    assert_same_place(image, viewer.add_labels(written.array, **spatial_kwargs(written.geometry)))
    assert (written.voxel_size_um is None) == (place["units"] == "pixel")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".ome.zarr", ".npy", ".tif", ".mrc"])
def test_a_layer_from_a_file_is_saved_in_that_format_and_place(model: Path, tmp_path: Path, suffix: str) -> None:
    """With all that the file says; next to it nothing is overwritten."""
    frame = {".nii.gz": "NIfTI", ".nrrd": "ITK", ".mha": "ITK", ".ome.zarr": "OME-Zarr"}.get(suffix, "")
    origin = (3.0, 4.0, 5.0) if frame else None
    matrix = OBLIQUE if frame in ("NIfTI", "ITK") else None
    path = tmp_path / f"scan{suffix}"
    write_volume(path, IMAGE, geometry=make_geometry((2.0, 1.0, 0.5), matrix, origin, frame))
    volume = read_volume(path)
    viewer = ViewerModel()
    sample = sample_from_layers(
        show_sample(viewer, sample_from_layers(viewer.add_image(IMAGE)).at(volume.geometry), "scan")[0]
    )
    assert sample.geometry == volume.geometry
    list(predict_sample(model, sample, CPU, tmp_path / "out", path))
    for kind in ("labels", "probability"):
        written = read_volume(tmp_path / "out" / f"scan_{kind}{suffix}").geometry
        assert (written.frame, written.space) == (volume.geometry.frame, volume.geometry.space)
        for one, other in zip(numbers(written), numbers(volume.geometry), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    write_volume(tmp_path / f"scan_labels{suffix}", LABELS)
    with pytest.raises(UserError, match="next to its image"):
        list(predict_sample(model, sample, CPU, tmp_path, path))


def test_a_format_that_cannot_hold_the_place_is_replaced_with_a_notice(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    write_volume(path, IMAGE, (2.0, 1.0, 1.0))
    viewer = ViewerModel()
    image = viewer.add_image(IMAGE, name="scan", rotate=OBLIQUE)
    events = list(predict_sample(model, sample_from_layers(image), CPU, tmp_path / "out", path))
    (notice,) = [event.message for event in events if isinstance(event, Notice) and "instead of" in event.message]
    assert "instead of the format of scan.tif, which holds no " in notice
    assert "orientation" in notice
    (file,) = labels_in(tmp_path / "out")
    assert file.suffix != ".tif"
