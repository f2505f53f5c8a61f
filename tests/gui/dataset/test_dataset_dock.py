from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialog, QLabel, QListWidget, QMessageBox

from napari_unet3d.data.dataset import Subset, add_sample, list_pairs, read_pair, read_samples
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.widgets.dataset.dock import DatasetDock
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layers import show_sample

SHAPE = (5, 6, 7)


def sample(name: str, seed: int = 0) -> Sample:
    image = np.random.default_rng(seed).integers(0, 255, SHAPE, dtype=np.uint8)
    return Sample(name, image, (image > 128).astype(np.uint8), (2.0, 1.0, 0.5))


@pytest.fixture
def folder(tmp_path):
    for number, part in enumerate((Subset.TRAIN, Subset.TRAIN, Subset.TEST), start=1):
        add_sample(tmp_path / "data", sample(str(number), number), part)
    return tmp_path / "data"


@pytest.fixture
def dock(open_dock):
    widget = open_dock("Dataset")
    assert isinstance(widget, DatasetDock)
    return widget


def click(qtbot, button):
    return lambda: qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


def rows(dock):
    items = [dock.pairs.topLevelItem(i) for i in range(dock.pairs.topLevelItemCount())]
    return [tuple(item.text(column) for column in range(3)) for item in items]


def in_next_dialog(action):
    """Run an action on the next dialog that blocks the test; gives a list with its outcome."""
    seen = []

    def _act():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QDialog):
            seen.append(action(dialog))
        else:
            QTimer.singleShot(10, _act)

    QTimer.singleShot(0, _act)
    return seen


def test_dataset_is_listed_and_a_pair_opened_in_its_place(viewer, dock, qtbot, folder, wait_for_end):
    dock.folder.value = folder
    assert rows(dock) == [("1", "train", "✓"), ("2", "train", "✓"), ("3", "test", "✓")]
    assert not dock.open_button.enabled
    dock.pairs.setCurrentItem(dock.pairs.topLevelItem(2))
    job = wait_for_end(dock, click(qtbot, dock.open_button))
    assert job.message is None
    image, labels = viewer.layers
    assert (image.name, labels.name) == ("3 (test)", "3 (test) labels")
    np.testing.assert_array_equal(image.data, sample("3", 3).image)
    assert tuple(image.scale) == tuple(labels.scale) == pytest.approx((2, 1, 0.5))


def test_corrected_labels_replace_those_of_the_dataset_after_a_question(viewer, dock, qtbot, folder, wait_for_end):
    dock.folder.value = folder
    dock.pairs.setCurrentItem(dock.pairs.topLevelItem(0))
    wait_for_end(dock, click(qtbot, dock.open_button))
    labels = viewer.layers["1 (train) labels"]
    labels.data = np.full(SHAPE, 7, np.uint8)
    asked = in_next_dialog(lambda box: (box.text(), box.button(QMessageBox.StandardButton.Ok).click()))
    wait_for_end(dock, click(qtbot, dock.new_volume.train_button))
    assert "already has a volume '1'" in asked[0][0]
    pair = list_pairs(folder)[0]
    assert (pair.name, pair.subset) == ("1", Subset.TRAIN)
    assert read_pair(pair).labels.min() == 7
    assert len(list_pairs(folder)) == 3


def test_layers_are_added_to_a_new_dataset(viewer, dock, qtbot, tmp_path, wait_for_end):
    new = sample("cell", 5)
    viewer.add_image(sample("other", 6).image, name="other")
    image = viewer.add_image(new.image, name="cell", scale=(2, 1, 0.5), units=("um",) * 3)
    labels = viewer.add_labels(new.labels, name="truth", scale=(2, 1, 0.5), units=("um",) * 3)
    viewer.layers.selection = {image, labels}
    dock.folder.value = tmp_path / "new"
    job = wait_for_end(dock, click(qtbot, dock.new_volume.test_button))
    assert job.message is None
    assert rows(dock) == [("cell", "test", "✓")]
    read = read_pair(list_pairs(tmp_path / "new")[0])
    np.testing.assert_array_equal(read.image, new.image)
    assert read.voxel_size_um == pytest.approx((2, 1, 0.5))


