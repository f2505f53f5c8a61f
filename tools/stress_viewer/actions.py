"""What a user can do in the viewer, drawn at random: with layers, with the view, with docks and with jobs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QRadioButton, QWidget

from napari_unet3d.configs.preferences import RunOn

DOCKS = ("Generate data", "Dataset", "Train", "Predict", "Inspect")
PLUGIN = "napari-unet3d"
SHAPES = ((12, 14, 18), (12, 14, 18), (12, 14, 18), (9, 16, 20), (2, 12, 14, 18), (20, 24))
NAMES = ("v", "v labels", "v prediction", "v difference", "v probability", "grey", "painted", "1", "3 (test)")
KEYS = "JGNWKQHUVP"
MOST_LAYERS = 6
# They start long work outside the viewer, or leave the program.
AVOIDED = ("Generate sample data and train",)


class User:
    """Does what a user can do, as a generator of random numbers decides.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    rng : random.Random
        Decides what is done.
    folder : Path
        Holds a ``dataset`` and a ``run``.
    """

    def __init__(self, viewer: Any, rng: random.Random, folder: Path) -> None:
        self.viewer, self.rng, self.folder = viewer, rng, folder
        self.window = viewer.window._qt_window
        self.next_action: Callable[[], str] | None = None  # what can only be done when a dock is shown

    def act(self, scenario: str) -> str:
        """Do something that fits a scenario, and return what it was."""
        if (action := self.next_action) is not None:
            self.next_action = None
            return action()
        actions, weights = zip(*ACTIONS[scenario], strict=True)
        chosen: Callable[[User], str] = self.rng.choices(actions, weights)[0]
        if chosen.__name__.startswith("add") and len(self.viewer.layers) >= MOST_LAYERS:
            chosen = remove_layer  # more only take longer to draw
        return f"{chosen.__name__} {chosen(self) or ''}".rstrip()

    def layer(self) -> Layer | None:
        """Return any layer; None without one."""
        return self.rng.choice(list(self.viewer.layers)) if len(self.viewer.layers) else None

    def open_dock(self, name: str) -> Any:
        """Open a dock from the Plugins menu, or bring it to the front."""
        actions = {action.text(): action for action in _all_actions(self.viewer.window.plugins_menu)}
        (actions.get(f"{name} ({PLUGIN})") or actions[name]).trigger()
        return self.dock(name)

    def dock(self, name: str) -> Any:
        """Return a dock that is open, or None."""
        return dict(self.viewer.window.dock_widgets).get(f"{name} ({PLUGIN})")

    def open_docks(self) -> dict[str, Any]:
        """Return the docks that are open, by their names."""
        return {name: dock for name in DOCKS if (dock := self.dock(name)) is not None}

    def click(self, widget: QWidget) -> bool:
        """Click a button where its text is, if a user could; return whether it was possible."""
        if not (widget.isVisible() and widget.isEnabled()):
            return False
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())
        return True


def _all_actions(menu: Any) -> Iterator[Any]:
    for action in menu.actions():
        if action.menu() is not None:
            yield from _all_actions(action.menu())
        else:
            yield action


def boxes(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return labels of two boxes, somewhere in a volume of a shape."""
    rng, labels = np.random.default_rng(seed), np.zeros(shape, np.uint8)
    for value in (1, 1):
        start = [int(rng.integers(0, max(1, side // 2))) for side in shape]
        labels[tuple(slice(first, first + max(1, side // 3)) for first, side in zip(start, shape, strict=True))] = value
    return labels


def grey(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a noisy image of labels."""
    noise = np.random.default_rng(seed).integers(0, 40, labels.shape)
    return (labels * 100 + noise).astype(np.uint8)


def add_image(user: User) -> str:
    """Open an image."""
    labels = boxes(user.rng.choice(SHAPES), user.rng.randrange(99))
    scale = (2.0, 1.0, 0.5)[-labels.ndim :] if labels.ndim <= 3 else (1.0,) * labels.ndim
    return user.viewer.add_image(grey(labels, 1), name=user.rng.choice(NAMES), scale=scale).name


def add_labels(user: User) -> str:
    """Open labels."""
    data = boxes(user.rng.choice(SHAPES), user.rng.randrange(99)).astype(user.rng.choice(("uint8", "int32")))
    scale = (2.0, 1.0, 0.5)[-data.ndim :] if data.ndim <= 3 else (1.0,) * data.ndim
    return user.viewer.add_labels(data, name=user.rng.choice(NAMES), scale=scale).name


def add_volume(user: User) -> str:
    """Open an image with its labels."""
    labels = boxes(SHAPES[0], user.rng.randrange(99))
    image = user.viewer.add_image(grey(labels, 2), name="v", scale=(2, 1, 1))
    user.viewer.add_labels(labels, name="painted", scale=(2, 1, 1))
    return image.name


def add_points(user: User) -> str:
    """Make a Points layer."""
    return user.viewer.add_points(np.full((3, 3), 5.0), name="positions").name


def remove_layer(user: User) -> str:
    """Delete a layer."""
    if (layer := user.layer()) is None:
        return ""
    user.viewer.layers.remove(layer)
    return layer.name


def remove_all(user: User) -> str:
    """Select all layers and delete them."""
    user.viewer.layers.select_all()
    user.viewer.layers.remove_selected()
    return ""


def rename(user: User) -> str:
    """Rename a layer."""
    if (layer := user.layer()) is None:
        return ""
    layer.name = user.rng.choice(NAMES)
    return layer.name


def reorder(user: User) -> str:
    """Move a layer up or down."""
    if len(user.viewer.layers) > 1:
        user.viewer.layers.move(*(user.rng.randrange(len(user.viewer.layers)) for _ in range(2)))
    return ""


def replace_data(user: User) -> str:
    """Replace the data of a layer, of the same shape or another one."""
    layer = user.layer()
    if not isinstance(layer, Image | Labels):
        return ""
    shape = tuple(layer.data.shape) if user.rng.random() < 0.6 else user.rng.choice(SHAPES)
    if len(shape) != layer.ndim:
        return ""
    new = boxes(shape, user.rng.randrange(99))
    layer.data = new.astype(layer.data.dtype) if isinstance(layer, Labels) else grey(new, 3)
    return f"{layer.name} {shape}"


def hide_or_show(user: User) -> str:
    """Hide or show a layer."""
    if (layer := user.layer()) is None:
        return ""
    layer.visible = not layer.visible
    return layer.name


def select(user: User) -> str:
    """Select a layer."""
    if (layer := user.layer()) is None:
        return ""
    user.viewer.layers.selection.active = layer
    return layer.name


def rescale(user: User) -> str:
    """Change the voxel size of a layer."""
    if (layer := user.layer()) is None:
        return ""
    layer.scale = [user.rng.choice((0.5, 1.0, 3.0)) for _ in range(layer.ndim)]
    return layer.name


def paint(user: User) -> str:
    """Paint a dot into labels."""
    layer = user.layer()
    if not isinstance(layer, Labels):
        return ""
    layer.paint([side / 2 for side in layer.data.shape], user.rng.randrange(3))
    if user.rng.random() < 0.3:
        layer.undo()
    return layer.name


def duplicate(user: User) -> str:
    """Duplicate the selected layers, as the menu of the list does."""
    from napari.layers._layer_actions import _duplicate_layer

    if len(user.viewer.layers) < 12:
        _duplicate_layer(user.viewer.layers)
    return ""


def change_dimensions(user: User) -> str:
    """Change between slices and 3D."""
    user.viewer.dims.ndisplay = 5 - user.viewer.dims.ndisplay
    return str(user.viewer.dims.ndisplay)


def change_theme(user: User) -> str:
    """Change between dark and light."""
    user.viewer.theme = "light" if user.viewer.theme == "dark" else "dark"
    return user.viewer.theme


def change_view(user: User) -> str:
    """Move the slices, roll the axes, zoom, or show all."""
    viewer, choice = user.viewer, user.rng.randrange(5)
    if choice == 0:
        viewer.dims._increment_dims_right()
    elif choice == 1:
        viewer.dims.roll()
    elif choice == 2:
        viewer.reset_view()
    elif choice == 3:
        viewer.scene.camera.zoom *= 1.5
    else:
        viewer.canvas.grid.enabled = not viewer.canvas.grid.enabled
    return str(choice)


def resize(user: User) -> str:
    """Resize the window."""
    user.window.resize(user.rng.randrange(700, 1200), user.rng.randrange(500, 700))
    return ""


def press_key(user: User) -> str:
    """Press a key in the canvas."""
    key, canvas = user.rng.choice(KEYS), user.viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, key.lower())
    return key


def open_dock(user: User) -> str:
    """Open a dock."""
    name = user.rng.choice(DOCKS)
    user.open_dock(name)
    return name


def close_dock(user: User) -> str:
    """Close a dock with the cross in its title."""
    if not (docks := user.open_docks()):
        return ""
    name = user.rng.choice(list(docks))
    frame = next(
        frame for frame in user.viewer.window._wrapped_dock_widgets.values() if frame.inner_widget() is docks[name]
    )
    frame.title.close_button.click()
    return name


def float_dock(user: User) -> str:
    """Take a dock out of the window, or put it back."""
    if not (docks := user.open_docks()):
        return ""
    name = user.rng.choice(list(docks))
    frame = next(
        frame for frame in user.viewer.window._wrapped_dock_widgets.values() if frame.inner_widget() is docks[name]
    )
    frame.setFloating(not frame.isFloating())
    return name


def train_on_layers(user: User) -> str:
    """Train on what is open."""
    dock = user.open_dock("Train")
    dock.source.use_layers()
    return _press_start(user, dock)


def train_on_folder(user: User) -> str:
    """Train on the dataset."""
    dock = user.open_dock("Train")
    dock.source.use_folder(user.folder / "dataset")
    if dock.run_folder.value is not None and user.rng.random() < 0.1:
        dock.run_on.value = user.rng.choice((RunOn.VIEWER, RunOn.PROCESS))
    return _press_start(user, dock)


def _press_start(user: User, dock: Any) -> str:
    """Press the start button of a dock, as the next action if the dock was only just opened."""
    button = dock.job_bar.start_button.native

    def press() -> str:
        return dock.message.text()[:60] if user.click(button) else "not possible"

    if button.isVisible():
        return press()
    user.next_action = lambda: f"then press start: {press()}"
    return ""


def stop(user: User) -> str:
    """Stop the job of a dock."""
    for name, dock in user.open_docks().items():
        if user.click(dock.job_bar.stop_button.native):
            return name
    return ""


def pause(user: User) -> str:
    """Pause a job or continue it."""
    dock = user.dock("Train")
    return "" if dock is None else str(user.click(dock.job_bar.pause_button.native))


def start_something(user: User) -> str:
    """Press the start button of a dock."""
    if not (docks := user.open_docks()):
        return ""
    name = user.rng.choice(list(docks))
    return f"{name}: {_press_start(user, docks[name])}"


def predict(user: User) -> str:
    """Predict what is open with the run."""
    dock = user.open_dock("Predict")
    dock.model.value = user.folder / "run"
    return _press_start(user, dock)


def inspect(user: User) -> str:
    """Inspect what is chosen."""
    return _press_start(user, user.open_dock("Inspect"))


def inspect_run(user: User) -> str:
    """Inspect the errors of the run."""
    user.open_dock("Inspect").inspect_run(user.folder / "run")
    return ""


def press_any_button(user: User) -> str:
    """Press any button of an open dock."""
    if not (docks := user.open_docks()):
        return ""
    name = user.rng.choice(list(docks))
    found = [
        each
        for each in docks[name].native.findChildren(QAbstractButton)
        if each.isVisible() and each.isEnabled() and each.text() not in AVOIDED and not _is_setting(each)
    ]
    if not found:
        return ""
    button = user.rng.choice(found)
    words = f"{name}: {button.text() or button.toolTip()[:40]!r}"
    user.click(button)
    return words


def choose_any(user: User) -> str:
    """Choose another item in a menu of an open dock, such as another layer."""
    if not (docks := user.open_docks()):
        return ""
    name = user.rng.choice(list(docks))
    menus = [each for each in docks[name].native.findChildren(QComboBox) if each.isVisible() and not _is_setting(each)]
    menus = [each for each in menus if each.isEnabled() and each.count() > 1]
    if not menus:
        return ""
    menu = user.rng.choice(menus)
    menu.setCurrentIndex(user.rng.randrange(menu.count()))
    return f"{name}: {menu.currentText()[-40:]}"


def _is_setting(widget: QWidget) -> bool:
    """Return whether a widget belongs to a form of settings, with which a network could become too large."""
    from napari_unet3d.widgets.forms.form import ConfigForm

    parent: Any = widget if not isinstance(widget, QRadioButton) else widget.parentWidget()
    while parent is not None:
        if isinstance(getattr(parent, "_magic_widget", None), ConfigForm):
            return True
        parent = parent.parentWidget()
    return False


_LAYERS = [
    (add_image, 2), (add_labels, 2), (add_volume, 2), (add_points, 0.3), (remove_layer, 5), (remove_all, 1),
    (rename, 3), (reorder, 3), (replace_data, 3), (hide_or_show, 2), (select, 2), (rescale, 1), (paint, 2),
    (duplicate, 0.5), (change_dimensions, 3), (change_theme, 1), (change_view, 3), (resize, 0.5),
]  # fmt: skip
_DOCKS = [(open_dock, 3), (close_dock, 2), (float_dock, 0.5), (press_any_button, 4), (choose_any, 2), (press_key, 2)]
_JOBS = [
    (train_on_layers, 2), (train_on_folder, 1), (stop, 2), (pause, 1), (start_something, 2), (predict, 2), (inspect, 2),
    (inspect_run, 0.5),
]  # fmt: skip
ACTIONS = {
    "any": [*_LAYERS, *_DOCKS, *_JOBS],
    "docks": [*_LAYERS[:5], *((action, 3 * weight) for action, weight in _DOCKS), *_JOBS],
    "training": [*_LAYERS, (choose_any, 1), (press_any_button, 0.5)],
    "inspecting": [*_LAYERS, (press_key, 8), (choose_any, 1), (press_any_button, 2)],
}
DOCKS_AT_FIRST = {"any": (), "docks": (), "training": ("Train",), "inspecting": ("Predict", "Inspect")}
BEGINNINGS: dict[str, tuple[Callable[[User], str], ...]] = {
    "any": (add_volume,),
    "docks": (add_volume, open_dock),
    "training": (add_volume, train_on_layers),
    "inspecting": (add_volume, predict, inspect_run),
}
