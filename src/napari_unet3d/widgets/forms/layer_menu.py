"""Menus of layers, and which layers they stand on before anybody has chosen: selected ones, then the latest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args
from weakref import ReferenceType, ref

import numpy as np
from magicgui.widgets import ComboBox, create_widget
from napari.layers import Image, Labels, Layer

from napari_unet3d.widgets.forms.choices import narrow
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.channel_layers import siblings_of, volume_of
from napari_unet3d.widgets.viewer.label_images import holds_labels
from napari_unet3d.widgets.viewer.layer_metadata import DIFFERENCE, is_helper, is_live, is_made_of_volume, is_ours

_LEAST_LETTERS = 13  # as wide as an X, that a menu shows: about 16 of a name
_TRUTH = " labels"  # ending of the names of the ground truth that the plugin shows


class LayerMenu(ComboBox):
    """A menu of layers that keeps the chosen one, also when it is renamed, and knows whether somebody has chosen it."""

    _chosen: ReferenceType[Layer] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        narrow(self, _LEAST_LETTERS)
        self.native.activated.connect(lambda _index: self._remember(self.value))

    def set_value(self, value: Any) -> None:
        """Choose a layer, or None."""
        self._remember(value)  # before the change is told
        super().set_value(value)

    @property
    def is_chosen(self) -> bool:
        """Whether a person or a script has chosen the layer, rather than `prefer`, and it is still there."""
        chosen = None if self._chosen is None else self._chosen()
        return chosen is not None and chosen is self.value

    def prefer(self, layer: Layer | None) -> None:
        """Choose a layer unless another one was chosen by a person or a script; None leaves the menu as it is."""
        if layer is not None and not self.is_chosen and layer is not self.value and layer in self.choices:
            super().set_value(layer)

    def reset_choices(self, *_: Any) -> None:
        """Update the layers; the chosen one stays, whatever it is called by now."""
        before = self.value
        with self.changed.blocked():
            super().reset_choices()
            if before is not self.value and before in self.choices:
                super().set_value(before)
        if self.value is not before:
            self.changed.emit(self.value)

    def _remember(self, layer: Any) -> None:
        self._chosen = ref(layer) if isinstance(layer, Layer) else None


def layer_menu(viewer: Any, annotation: Any, tooltip: str, label: str) -> LayerMenu:
    """Return a menu of the layers of a type; its value is the layer or None. `reset_choices` brings it up to date.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers; those that only help to look are left out.
    annotation : type
        Such as ``Image`` (the first one is chosen), or ``Image | Labels | None`` (none is chosen, and can be
        chosen again).
    tooltip : str
        What the layer is used for.
    label : str
        What stands at its left.
    """
    kinds = tuple(kind for kind in get_args(annotation) or (annotation,) if kind is not type(None))

    def layers(_menu: object) -> list[Layer]:
        return [layer for layer in viewer.layers if isinstance(layer, kinds) and not is_helper(layer)]

    options = {"choices": layers, "tooltip": tooltip, "widget_type": LayerMenu}
    menu = create_widget(annotation=annotation, label=label, options=options)
    assert isinstance(menu, LayerMenu)
    return menu


def prefer_pair(viewer: Any, image_menu: LayerMenu, labels_menu: LayerMenu) -> None:
    """Set menus to the image and its labels that a person is likely to mean, unless others were chosen.

    These are the selected ones or, without any, those that were opened last; not what the plugin has computed. Labels
    are of the shape of their image.
    """
    images, truths = _images(image_menu), [layer for layer in labels_menu.choices if _is_truth(layer)]
    if labels_menu.is_chosen and isinstance(labels_menu.value, Labels):
        truths = [labels_menu.value]  # whose image it must be
    image_menu.prefer(_first_channel(viewer, _best_image(viewer, images, truths), images))
    labels_menu.prefer(_best_labels(viewer, image_menu.value, images, truths))


def prefer_image(viewer: Any, image_menu: LayerMenu) -> None:
    """Set a menu to the selected image or, without one, to that which was opened last, unless another was chosen."""
    images = _images(image_menu)
    latest = next(iter([*_selected(viewer, images), *reversed(images)]), None)
    image_menu.prefer(_first_channel(viewer, latest, images))


def _first_channel(viewer: Any, image: Image | None, images: Sequence[Image]) -> Image | None:
    """Return the first channel of the volume of which an image is one; napari selects the last that it opens."""
    if image is None:
        return None
    channels = [image, *siblings_of(viewer, image)]
    return next((layer for layer in images if layer in channels), image)


def _images(menu: LayerMenu) -> list[Image]:
    """Return the volumes of a menu, without those that are labels, unless there are no others."""
    volumes = [layer for layer in menu.choices if is_volume(layer)]
    return [layer for layer in volumes if not holds_labels(layer)] or volumes


def is_volume(layer: Any) -> bool:
    """Return whether an Image layer shows a volume, which the plugin has not computed from another one."""
    if not isinstance(layer, Image) or layer.ndim < 3 or layer.rgb or layer.multiscale:
        return False
    return not (is_made_of_volume(layer) or is_live(layer))


def may_hold_objects(layer: Any) -> bool:
    """Return whether labels may be those of objects: neither what a run shows, nor a difference or an annotation."""
    if not isinstance(layer, Labels) or is_live(layer) or annotation_info(layer) is not None:
        return False
    return not (is_ours(layer) and layer.name.endswith(DIFFERENCE))


def _is_truth(layer: Any) -> bool:
    """Return whether labels may be ground truth: those of the user, and those that were opened with an image."""
    return isinstance(layer, Labels) and layer.ndim >= 3 and (not is_ours(layer) or layer.name.endswith(_TRUTH))


def _selected(viewer: Any, layers: Sequence[Layer]) -> list[Any]:
    return [layer for layer in layers if layer in viewer.layers.selection]


def _best_image(viewer: Any, images: Sequence[Image], truths: Sequence[Labels]) -> Image | None:
    """Return the image that is meant: one with labels before any without, which napari selects when it is opened."""
    selected, selected_labels = _selected(viewer, images), _selected(viewer, truths)
    annotated = [image for image in images if any(_fit(image, labels, images) for labels in truths)]
    painted = [image for image in annotated if any(_fit(image, labels, images) for labels in selected_labels)]
    first = [*(image for image in selected if image in annotated), *reversed(painted), *reversed(annotated)]
    return next(iter([*first, *selected, *reversed(images)]), None)


def _best_labels(viewer: Any, image: Any, images: Sequence[Image], truths: Sequence[Labels]) -> Labels | None:
    fitting = [labels for labels in truths if isinstance(image, Image) and _fit(image, labels, images)]
    named = [labels for labels in fitting if labels.name == f"{volume_of(image)}{_TRUTH}"]
    return next(iter([*_selected(viewer, fitting), *reversed(named), *reversed(fitting)]), None)


def _fit(image: Image, labels: Labels, images: Sequence[Image]) -> bool:
    """Return whether labels have the shape of an image, and not the name of another one."""
    others = {volume_of(each) for each in images} - {volume_of(image)}
    is_of_other = labels.name in {f"{name}{_TRUTH}" for name in others}
    return np.shape(labels.data)[-3:] == np.shape(image.data)[-3:] and not is_of_other