def test_adding_without_layers_is_explained(dock, qtbot, tmp_path):
    dock.folder.value = tmp_path
    click(qtbot, dock.new_volume.train_button)()
    assert "No labels layer" in dock.message.text()
    assert not list(tmp_path.iterdir())


def test_check_lists_what_is_wrong(dock, qtbot, folder, wait_for_end):
    (folder / "train" / "labels" / "2.tif").unlink()
    add_sample(folder, sample("copy", 1), Subset.TEST)
    dock.folder.value = folder
    assert ("2", "train", "missing") in rows(dock)
    wait_for_end(dock, click(qtbot, dock.job_bar.start_button))
    found = [dock.issues.item(i) for i in range(dock.issues.count())]
    assert any("no partner" in item.text() for item in found)
    assert any("same volume" in item.text() for item in found)
    assert not any(item.icon().isNull() for item in found)
    assert dock.issues.isVisibleTo(dock.native)
    assert dock.message.kind == "error"
    assert "2 errors" in dock.message.text()


def test_check_of_a_good_dataset_says_so(dock, qtbot, folder, wait_for_end):
    dock.folder.value = folder
    wait_for_end(dock, click(qtbot, dock.job_bar.start_button))
    assert "no problems" in dock.message.text()
    assert not dock.issues.isVisibleTo(dock.native)


def test_folder_that_is_no_dataset_is_explained_and_can_become_one(dock, qtbot, tmp_path):
    dock.folder.value = tmp_path
    assert "is not a dataset" in dock.message.text()
    click(qtbot, dock.create_button)()
    assert "Created" in dock.message.text()
    assert (tmp_path / "test" / "labels").is_dir()


def test_volumes_matched_by_order_are_said(dock, folder):
    for number in (1, 2):
        (folder / "train" / "labels" / f"{number}.tif").rename(folder / "train" / "labels" / f"x{number}.tif")
    dock.folder.value = folder
    assert dock.message.kind == "warning"
    assert "sorted order" in dock.message.text()


def test_clean_names_the_files_and_moves_them_only_after_a_yes(dock, qtbot, folder):
    dock.folder.value = folder
    outside = folder.parent / "precious.tif"
    outside.write_bytes(precious := b"II*\0precious")
    (folder / "notes.txt").write_text("keep")
    (folder / "train" / "images" / "link.tif").symlink_to(outside)
    (folder / "train" / "images" / "notes.tif").mkdir()

    def look(dialog):
        names = dialog.findChild(QListWidget)
        listed = [names.item(i).text() for i in range(names.count())]
        told.extend(label.text() for label in dialog.findChildren(QLabel))
        dialog.cancel_button.click()
        return listed

    told, stays = [], f"Not moved, since no volume: {Path('train', 'images', 'notes.tif')}."
    listed = in_next_dialog(look)
    click(qtbot, dock.clean_button)()
    assert len(listed[0]) == 7
    assert any(text.startswith(stays) for text in told)
    assert any(name.endswith("link.tif") for name in listed[0])
    assert len(list_pairs(folder)) >= 3

    in_next_dialog(lambda dialog: dialog.move_button.click())
    click(qtbot, dock.clean_button)()
    assert dock.message.text().startswith("Moved 7 files to 'trash/")
    assert dock.message.text().endswith(f"in the dataset; 'Restore removed' undoes it. {stays}")
    (folder / "train" / "images" / "notes.tif").rmdir()
    assert list_pairs(folder) == []
    assert outside.read_bytes() == precious
    assert (folder / "notes.txt").exists()
    click(qtbot, dock.removal.restore_button)()
    assert len(list_pairs(folder)) >= 3


def test_folder_is_shared_by_the_docks_and_remembered(viewer, dock, open_dock, close_dock, folder):
    generate = open_dock("Generate data")
    generate.folder.value = folder
    assert dock.folder.value == folder
    assert len(rows(dock)) == 3
    close_dock(dock)
    _, again = viewer.window.add_plugin_dock_widget("napari-unet3d", "Dataset")
    assert again.folder.value == folder


