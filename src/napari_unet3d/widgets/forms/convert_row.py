"""A line below a menu of labels that offers to convert an Image layer which holds labels."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image

from napari_unet3d.widgets.components.containers import Panel, button, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.forms.layer_menu import LayerMenu
from napari_unet3d.widgets.viewer.label_images import add_labels_of_image, label_images, labels_of_image, read_labels


class ConvertRow(Panel):
    """Names an Image layer that holds labels and converts it; hidden while there is none, or labels were chosen.

    Parameters
    ----------
    context : Context
        Viewer, jobs and message line.
    menu : LayerMenu
        The menu of labels; the new layer is chosen in it.
    beside : LayerMenu, optional
        The menu of the layer that the labels belong to; they have its shape.
    needs_beside : bool
        Whether nothing is offered while no layer is chosen there.

    Attributes
    ----------
    text : Label
        Names the image.
    convert_button : PushButton
        Makes the Labels layer.
    image : Image or None
        The layer that is offered.
    """

    def __init__(
        self, context: Context, menu: LayerMenu, beside: LayerMenu | None = None, *, needs_beside: bool = False
    ) -> None:
        self._context, self._viewer, self._menu = context, context.viewer, menu
        self._beside, self._needs_beside = beside, needs_beside
        self.image: Image | None = None
        self.text = wrapping_label()
        self.convert_button = button(
            "Convert to labels",
            "<qt>Make a Labels layer of this image, in the same place, and choose it here. The image stays, hidden: to "
            "undo it, delete the new layer and show the image again.</qt>",
            self.convert,
        )
        super().__init__(self.text, self.convert_button, layout="horizontal", spacing=4)
        self.native.layout().setStretch(0, 1)
        self._converting = context.latest_only(self.native, "convert")
        self._converting.failed.connect(self._on_failed)
        for each in (menu, beside):
            if each is not None:
                each.changed.connect(self.refresh)
                each.native.activated.connect(self.refresh)  # which Qt emits later: only then somebody has chosen it
        self.refresh()

    def convert(self) -> None:
        """Make a Labels layer of the image that is offered, hide the image, and choose the layer in the menu."""
        if (image := self.image) is None:
            return
        work = partial(read_labels, image.name, image.data)
        self.convert_button.enabled = False
        self._converting.request(f"Converting {image.name} to labels", work, partial(self._on_read, image))

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers of the viewer."""
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Offer the image that is selected or was opened last, of those that hold labels."""
        self.image = self._offered()
        self.visible = self.image is not None
        if self.image is not None:
            self.text.value = f"'{_breakable(self.image.name)}' is an Image that holds labels."

    def _offered(self) -> Image | None:
        if self._menu.value is not None and self._menu.is_chosen:
            return None
        beside = None if self._beside is None else self._beside.value
        if beside is None and self._needs_beside:
            return None
        fitting = [image for image in label_images(self._viewer) if self._fits(image, beside)]
        selected = [image for image in fitting if image in self._viewer.layers.selection]
        return next(iter([*selected, *reversed(fitting)]), None)

    def _fits(self, image: Image, beside: Any) -> bool:
        if beside is None or self._beside is None:
            return True
        if image is beside:
            return bool(not self._beside.is_chosen)  # else it is meant as the image
        return bool(np.shape(image.data)[-3:] == np.shape(beside.data)[-3:])

    def _on_read(self, image: Image, data: Any) -> None:
        self.convert_button.enabled = True
        if image not in self._viewer.layers:  # removed meanwhile
            self.refresh()
            return
        layer = labels_of_image(self._viewer, image) or add_labels_of_image(self._viewer, image, data)
        self._menu.reset_choices()
        self._menu.value = layer
        self._context.message.show_message(
            f"'{layer.name}' is a Labels layer with the labels of '{image.name}', which is hidden now."
        )
        self.refresh()

    def _on_failed(self, _message: str) -> None:
        self.convert_button.enabled = True


def _breakable(name: str) -> str:
    """Return a name with places where a long one may go on in the next line."""
    return re.sub(r"([_\-./])", "\\1\u200b", name)
