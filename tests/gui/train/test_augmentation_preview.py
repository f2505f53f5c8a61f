from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.training.augmented_patches import augmented_patches
from napari_unet3d.widgets.train.augmentation_preview import tile

CONFIG = TrainingConfig(
    epochs=2, val_fraction=0.34, patch=(8, 10, 12), augmentation="heavy", seed=4, device="cpu", ignore_label=0
)
SHAPE = (8, 10, 12)
NAMES = [
    "augmented patches before",
    "augmented patches before labels",
    "augmented patches",
    "augmented patches labels",
]


@pytest.fixture
def sparse(tmp_path, ball):
    """Volumes of which every fourth slice is not annotated."""
    folder = create_dataset(tmp_path / "sparse")
    for name in ("1", "2", "3"):
        sample = ball(name)
        sample.labels[:] = sample.labels + 1
        sample.labels[::4] = 0
        add_sample(folder, sample, Subset.TRAIN)
    return folder


@pytest.fixture
def dock(make_napari_viewer, sparse):
    from napari_unet3d.widgets.train.dock import TrainDock

    viewer = make_napari_viewer(show=True)
    dock = TrainDock(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    dock.source.use_folder(sparse)
    dock.settings.value = CONFIG
    return dock


@pytest.fixture
def draw(dock, qtbot):
    def _draw(button):
        button.native.click()
        job = dock.jobs.latest("patches")
        assert job is not None, dock.message.text()
        assert not dock.pre_run.augmented.show_button.enabled
        if job.is_running:
            with qtbot.waitSignal(job.ended, timeout=60_000):
                pass
        assert dock.message.kind == "info", dock.message.text()

    return _draw


def place_of(number, shape=SHAPE, gap=(0, 2, 2)):
    """Where a patch lies: 0.08 of the longest side of 16 µm (8 slices of 2 µm) are 1.28 µm, two voxels of 1 µm."""
    row, column = divmod(number, 4)
    y, x = row * (shape[1] + gap[1]), column * (shape[2] + gap[2])
    return slice(0, shape[0]), slice(y, y + shape[1]), slice(x, x + shape[2])


def test_the_patches_of_the_training_lie_in_two_rows(dock, draw, sparse):
    viewer = dock.viewer
    draw(dock.pre_run.augmented.show_button)
    assert [layer.name for layer in viewer.layers] == NAMES
    assert [layer.visible for layer in viewer.layers] == [False, False, True, True]
    image, labels = viewer.layers["augmented patches"], viewer.layers["augmented patches labels"]
    assert image.data.shape == labels.data.shape == (8, 22, 54)
    *_, expected = augmented_patches(sparse, CONFIG)
    for number, patch in enumerate(expected.patches):
        assert np.array_equal(image.data[place_of(number)], patch.image)
        assert np.array_equal(labels.data[place_of(number)], patch.labels)
        assert np.array_equal(viewer.layers[NAMES[0]].data[place_of(number)], patch.original)
    for layer in viewer.layers:
        assert tuple(layer.scale) == (2.0, 1.0, 1.0)
        assert set(map(str, layer.units)) == {"micrometer"}
    assert "first 8 patches of 8 × 10 × 12" in dock.message.text()
    assert "rotated by up to 30° in yx" in dock.message.text()
    assert "not annotated" in dock.message.text()


def test_the_next_eight_replace_them_in_place(dock, draw, sparse):
    viewer = dock.viewer
    draw(dock.pre_run.augmented.show_button)
    layers = list(viewer.layers)
    viewer.dims.ndisplay = 3
    viewer.scene.camera.zoom = 3.21
    draw(dock.pre_run.augmented.next_button)
    assert list(viewer.layers) == layers
    assert viewer.scene.camera.zoom == 3.21
    *_, expected = augmented_patches(sparse, CONFIG, n_before=8)
    assert np.array_equal(viewer.layers["augmented patches"].data[place_of(5)], expected.patches[5].image)
    assert "Numbers 9 to 16" in dock.message.text()
    draw(dock.pre_run.augmented.show_button)
    assert "The first 8" in dock.message.text()


def test_what_was_in_view_comes_back(dock, draw, viewer_image):
    viewer = dock.viewer
    hidden = viewer.add_labels(np.zeros((4, 5, 6), int), name="hidden before", visible=False)
    draw(dock.pre_run.augmented.show_button)
    assert not viewer_image.visible
    draw(dock.pre_run.augmented.next_button)
    dock.pre_run.augmented.remove_button.native.click()
    assert list(viewer.layers) == [viewer_image, hidden]
    assert viewer_image.visible
    assert not hidden.visible
    assert not dock.pre_run.augmented.show_button.native.isVisibleTo(dock.native)
    assert not dock.pre_run.augmented.next_button.native.isVisibleTo(dock.native)


@pytest.fixture
def viewer_image(dock):
    return dock.viewer.add_image(np.random.default_rng(0).random((9, 30, 40)), name="mine")


def test_no_dock_takes_patches_for_a_volume(dock, draw, viewer_image):
    draw(dock.pre_run.augmented.show_button)
    assert [layer.name for layer in dock.image_layer.choices] == ["mine"]
    assert not dock.labels_layer.choices


def test_grey_is_not_annotated_in_slices_and_clear_in_3d(dock, draw):
    viewer = dock.viewer
    draw(dock.pre_run.augmented.show_button)
    viewer.layers["augmented patches"].visible = False
    labels = viewer.layers["augmented patches labels"]
    labels.data = np.full_like(labels.data, 255)
    viewer.reset_view()
    middle = viewer.screenshot(flash=False)[..., :3]
    assert (np.ptp(middle.reshape(-1, 3).astype(int), axis=1) < 12).mean() > 0.9, "no colour"
    is_grey = middle.max(axis=2) > 40
    assert is_grey.mean() > 0.1
    viewer.dims.ndisplay = 3
    assert not (viewer.screenshot(flash=False)[..., :3].max(axis=2) > 40).any()


def test_patches_of_different_sizes_are_filled_up():
    small, large = np.ones((2, 3, 4), np.uint8), np.full((3, 2, 5), 2, np.uint8)
    tiled = tile([small, large, small, small, large], (1.0, 1.0, 1.0), 0)
    assert tiled.shape == (3, 3 + 1 + 3, 4 * 5 + 3)
    assert (tiled[:2, :3, :4] == 1).all()
    assert (tiled[:, :2, 6:11] == 2).all()
    assert (tiled[:, 4:6, :5] == 2).all()
    assert int((tiled > 0).sum()) == 3 * 24 + 2 * 30