def test_docks_of_the_plugin_stand_as_tabs(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    dock, generate = (
        viewer.window.add_plugin_dock_widget("napari-unet3d", name)[1] for name in ("Dataset", "Generate data")
    )
    mine, theirs = (
        next(parent for parent in _parents(widget.native) if parent.metaObject().className() == "QtViewerDockWidget")
        for widget in (dock, generate)
    )
    qtbot.wait_until(lambda: theirs in mine.parentWidget().tabifiedDockWidgets(mine))


def _parents(widget):
    while (widget := widget.parentWidget()) is not None:
        yield widget


def test_a_masked_volume_keeps_mask_and_origin_through_the_viewer(
    open_dock, dataset, ball, viewer, wait_for_end, monkeypatch
):
    sample = ball("4")
    mask = np.zeros(sample.shape, bool)
    mask[2:9, 3:14, 4:15] = True
    origin = Provenance(volume="1", subset="train")
    add_sample(dataset, replace(sample, label_mask=mask, provenance=origin), Subset.TRAIN)
    dock = open_dock("Dataset")
    dock.folder.value = dataset
    (row,) = dock.pairs.findItems("4", Qt.MatchFlag.MatchExactly)
    assert row.text(2) == "✓ in part"
    dock.pairs.setCurrentItem(row)
    wait_for_end(dock, dock.open_selected)
    np.testing.assert_array_equal(viewer.layers["4 (train) annotated"].data, mask)
    viewer.layers["4 (train) annotated"].data[0, 0, 0] = 1  # painted
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Ok)
    wait_for_end(dock, partial(dock.add, "train"))
    (read,) = [each for each in read_samples(dataset) if each.name == "4"]
    mask[0, 0, 0] = True
    np.testing.assert_array_equal(read.label_mask, mask)
    assert read.provenance == origin


def test_a_mask_does_not_stay_for_a_volume_without(viewer, ball):
    sample = ball("4")
    mask = np.zeros(sample.shape, bool)
    mask[2] = True
    show_sample(viewer, replace(sample, label_mask=mask))
    image, labels = show_sample(viewer, sample)
    assert sample_from_layers(image, labels).label_mask is None
    assert "4 annotated" not in viewer.layers


def select_row(dock, qtbot, name, *, also=False):
    """Click the row of a volume, with Ctrl to select it beside others."""
    (item,) = dock.pairs.findItems(name, Qt.MatchFlag.MatchExactly)
    modifier = Qt.KeyboardModifier.ControlModifier if also else Qt.KeyboardModifier.NoModifier
    place = dock.pairs.visualItemRect(item).center()
    qtbot.mouseClick(dock.pairs.viewport(), Qt.MouseButton.LeftButton, modifier, place)


def test_what_is_removed_goes_to_the_trash_and_comes_back(dock, qtbot, folder):
    dock.folder.value = folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not dock.removal.remove_button.enabled
    assert not dock.removal.restore_button.enabled
    select_row(dock, qtbot, "1")
    select_row(dock, qtbot, "3", also=True)
    click(qtbot, dock.removal.remove_button)()
    assert rows(dock) == [("2", "train", "✓")]
    assert dock.message.text().startswith("'1', '3' were moved to 'trash/")
    assert "'Restore removed' undoes it" in dock.message.text()
    assert sorted(path.read_bytes() for path in (folder / "trash").rglob("*.tif")) == sorted(
        content for path, content in before.items() if path.name.startswith(("1.", "3."))
    )
    assert not dock.removal.remove_button.enabled, "nothing is selected any more"
    assert "'1', '3'" in dock.removal.restore_button.tooltip
    click(qtbot, dock.removal.restore_button)()
    assert dock.message.text() == "'1', '3' were restored."
    assert rows(dock) == [("1", "train", "✓"), ("2", "train", "✓"), ("3", "test", "✓")]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not dock.removal.restore_button.enabled


