"""Docks show the voxel sizes of files and datasets, warn where they are unknown, and set them for files without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, list_pairs, read_pair
from napari_unet3d.data.dataset_voxel_size import VOXEL_SIZE_FILE, read_given_voxel_size
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.training.loop import train

LABELS = np.zeros((8, 16, 18), np.uint8)
LABELS[2:6, 4:12, 4:12] = 1
GIVEN = (2.0, 0.5, 0.25)


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A dataset of which two of three training volumes, and the test volume, have no voxel size."""
    folder = tmp_path / "scans"
    volumes = (("a", None), ("b", None), ("c", (3.0, 1.0, 1.0))), (("t", None),)
    for subset, pairs in zip(Subset, volumes, strict=True):
        for number, (name, size) in enumerate(pairs):
            image = (LABELS * 100 + np.random.default_rng(number).integers(0, 50, LABELS.shape)).astype(np.uint8)
            add_sample(folder, Sample(name, image, LABELS, size), subset)
    return folder


@pytest.fixture
def click(qtbot: Any) -> Any:
    return lambda button: qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


@pytest.fixture
def enter(qtbot: Any, click: Any) -> Any:
    """Type a voxel size into the boxes of a row, and apply it."""

    def _enter(row: Any, size: tuple[float, ...]) -> None:
        click(row.set_button)
        for box, value in zip(row.boxes, size, strict=True):
            box.native.selectAll()
            qtbot.keyClicks(box.native, str(value))
        click(row.apply_button)

    return _enter


@pytest.fixture
def settle(qtbot: Any) -> Any:
    def _settle(row: Any) -> None:
        qtbot.waitUntil(lambda: not row._work.is_busy)

    return _settle


def is_shown(widget: Any) -> bool:
    return bool(widget.native.isVisibleTo(widget.native.parentWidget()))


def choose(dock: Any, folder: Path) -> Any:
    """Choose the dataset in a dock, and return the row of its voxel sizes."""
    match dock.kind:
        case "train":
            dock.source.use_folder(folder)
            return dock.source.voxel_sizes
        case "predict":
            dock.target.kind.value = "test-set"
            dock.target.dataset.value = folder
            return dock.target.test_voxel_size
    dock.folder.value = folder
    return dock.voxel_sizes


NEXT = ": distances and volumes are in voxels"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "Train",
            f"Voxel size unknown for 2 of 3 volumes (a, b){NEXT}. The other has 3 × 1 × 1 µm",
            "Voxel size 2–3 × 0.5–1 × 0.25–1 µm, 3 volumes; given by you for 2 of them (a, b)",
        ),
        (
            "Predict",
            f"Voxel size unknown{NEXT}",
            "Voxel size 2 × 0.5 × 0.25 µm; given by you, since the files have none",
        ),
        (
            "Dataset",
            f"Voxel size unknown for 3 of 4 volumes (train/a, train/b, test/t){NEXT}. The other has 3 × 1 × 1 µm",
            "Voxel size 2–3 × 0.5–1 × 0.25–1 µm, 4 volumes; given by you for 3 of them (train/a, train/b, test/t)",
        ),
    ],
)
def test_a_dataset_without_voxel_size_is_warned_of_and_given_one(
    open_dock: Any, unknown: Path, settle: Any, enter: Any, click: Any, name: str, before: str, after: str
) -> None:
    dock = open_dock(name)
    row = choose(dock, unknown)
    settle(row)
    assert (row.text.value, "background" in row.text.native.styleSheet()) == (before, True)
    assert is_shown(row)
    assert not is_shown(row.undo_button)
    enter(row, GIVEN)
    assert (row.text.value, row.text.native.styleSheet()) == (after, "")
    assert "it is kept in voxel_size.json of the folder" in dock.message.text()
    assert [read_pair(pair).voxel_size_um for pair in list_pairs(unknown)] == [GIVEN, GIVEN, (3, 1, 1), GIVEN]
    again = open_dock("Dataset" if name == "Train" else "Train")
    other = choose(again, unknown)
    settle(other)
    assert "given by you" in other.text.value
    click(row.undo_button)
    assert row.text.value == before
    assert "unknown" in other.text.value
    assert not (unknown / VOXEL_SIZE_FILE).exists()
    assert not is_shown(row.undo_button)


