"""Metrics and slice figures saved by clicks from the results of the Predict dock."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from matplotlib.image import imread
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.sample import Sample
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.widgets.predict.request import Target

VOXEL_SIZE = (3.0, 1.5, 0.5)


def volume(name, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 14, 30), np.uint8)
    labels[3:8, 4:9, 8:20] = 1
    return Sample(name, (labels * 120 + rng.integers(0, 50, labels.shape)).astype(np.uint8), labels, VOXEL_SIZE)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from napari_unet3d.training.loop import train

    folder = tmp_path_factory.mktemp("run") / "first"
    list(train([volume("a"), volume("b", 1)], folder, TrainingConfig(epochs=2, val_fraction=0.5, device="cpu")))
    return folder


@pytest.fixture
def choose(monkeypatch):
    """Answer the system's dialog for a file name."""

    def _choose(path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))

    return _choose


@pytest.fixture
def dock(run_folder, viewer, open_dock):
    remember_run(run_folder)
    sample = volume("mine", 2)
    place = {"scale": VOXEL_SIZE, "units": "um"}
    viewer.add_image(sample.image, name="mine", **place)
    viewer.add_labels(sample.labels, name="mine labels", **place)
    return open_dock("Predict")


def click(qtbot, button):
    qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


def save_by(qtbot, dock, button):
    """Click and wait until it is saved."""
    click(qtbot, button)
    job = dock.jobs.latest("save")
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=20_000):
            pass


def test_nothing_is_offered_before_there_is_a_result(dock):
    assert not dock.results.export.native.isVisibleTo(dock.native)
    assert not dock.results.export.results.metrics_button.enabled
    assert not dock.results.export.results.figure_button.enabled


@pytest.mark.parametrize(("axis", "sides_um"), [("z", (14 * 1.5, 30 * 0.5)), ("y", (36, 15)), ("x", (36, 21))])
def test_a_figure_has_the_chosen_axis_and_the_proportions_of_the_object(
    dock, wait_for_end, choose, qtbot, tmp_path, axis, sides_um
):
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.results.export.native.isVisibleTo(dock.native)
    save = dock.results.export.results
    save.axis.value = axis
    save.n_slices.value = 3
    choose(tmp_path / "figure")  # without an ending
    save_by(qtbot, dock, save.figure_button)
    assert dock.message.text() == f"The figure is in {tmp_path / 'figure.png'}"
    picture = imread(tmp_path / "figure.png")
    ink = picture[..., :3].mean(-1) < 0.99  # panels on white paper; those of the difference, the lowest, hold no white
    width = panel_sides(ink[int(0.8 * len(ink)) : int(0.9 * len(ink))].all(0))
    assert len(width) == 3
    middle = 0.55 + width[0] / 300  # inches from the left
    height = panel_sides(ink[:, int(150 * middle)])[-1]
    assert height / width[0] == pytest.approx(sides_um[0] / sides_um[1], rel=0.03)


def panel_sides(ink):
    """The lengths of the runs of at least 60 pixels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ink.astype(int), [0]])))
    return [int(end - start) for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start >= 60]


def test_a_name_that_no_figure_can_have_is_explained(dock, wait_for_end, choose, qtbot, tmp_path):
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    choose(tmp_path / "figure.docx")
    click(qtbot, dock.results.export.results.figure_button)
    qtbot.waitUntil(lambda: dock.message.kind == "error")
    assert "'figure.docx'; choose a name that ends in .png" in dock.message.text()
    assert not list(tmp_path.glob("*figure*"))


def test_metrics_of_a_test_set_are_those_of_the_table(dock, dataset, wait_for_end, choose, qtbot, tmp_path):
    for number in range(2):
        add_sample(dataset, volume(f"t{number}", number), Subset.TEST)
    dock.target.kind.button(Target.TEST_SET).click()
    dock.dataset.value = dataset
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    save = dock.results.export.results
    for suffix in ("csv", "json"):
        choose(tmp_path / f"m.{suffix}")
        save_by(qtbot, dock, save.metrics_button)
        assert dock.message.text() == f"The metrics are in {tmp_path / f'm.{suffix}'}"
    content = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    with (tmp_path / "m.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["volume"] for row in rows] == ["t0", "t1", "mean"]
    table = dock.results.table
    for row, numbers in zip(rows, [*content["volumes"], content["mean"]], strict=True):
        assert float(row["dice"]) == numbers["dice"]
    assert [table.item(row, 1).text() for row in range(3)] == [f"{float(row['dice']):.3f}" for row in rows]


def test_metrics_follow_the_settings_of_labels(dock, viewer, wait_for_end, choose, qtbot, tmp_path):
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    save = dock.results.export.results
    probability = viewer.layers["mine probability"].data
    threshold = round(float(np.quantile(probability, 0.9)), 2)
    dock.label_settings.editors["threshold"].native.setValue(threshold)
    expected = probability >= threshold
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers["mine prediction"].data > 0, expected))
    choose(tmp_path / "m.json")
    save_by(qtbot, dock, save.metrics_button)  # whether the surfaces are measured by now or not
    (numbers,) = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["volumes"]
    found, truth = viewer.layers["mine prediction"].data > 0, viewer.layers["mine labels"].data > 0
    assert numbers["nsd"] is not None
    assert numbers["recall"] == pytest.approx((found & truth).sum() / truth.sum())


def test_choices_are_remembered(dock, open_dock, close_dock):
    save = dock.results.export.results
    save.axis.value = "x"
    save.n_slices.value = 7
    close_dock(dock)
    again = open_dock("Predict").results.export.results
    assert (again.axis.value, again.n_slices.value) == ("x", 7)
