"""Any JSON value anywhere in settings, headers and metadata: a `UserError`, or something that can be used."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet3d import read_image, train, write_volume
from napari_unet3d.configs import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig
from napari_unet3d.data.provenance import CorrectionRecord, Provenance, read_provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenContent, VolumeContent, record_content, seen_in
from napari_unet3d.data.split import Split
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.review import read_notes
from napari_unet3d.evaluation.reports.report import report_page
from napari_unet3d.files import read_settings
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.runs.run_files import read_evaluation_files, read_run_files
from napari_unet3d.runs.snapshots import open_snapshots
from napari_unet3d.training.resume_state import load_run_state

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**70, -(2**70), 10**400, 1e-310, 1e308, float("nan"), float("inf"), -0.0])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "nan", "1e999", "self", "../a", "\0", "\ud800", "x" * 300, "µm", "zyx"])
)
VALUES = st.recursive(
    ATOMS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=4), inside, max_size=3),
    max_leaves=6,
)

some = settings(max_examples=30, suppress_health_check=list(HealthCheck))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return each container in a value with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(value, key), *_places(inner)]]


def _changed(value: Any, data: st.DataObject) -> str:
    """Return a value as JSON in which another one is in one place, or nothing."""
    copy = json.loads(json.dumps(value))
    container, key = data.draw(st.sampled_from(_places(copy)), label="place")
    if data.draw(st.integers(0, 9)) == 0:
        del container[key]
    else:
        container[key] = data.draw(VALUES, label="value")
    return json.dumps(copy)


def _use(read: Callable[[], object]) -> None:
    message = "read"
    try:
        read()
    except UserError as error:
        message = str(error)
    assert 0 < len(message) < 3000


CONFIGS = [TrainingConfig, PredictionConfig, EvaluationConfig, SyntheticConfig]


@pytest.mark.parametrize("kind", CONFIGS)
@given(data=st.data())
@some
def test_settings_are_valid_or_refused(kind: Any, data: st.DataObject, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(_changed(kind().model_dump(mode="json"), data))

    def read() -> None:
        config = kind(**read_settings(tmp_path / "settings.json"))
        assert kind(**json.loads(json.dumps(config.model_dump(mode="json")))) == config

    _use(read)


def _with_card(content: bytes, card: str) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["header"] = card
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _card(content: bytes) -> Any:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["header"])


SAMPLES = [
    Sample(name, np.arange(480).reshape(6, 8, 10) % 97, np.ones((6, 8, 10), np.uint8), (2.0, 1.0, 1.0)) for name in "ab"
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch with snapshots."""
    folder = tmp_path_factory.mktemp("run")
    config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu", save_snapshots=True, augmentation="none")
    list(train(SAMPLES, folder, config))
    return folder


@given(data=st.data())
@some
def test_a_model_can_be_used_or_is_refused(data: st.DataObject, run: Path, tmp_path: Path) -> None:
    content = (run / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(_with_card(content, _changed(_card(content), data)))

    def read() -> None:
        model = load_checkpoint(tmp_path)
        model.network()
        seen_in(model.seen, SAMPLES[0].image)

    _use(read)


@given(data=st.data())
@some
def test_the_state_of_a_run_fits_or_is_refused(data: st.DataObject, run: Path, tmp_path: Path) -> None:
    content = (run / "resume.safetensors").read_bytes()
    (tmp_path / "resume.safetensors").write_bytes(_with_card(content, _changed(_card(content), data)))

    def read() -> None:
        header = load_run_state(tmp_path / "resume.safetensors").header
        assert len(header.history) == header.epoch

    _use(read)


@given(data=st.data())
@some
def test_snapshots_are_read_or_refused(data: st.DataObject, run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "snapshots" / "snapshots.json").read_text())
    folder = tmp_path / "snapshots"
    folder.mkdir(exist_ok=True)
    for file in (run / "snapshots").iterdir():
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    (folder / "snapshots.json").unlink()
    (folder / "snapshots.json").write_text(_changed(manifest, data))

    def read() -> None:
        opened = open_snapshots(tmp_path)
        assert opened is not None
        for number in range(len(opened.manifest.volumes)):
            opened.prediction(1, number).mask_truth(opened.volume(number).truth)

    _use(read)


METRICS = {
    "volumes": [
        {
            "name": "a",
            "dice": 0.5,
            "hd95": 1.5,
            "distance_unit": "µm",
            "seen_in": "never",
            "left_out": {"hd95": 1},
            "classes": [{"name": "cell", "dice": 0.5, "n_absent": 1}],
            "instances": {"f1": 0.5, "left_out": {}},
        }
    ],
    "mean": {"dice": 0.5, "classes": [{"name": "cell", "dice": 0.5}], "instances": {"f1": 0.5}},
}
ABOUT = {
    "versions": {"napari-unet3d": "0.1.0"},
    "dataset": "data",
    "epoch": 3,
    "volumes": ["a"],
    "settings": EvaluationConfig().model_dump(mode="json"),
    "tolerances": {"a": 1.0},
    "labels": {"task": "binary"},
    "predictions": "folder",
}
ENVIRONMENT = {
    "started": "2026-01-01",
    "versions": {"torch": "2"},
    "device": "CPU",
    "dataset": "data",
    "train": ["a"],
    "validation": ["b"],
    "blocks": [{}],
    "start_from": "model",
    "platform": "Linux",
    "plan": {"patch_zyx": [1, 2, 3], "spacing_um": [1.0, 2.0, 3.0], "classes": [{"value": 1, "name": "cell"}]},
}


