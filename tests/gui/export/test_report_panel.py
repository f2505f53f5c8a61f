"""The page about a run, written by clicks at the end of a training and from the Inspect dock."""

from __future__ import annotations

import csv
import html

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample


@pytest.fixture
def choose(monkeypatch):
    """Answer the system's dialog for a file name; gives the names that it suggested."""
    suggested = []

    def _choose(path):
        def answer(_parent, _title, name, _kinds):
            suggested.append(name)
            return str(path), ""

        monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
        return suggested

    return _choose


def click(qtbot, button):
    qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


def write(qtbot, dock, part):
    click(qtbot, part.job_bar.start_button)
    job = dock.jobs.latest("report")
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=60_000):
            pass
    assert job.message is None


@pytest.fixture
def trained(open_dock, dataset, ball, wait_for_end):
    add_sample(dataset, ball("t", (7, 8, 11)), Subset.TEST)
    dock = open_dock("Train")
    assert not dock.report.native.isVisibleTo(dock.native)
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=2, val_fraction=0.34, device="cpu")
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    return dock


def test_a_trained_run_is_evaluated_written_and_opened(trained, choose, qtbot, tmp_path, monkeypatch):
    dock, part = trained, trained.report
    assert part.native.isVisibleTo(dock.native)
    assert dock.run_actions.export_model.native.isVisibleTo(dock.native)
    assert part.with_test_set.native.isVisibleTo(part.native)
    assert not part.open_button.native.isVisibleTo(part.native)
    page, opened = tmp_path / "page.html", []
    suggested = choose(page)
    write(qtbot, dock, part)
    run = dock.run.run_folder
    assert suggested == [str(run / "report.html")]
    assert dock.message.text() == f"The report is in {page}"
    assert "The lowest Dice has 't'" in html.unescape(page.read_text(encoding="utf-8"))
    assert (run / "evaluation" / "metrics.csv").is_file()
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    click(qtbot, part.open_button)
    assert [url.toLocalFile() for url in opened] == [str(page)]


def test_without_the_test_set_nothing_is_predicted(trained, choose, qtbot, tmp_path, open_dock, close_dock):
    dock, part = trained, trained.report
    part.with_test_set.value = False
    choose(tmp_path / "page.html")
    write(qtbot, dock, part)
    assert "was not evaluated" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not (dock.run.run_folder / "evaluation").exists()
    close_dock(dock)
    again = open_dock("Train")
    assert again.report.native.isVisibleTo(again.native), "the end of the run is shown again"
    assert not again.report.with_test_set.value


def test_a_wrong_name_is_explained(trained, choose, qtbot, tmp_path):
    choose(tmp_path / "page.pdf")
    click(qtbot, trained.report.job_bar.start_button)
    qtbot.waitUntil(lambda: trained.message.kind == "error")
    assert "choose a name that ends in .html" in trained.message.text()
    assert not trained.report.open_button.native.isVisibleTo(trained.report.native)


def test_errors_and_metrics_are_saved_from_the_inspect_dock(open_dock, viewer, wait_for_end, choose, qtbot, tmp_path):
    truth = np.zeros((10, 12, 14), np.uint8)
    truth[2:6, 3:7, 4:9] = 1
    place = {"scale": (2.0, 1.0, 0.5), "units": ("um",) * 3}
    viewer.add_image(truth * 9.0, name="v", **place)
    viewer.add_labels(truth, name="v labels", **place)
    viewer.add_labels(np.roll(truth, 4, 0), name="v prediction", **place)
    dock = open_dock("Inspect")
    assert not dock.export.native.isVisibleTo(dock.native)
    dock.tolerance.value = 0
    wait_for_end(dock, dock.inspect)
    assert dock.export.native.isVisibleTo(dock.native)
    assert not dock.export.report.native.isVisibleTo(dock.export.native), "nobody knows the run"
    choose(tmp_path / "errors.csv")
    click(qtbot, dock.export.errors_button)
    with (tmp_path / "errors.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"missed", "extra"}
    assert [float(row["error_volume"]) for row in rows] == [80, 80]
    choose(tmp_path / "metrics.csv")
    click(qtbot, dock.export.section.results.metrics_button)
    qtbot.waitUntil(lambda: (tmp_path / "metrics.csv").exists(), timeout=20_000)
    with (tmp_path / "metrics.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["dice"]) == 0
    assert float(row["hd95"]) == 8