def test_the_delete_key_removes_and_another_dock_can_still_restore(dock, qtbot, folder, close_dock, viewer):
    dock.folder.value = folder
    select_row(dock, qtbot, "2")
    dock.removal.remove_selected()
    select_row(dock, qtbot, "3")
    qtbot.keyClick(dock.pairs, Qt.Key.Key_Delete)
    assert rows(dock) == [("1", "train", "✓")]
    close_dock(dock)
    _, again = viewer.window.add_plugin_dock_widget("napari-unet3d", "Dataset")
    click(qtbot, again.removal.restore_button)()
    assert again.message.text() == "'3' was restored. 1 earlier removal can be undone, too."
    click(qtbot, again.removal.restore_button)()
    assert len(list_pairs(folder)) == 3


def test_restoring_replaces_nothing(dock, qtbot, folder):
    dock.folder.value = folder
    select_row(dock, qtbot, "1")
    dock.remove_selected()
    add_sample(folder, sample("1", 9), Subset.TRAIN)
    dock.restore_removed()
    assert dock.message.kind == "error"
    assert "exists already, so nothing was restored" in dock.message.text()
    np.testing.assert_array_equal(read_pair(list_pairs(folder)[0]).image, sample("1", 9).image)


def test_clean_offers_the_files_of_the_selected_row_only(dock, qtbot, folder):
    dock.folder.value = folder
    select_row(dock, qtbot, "2")

    def look(dialog):
        names = dialog.findChild(QListWidget)
        told.extend(label.text() for label in dialog.findChildren(QLabel))
        dialog.move_button.click()
        return {names.item(i).text() for i in range(names.count())}

    told = []
    listed = in_next_dialog(look)
    click(qtbot, dock.clean_button)()
    assert {Path(name).parts[:2] for name in listed[0]} == {("train", "images"), ("train", "labels")}
    assert {Path(name).name.partition(".")[0] for name in listed[0]} == {"2"}
    assert told[0].startswith("These 2 files of the selected volume '2' in ")
    assert rows(dock) == [("1", "train", "✓"), ("3", "test", "✓")]


@pytest.mark.parametrize(("subset", "other"), [("train", "3"), ("test", "1")])
@pytest.mark.parametrize("says_yes", [False, True])
def test_what_the_other_subset_shows_is_added_only_after_a_question(
    viewer, dock, qtbot, tmp_path, wait_for_end, subset, other, says_yes
):
    folder, shape = tmp_path / "noise", (12, 14, 16)
    scans = {name: np.random.default_rng(int(name)).integers(0, 255, shape, dtype=np.uint8) for name in "13"}
    for name, part in (("1", Subset.TRAIN), ("3", Subset.TEST)):
        add_sample(folder, Sample(name, scans[name], np.ones(shape, np.uint8)), part)
    dock.folder.value = folder
    image = viewer.add_image(scans[other][1:, 2:], name="quite another name")
    labels = viewer.add_labels((image.data > 128).astype(np.uint8), name="mine")
    viewer.layers.selection = {image, labels}
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    standard = QMessageBox.StandardButton.Ok if says_yes else QMessageBox.StandardButton.Cancel
    asked = in_next_dialog(lambda box: (box.text(), box.button(standard).click()))
    wait_for_end(dock, click(qtbot, dock.new_volume.train_button if subset == "train" else dock.new_volume.test_button))
    qtbot.wait_until(lambda: dock.jobs.running("dataset") is None and bool(asked) and bool(dock.message.text()))
    kind, cost = ("test", "knows what it is tested on") if subset == "train" else ("training", "know it already")
    assert f"'quite another name' shows the same as the {kind} volume '{other}'" in asked[0][0]
    assert cost in asked[0][0]
    if says_yes:
        qtbot.wait_until(lambda: len(rows(dock)) == 3)
        assert dock.message.text() == f"Added 'quite another name' to {subset}."
    else:
        assert dock.message.text() == "'quite another name' was not added; the dataset is as it was."
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
