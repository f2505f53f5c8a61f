"""Whatever stands where a file should be, every reader ends soon, with a value or with a sentence."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet3d.cli.settings_file import read_positions
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset_voxel_size import read_given_voxel_size
from napari_unet3d.data.formats.registry import FORMATS
from napari_unet3d.data.layout import unused_folders
from napari_unet3d.data.pairs import list_pairs
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.reading import read_image, volume_paths
from napari_unet3d.data.trash import list_trash
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.review import read_notes
from napari_unet3d.evaluation.reports.report import write_report
from napari_unet3d.files import read_settings
from napari_unet3d.inference.input_files import find_input_files
from napari_unet3d.model.checkpoint import load_checkpoint, load_seen_content
from napari_unet3d.runs.history import read_history
from napari_unet3d.runs.run_files import is_evaluation, names_of_evaluation, read_evaluation_files, read_run_files
from napari_unet3d.runs.snapshots import open_snapshots
from napari_unet3d.runs.status import read_status
from napari_unet3d.session.annotation_store import saved_annotation
from napari_unet3d.session.preferences import load_preference
from napari_unet3d.session.recent_runs import recent_runs, run_progress, unfinished_run
from napari_unet3d.session.shared_preferences import load_evaluation_config
from napari_unet3d.session.training_run import load_run
from napari_unet3d.text_files import read_csv, read_json, read_json_object
from napari_unet3d.training.event_json import load
from napari_unet3d.training.resume import resolve_start
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.run_lock import locked

_DEEP = 100_000
_SECONDS = 30

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes, and alarms for what hangs, are of Unix")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _itself(path: Path) -> None:
    path.symlink_to(path)


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None  # type: ignore[func-returns-value]


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no space


CONTENTS = {
    "pipe": _pipe,
    "folder": _folder,
    "device": _link_to("/dev/zero"),
    "link to itself": _itself,
    "link to nothing": _link_to("nowhere"),
    "nothing": _bytes(b""),
    "NUL": _bytes(bytes(2000)),
    "noise": _bytes(np.random.default_rng(0).bytes(5000)),
    "terabyte": _sparse,
    "deep list": _bytes(b"[" * _DEEP + b"]" * _DEEP),
    "deep object": _bytes(b'{"a":' * _DEEP + b"1" + b"}" * _DEEP),
    "long integer": _bytes(b'{"epochs": ' + b"9" * 5000 + b"}"),
    "wide integer": _bytes(b'{"epochs": 1' + b"0" * 400 + b"}"),
    "not a number": _bytes(b'{"epochs": NaN, "voxel_size_um": [NaN, 1, 1]}'),
    "name of Python": _bytes(b'{"self": 1, "cls": 2, "__class__": {}}'),
    "surrogate": _bytes(b'{"voxel_size_um": "\\ud800"}'),
    "lists": _bytes(b'{"volumes": [[]], "mean": [], "epochs": [], "versions": [], "settings": [1], "plan": 3}'),
    "wide row": _bytes(b"epoch,train_loss\n" + b"1," * 100_000),
    "wide cell": _bytes(b"epoch\n" + b"1" * 200_000),
    "dots": _bytes(b"a." * _DEEP + b"b = 1"),
}


def _in_run(name: str) -> list[tuple[str, Callable[[Path], object]]]:
    return [(name, read_run_files), (name, lambda folder: write_report(folder, folder / "out" / "report.html"))]


def _in_evaluation(name: str) -> list[tuple[str, Callable[[Path], object]]]:
    readers = (read_evaluation_files, is_evaluation, names_of_evaluation)
    return [(f"evaluation/{name}", lambda folder, read=each: read(folder / "evaluation")) for each in readers] + [
        (f"evaluation/{name}", lambda folder: write_report(None, folder / "report.html", folder / "evaluation"))
    ]


def _train_events(folder: Path) -> None:
    resolve_start(folder, None, resume=True, start_from=None)


def _lock(folder: Path) -> None:
    with locked(folder):
        pass


def _seen(folder: Path) -> None:
    from napari_unet3d.data.sample import Sample
    from napari_unet3d.data.split import Split

    sample = Sample("a", np.arange(60).reshape(3, 4, 5), np.ones((3, 4, 5), np.uint8))
    run = RunFolder(folder, TrainingConfig(), may_exist=True)
    run._earlier = object()  # type: ignore[assignment] # of a run that is resumed
    run.record_seen(Split((sample,), ()), None)
    run._recorded_start()


def _preferences(folder: Path) -> None:
    load_preference("train")
    load_evaluation_config()
    recent_runs()
    unfinished_run()


READERS: list[tuple[str, Callable[[Path], object]]] = [
    ("a.json", lambda folder: read_json(folder / "a.json")),
    ("a.json", lambda folder: read_json_object(folder / "a.json")),
    ("a.csv", lambda folder: read_csv(folder / "a.csv")),
    ("a.json", lambda folder: TrainingConfig(**read_settings(folder / "a.json"))),
    ("a.toml", lambda folder: TrainingConfig(**read_settings(folder / "a.toml"))),
    ("a.csv", lambda folder: read_positions(folder / "a.csv")),
    ("history.csv", lambda folder: read_history(folder / "history.csv")),
    ("history.csv", load_run),
    ("history.csv", _train_events),
    ("config.json", _train_events),
    ("resume.safetensors", _train_events),
    ("resume.safetensors", run_progress),
    ("model.safetensors", load_checkpoint),
    ("model.safetensors", load_seen_content),
    ("model.pth", lambda folder: load_checkpoint(folder / "model.pth")),
    (".training.lock", _lock),
    *((name, read_status) for name in (".training.lock", "status.json", "history.csv", "config.json")),
    ("seen.json", _seen),
    ("environment.json", _seen),
    *(each for name in ("config.json", "environment.json", "history.csv") for each in _in_run(name)),
    *(each for name in ("metrics.json", "evaluation.json", "errors.csv") for each in _in_evaluation(name)),
    *(each for name in ("figures/a.png", "errors/a-1.png") for each in _in_evaluation(name)),
    ("snapshots/snapshots.json", open_snapshots),
    ("a.json", lambda folder: read_notes(folder / "a.json", (3, 4, 5))),
    ("a.json", lambda folder: read_provenance(folder / "a.json")),
    ("voxel_size.json", read_given_voxel_size),
    ("dataset.json", unused_folders),
    ("trash/x", list_trash),
    ("settings/napari-unet3d/train.json", _preferences),
    ("settings/napari-unet3d/test.json", _preferences),
    ("settings/napari-unet3d/recent-runs.json", _preferences),
    ("settings/napari-unet3d/last-training.json", _preferences),
    ("data/napari-unet3d/annotations/a-key/1.npz", lambda _: saved_annotation("key")),
    *((f"volume{suffix}", lambda folder: _read(folder)) for each in FORMATS for suffix in each.suffixes),
    ("volume.dcm", lambda folder: _read(folder)),
    ("volume", lambda folder: _read(folder)),
    ("volume.zarr/zarr.json", lambda folder: _read(folder)),
    ("volume.zarr/0/zarr.json", lambda folder: _read(folder)),
    ("volume.zarr/0/c/0/0/0", lambda folder: _read(folder)),
    ("volume.npy.json", lambda folder: _read(folder)),
    ("train/images/a.ome.tif", list_pairs),
]


def _read(folder: Path) -> None:
    path = next(path for path in folder.iterdir() if path.name.startswith("volume") and not path.name.endswith(".json"))
    volume_paths(path)
    with suppress(UserError):
        find_input_files([path])
    read_image(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sound files, of which each test replaces one."""
    folder = tmp_path_factory.mktemp("sound")
    array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    write_volume(folder / "zarr" / "volume.zarr", array)
    write_volume(folder / "npy" / "volume.npy", array, voxel_size_um=(1.0, 1.0, 1.0))
    write_volume(folder / "pairs" / "train" / "images" / "b.ome.tif", array)
    evaluation = folder / "evaluation" / "evaluation"
    evaluation.mkdir(parents=True)
    (evaluation / "metrics.json").write_text('{"volumes": [{"name": "a", "dice": 0.5}], "mean": {"dice": 0.5}}')
    (evaluation / "errors.csv").write_text("volume,number,kind,error_volume,picture\na,1,missed,2.0,a-1.png\n")
    return folder