@pytest.mark.parametrize("name", ["metrics.json", "evaluation.json"])
@given(data=st.data())
@some
def test_a_report_leaves_out_what_cannot_be_read(name: str, data: st.DataObject, tmp_path: Path) -> None:
    for each, content in (("metrics.json", METRICS), ("evaluation.json", ABOUT)):
        (tmp_path / each).write_text(_changed(content, data) if each == name else json.dumps(content))
    (tmp_path / "errors.csv").write_text("volume,kind,error_volume,depth\na,missed,2.0,1.0\n")
    _use(lambda: report_page(None, read_evaluation_files(tmp_path)))


@given(data=st.data())
@some
def test_a_report_of_a_run_leaves_out_what_cannot_be_read(data: st.DataObject, tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(_changed(ENVIRONMENT, data))
    _use(lambda: report_page(read_run_files(tmp_path), None))


@given(
    rows=st.lists(st.lists(st.text(max_size=8) | st.sampled_from(["nan", "1e999", "=1", "-1"]), max_size=7), max_size=4)
)
@some
def test_a_table_of_errors_leaves_out_what_cannot_be_read(rows: list[list[str]], tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["volume", "number", "kind", "error_volume", "depth", "picture", "z_voxel"], *rows])
    (tmp_path / "errors.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    _use(lambda: report_page(None, read_evaluation_files(tmp_path)))


@given(data=st.data())
@some
def test_notes_and_provenance_are_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    box = [[0, 1], [0, 2], [0, 3]]
    error = {"kind": "missed", "position_zyx": [0, 1, 2], "box_zyx": box, "seen": True, "note": "x"}
    (tmp_path / "notes.json").write_text(_changed({"shape_zyx": [3, 4, 5], "errors": [error]}, data))
    origin = Provenance(volume="a", corrections=(CorrectionRecord(kind="missed"),)).model_dump(mode="json")
    (tmp_path / "origin.json").write_text(_changed(origin, data))
    _use(lambda: read_notes(tmp_path / "notes.json", (3, 4, 5)))
    _use(lambda: read_provenance(tmp_path / "origin.json"))


GEOMETRY = {
    "voxel_size_um": [2.0, 0.5, 0.5],
    "origin_um": [1.0, 2.0, 3.0],
    "frame": "a",
    "space": "b",
    "channels": ["x"],
    "directions": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "axes": "tzyx",
    "time_step_s": 2.0,
}


@given(data=st.data())
@some
def test_the_voxel_size_beside_an_array_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5), np.uint8))
    (tmp_path / "a.npy.json").write_text(_changed(GEOMETRY, data))
    _use(lambda: read_image(tmp_path / "a.npy").geometry.spacing)


@pytest.mark.parametrize("file", ["zarr.json", "0/zarr.json"])
@pytest.mark.filterwarnings("ignore")
@given(data=st.data())
@some
def test_the_metadata_of_zarr_are_read_or_refused(file: str, data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    write_volume(folder, np.zeros((2, 3, 4, 5), np.uint8), voxel_size_um=(2.0, 1.0, 1.0), channel_names=("x", "y"))
    (folder / file).write_text(_changed(json.loads((folder / file).read_text()), data))
    _use(lambda: read_image(folder).geometry.spacing)


def test_hashes_in_a_model_are_whole() -> None:
    VolumeContent(name="a", role="training", side_zyx=(1, 1, 1), boxes="AAAAAAAAAAA=")
    for boxes in ("AAAA", "no base64"):
        with pytest.raises(ValueError, match="boxes"):
            VolumeContent(name="a", role="training", side_zyx=(1, 1, 1), boxes=boxes)


def test_a_model_that_has_seen_boxes_of_many_shapes_does_not_take_for_ever() -> None:
    image = SAMPLES[0].image
    seen = record_content(Split((SAMPLES[0],), ()))
    others = [
        VolumeContent(name="o", role="training", side_zyx=(1, 1, number), boxes="AAAAAAAAAAA=")
        for number in range(1, 10**4)
    ]
    assert str(seen_in(seen, image)) == "training"
    many = SeenContent(volumes=(*seen.volumes, *others))
    assert str(seen_in(many, image)) == "training"
    assert str(seen_in(many, image[::-1] * 3 + 1)) == "unknown"  # not all could be searched for


def test_the_weights_of_a_checkpoint_alone_are_a_model(tmp_path: Path) -> None:
    """The files of these tests are sound where nothing is changed."""
    config = TrainingConfig(preset="xxsmall", device="cpu")
    weights = build_network(config).state_dict()
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint(config, weights, epoch=1))
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(_with_card(content, json.dumps(_card(content))))
    assert all(
        torch.equal(weights[name], each) for name, each in load_checkpoint(tmp_path / "a.safetensors").weights.items()
    )