def test_the_setting_of_the_train_dock_is_shown_while_the_folder_keeps_none(
    open_dock: Any, unknown: Path, settle: Any, enter: Any
) -> None:
    dock = open_dock("Train")
    row = choose(dock, unknown)
    settle(row)
    dock.settings.value = TrainingConfig(voxel_size=(3.0, 1.0, 1.0))
    assert row.text.value == "Voxel size 3 × 1 × 1 µm, 3 volumes; given by you for 2 of them (a, b)"
    enter(row, GIVEN)
    assert row.text.value.startswith("Voxel size 2–3 × 0.5–1 × 0.25–1 µm"), "that of the folder comes first"
    dock.settings.reset()
    assert row.text.value.startswith("Voxel size 2–3 × 0.5–1 × 0.25–1 µm")


def test_another_folder_has_its_own_voxel_size(
    open_dock: Any, unknown: Path, dataset: Path, settle: Any, enter: Any, tmp_path: Path
) -> None:
    row = choose(dock := open_dock("Train"), unknown)
    settle(row)
    enter(row, GIVEN)
    choose(dock, dataset)
    settle(row)
    assert row.text.value == "Voxel size 2 × 1 × 1 µm, 3 volumes"
    assert not is_shown(row.undo_button)
    enter(row, (9, 9, 9))
    assert "None of these files needs it: all have a voxel size, which is kept." in dock.message.text()
    assert row.text.value.endswith("from the files; the given 9 × 9 × 9 µm is not used")
    choose(dock, tmp_path / "nowhere")
    assert not is_shown(row)
    choose(dock, unknown)
    settle(row)
    assert "given by you for 2 of them" in row.text.value


def test_a_folder_that_cannot_be_written_is_named(open_dock: Any, unknown: Path, settle: Any, enter: Any) -> None:
    row = choose(dock := open_dock("Dataset"), unknown)
    settle(row)
    (unknown / VOXEL_SIZE_FILE).mkdir()  # what is no file cannot be replaced, also for root
    enter(row, GIVEN)
    assert "voxel_size.json" in dock.message.text()
    assert dock.message.kind == "error"
    assert "unknown for 3 of 4" in row.text.value
    (unknown / VOXEL_SIZE_FILE).rmdir()
    (unknown / VOXEL_SIZE_FILE).write_text("{}")
    row.show_sizes()
    assert "holds no voxel size" in row.text.value


@pytest.fixture
def model(dataset: Path, tmp_path: Path) -> Path:
    config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu", val_fraction=0)
    list(train(dataset, tmp_path / "run", config))
    return tmp_path / "run"


def test_files_are_predicted_with_the_voxel_size_that_is_given(
    open_dock: Any, model: Path, tmp_path: Path, settle: Any, enter: Any, click: Any, wait_for_end: Any
) -> None:
    write_volume(tmp_path / "in" / "known.tif", LABELS, (3.0, 1.0, 1.0))
    write_volume(tmp_path / "in" / "unknown.tif", LABELS)
    dock = open_dock("Predict")
    dock.use_run(model)
    dock.target.kind.value = "files"
    row = dock.target.files.voxel_size
    assert not is_shown(row)
    dock.target.files.add([tmp_path / "in" / "known.tif", tmp_path / "in" / "unknown.tif"])
    settle(row)
    assert row.text.value == f"Voxel size unknown for 1 of 2 volumes (unknown.tif){NEXT}. The other has 3 × 1 × 1 µm"
    enter(row, GIVEN)
    assert row.text.value.endswith("given by you for 1 of them (unknown.tif)")
    assert "until the setting 'voxel size (µm)' is 'As in the file' again" in dock.message.text()
    assert dock.settings.value.voxel_size_um == GIVEN
    wait_for_end(dock, lambda: click(dock.job_bar.start_button))
    results = {name: read_volume(*(tmp_path / "in" / "predictions").glob(f"{name}*")) for name in ("known", "unknown")}
    assert results["unknown"].voxel_size_um == pytest.approx(GIVEN)
    assert results["known"].voxel_size_um == pytest.approx((3, 1, 1))
    click(row.undo_button)
    assert dock.settings.value.voxel_size_um is None
    assert "unknown for 1 of 2" in row.text.value
    for _ in range(2):
        dock.target.files.remove_selected()
    assert not is_shown(row)


def test_training_on_the_folder_uses_it(
    open_dock: Any, unknown: Path, settle: Any, enter: Any, click: Any, wait_for_end: Any, tmp_path: Path
) -> None:
    dock = open_dock("Train")
    row = choose(dock, unknown)
    settle(row)
    enter(row, GIVEN)
    assert read_given_voxel_size(unknown) == GIVEN
    dock.settings.value = TrainingConfig(preset="xxsmall", epochs=1, device="cpu", val_fraction=0, spacing=("median",))
    dock.run_folder.value = tmp_path / "run"
    wait_for_end(dock, lambda: click(dock.job_bar.start_button), timeout=60_000)
    assert dock.run is not None
    assert dock.run.started.plan.spacing_um == GIVEN