def _place(name: str, sound: Path, folder: Path) -> None:
    parts = {"volume.zarr": "zarr", "volume.npy.json": "npy", "train": "pairs", "evaluation": "evaluation"}
    if (part := parts.get(Path(name).parts[0])) is not None:
        shutil.copytree(sound / part, folder, dirs_exist_ok=True)
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target) if target.is_dir() else target.unlink()


@contextmanager
def _within_seconds() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("name", "read"), READERS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(READERS)])
@pytest.mark.filterwarnings("ignore")
def test_a_reader_returns_or_says_what_is_wrong(
    name: str, read: Callable[[Path], object], sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: dict[str, int] = {}
    for kind, make in CONTENTS.items():
        folder = tmp_path / kind
        folder.mkdir()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
        _place(name, sound, folder)
        make(folder / name)
        try:
            with _within_seconds():
                read(folder)
        except UserError as told:
            lengths[kind] = len(str(told))
        except BaseException as error:
            error.add_note(f"with {kind} as {name}")
            raise
    assert all(0 < length < 2000 for length in lengths.values()), lengths


@pytest.mark.parametrize(
    "line", ["[" * _DEEP, "{}", "[]", '{"event": "StepFinished", "loss": 1e999}', "9" * 5000, "\0"]
)
def test_a_line_that_is_no_event_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load(line)
