"""A package of bioimage.io is dropped on the viewer, and the dock Predict applies it and says what was assumed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from qtpy.QtCore import Qt

from napari_unet3d.widgets.reader import get_reader, open_model

onnx = pytest.importorskip("onnx")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A network whose output is its input, with one channel that the description calls membrane."""
    shape = [1, 1, "z", "y", "x"]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("raw", "out")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["raw"], ["out"])], "same", values[:1], values[1:]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    sides = [{"type": "space", "id": axis, "size": {"min": 4, "step": 1}} for axis in "zyx"]
    same = [{"type": "space", "id": axis, "size": {"tensor_id": "raw", "axis_id": axis}} for axis in "zyx"]
    batch, channel = {"type": "batch", "size": 1}, {"type": "channel", "channel_names": ["membrane"]}
    about = {
        "type": "model",
        "format_version": "0.5.3",
        "inputs": [{"id": "raw", "axes": [batch, channel, *sides]}],
        "outputs": [{"id": "out", "axes": [batch, channel, *same], "data": {"type": "float32", "range": [0.0, 1.0]}}],
        "weights": {"onnx": {"source": "weights.onnx"}},
    }
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("rdf.yaml", yaml.safe_dump(about))
        archive.writestr("weights.onnx", model.SerializeToString())
    return tmp_path / "model.zip"


def test_a_package_is_opened_and_applied(package, viewer, open_dock, qtbot):
    image = np.random.default_rng(4).random((6, 8, 10)).astype(np.float32)
    viewer.add_image(image, name="cells")
    dock = open_dock("Predict")

    assert get_reader(str(package)) is open_model
    viewer.open(str(package), plugin="napari-unet3d")
    assert dock.model.value == package
    qtbot.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    job = dock.jobs.latest(dock.kind)
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=60_000):
            pass

    assert "The output of model.zip is 'membrane', which is taken as foreground." in dock.message.text()
    labels = next(layer for layer in viewer.layers if type(layer).__name__ == "Labels" and layer.data.any())
    np.testing.assert_array_equal(labels.data > 0, image >= 0.5)


def test_another_zip_file_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "rois.zip", "w") as archive:
        archive.writestr("cell.roi", b"Iout")
    assert get_reader(str(tmp_path / "rois.zip")) is None
