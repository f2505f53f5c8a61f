from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENGINE = [
    "napari_unet3d",
    "napari_unet3d.data.synthetic.dataset",
    "napari_unet3d.data.checks",
    "napari_unet3d.data.split",
    "napari_unet3d.evaluation.reports.figure",
    "napari_unet3d.inference.evaluate",
    "napari_unet3d.training.loop",
]
DOCKS = [
    f"napari_unet3d.widgets.{name}" for name in ("generate", "dataset", "train", "predict", "inspect", "sample_data")
]


def loaded_after(modules: list[str], unwanted: tuple[str, ...]) -> list[str]:
    """Import modules in a fresh process and list which of the unwanted packages came with them."""
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"print(*[m for m in sys.modules if m.split('.')[0] in {unwanted!r}])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_engine_needs_no_viewer():
    assert loaded_after(ENGINE, ("qtpy", "PyQt6", "PySide6", "napari", "magicgui", "superqt", "pyqtgraph")) == []


@pytest.mark.parametrize("modules", [["napari_unet3d", "napari_unet3d.data.synthetic.dataset"], DOCKS])
def test_docks_and_synthetic_data_open_without_torch(modules):
    assert loaded_after(modules, ("torch", "monai")) == []


@pytest.mark.parametrize("dock", DOCKS)
def test_docks_open_without_what_takes_long_to_load(dock):
    there = loaded_after(["napari.layers", "napari.viewer"], ("scipy", "skimage", "matplotlib"))
    slow = ("scipy.sparse", "scipy.spatial", "scipy.ndimage", "skimage.", "matplotlib.")
    more = set(loaded_after(["napari.layers", "napari.viewer", dock], ("scipy", "skimage", "matplotlib"))) - set(there)
    assert [name for name in more if name.startswith(slow)] == []
