"""The demo on small volumes: its files, its scores and what the viewer shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from napari_unet3d import SyntheticConfig, TrainingConfig, UserError
from napari_unet3d.cli import main, progress_loops
from napari_unet3d.configs import LabelKind, ResizeMode
from napari_unet3d.demo import Demo, check_display, show

VOLUMES = SyntheticConfig(
    label_kind=LabelKind.FOREGROUND,
    objects=4,
    shape=(32, 36, 40),
    object_shape_min=(9, 9, 9),
    object_shape_max=(14, 14, 14),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    demo = Demo(tmp_path_factory.mktemp("demo"), VOLUMES, TrainingConfig(epochs=4, resize_mode=ResizeMode.CROP))
    progress_loops.follow_demo(demo)
    return demo


def test_defaults_are_those_of_the_tutorial() -> None:
    demo = Demo(Path())
    assert demo.training == TrainingConfig(
        preset="xxsmall",
        epochs=30,
        learning_rate=1e-2,
        loss="dice-ce",
        weight_decay=1e-3,
        augmentation="light",
        val_augmentation="none",
        resize_mode="crop",
        val_fraction=0.2,
    )
    assert (demo.volumes.shape, demo.volumes.objects) == ((128, 128, 128), 10)
    assert (demo.volumes.object_shape_min, demo.volumes.object_shape_max) == ((30, 30, 30), (40, 40, 40))
    assert demo.volumes.noise_scale == (0.04, 0.08)


def test_files(finished: Demo) -> None:
    assert len(list((finished.dataset / "train/images").iterdir())) == 5
    assert (finished.run / "model.safetensors").is_file()
    metrics = json.loads((finished.evaluation / "metrics.json").read_text())
    assert [volume["name"] for volume in metrics["volumes"]] == ["6"]
    assert (finished.evaluation / "predictions/6_labels.tif").is_file()
    assert (finished.evaluation / "differences/6_difference.tif").is_file()
    for picture in (finished.curves, finished.evaluation / "figures/6.png"):
        assert imread(picture).std() > 1


def test_the_viewer_shows_extra_voxels_red_and_missed_ones_blue(finished: Demo, tmp_path: Path) -> None:
    try:
        check_display()
    except UserError:
        pytest.skip("there is no display, and no xvfb-run for a virtual one")
    picture = tmp_path / "picture.png"
    assert show(finished, picture) == picture
    red, green, blue = np.moveaxis(imread(picture)[..., :3].astype(int), -1, 0)
    assert (np.maximum(red, blue) - green > 80).sum() > 20  # four epochs leave errors of one kind at least
    assert red.size > 800 * 600


def test_a_finished_demo_is_not_replaced_unasked(finished: Demo, capfd: pytest.CaptureFixture[str]) -> None:
    before = (finished.run / "model.safetensors").read_bytes()
    assert main(["demo", str(finished.folder), "--no-viewer"]) == 1
    assert "--overwrite" in capfd.readouterr().err
    assert (finished.run / "model.safetensors").read_bytes() == before


def test_a_viewer_that_fails_is_explained(tmp_path: Path) -> None:
    try:
        check_display()
    except UserError:
        pytest.skip("there is no display, and no xvfb-run for a virtual one")
    with pytest.raises(UserError, match="napari-unet3d doctor"):
        show(Demo(tmp_path / "nothing"), tmp_path / "picture.png")
