"""The layers that the Train dock trains on: pairs of an image, with its channels, and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from magicgui.widgets import Select
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from napari_unet3d.configs import FourthAxis
from napari_unet3d.data.chunk_cache import ChunkCache, cache_bytes
from napari_unet3d.data.memmap import volume_budget
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.containers import Panel, button, column, row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.convert_row import ConvertRow
from napari_unet3d.widgets.forms.layer_menu import layer_menu, prefer_pair
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.large_layers import large_sample, stays_in_parts
from napari_unet3d.widgets.viewer.time_layers import series_of_layers

_ROW_HEIGHT = 22


class LayerPairs(Panel):
    """The menus of an image and its labels, and a list of pairs that were added.

    Parameters
    ----------
    context : Context
        The viewer whose layers are offered.

    Attributes
    ----------
    pairs_changed : Signal()
        Emitted after a pair was added or removed here.
    image_layer, labels_layer : ComboBox
        The layers to train on, or to add as a pair.
    channels : ChannelList
        The layers of further channels of the image.
    voxel_size : VoxelSizeRow
        The voxel size of the image layer.
    convert : ConvertRow
        Makes labels of an Image layer that holds some.
    pairs : list of (Image, Labels)
        The pairs that were added; without any, the chosen layers are the only pair.
    pair_list : Select
        Shows them.
    """

    pairs_changed = Signal()

    def __init__(self, context: Context) -> None:
        self._viewer = viewer = context.viewer
        self.image_layer = layer_menu(viewer, Image, "The volume to train on.", label="Image")
        self.channels = ChannelList(viewer, self.image_layer)
        self.labels_layer = layer_menu(
            viewer, Labels, "Its ground truth; the settings define what the label values mean.", label="Labels"
        )
        self.voxel_size = VoxelSizeRow(context, self.image_layer)
        self.convert = ConvertRow(context, self.labels_layer, self.image_layer)
        self.pairs: list[tuple[Image, Labels]] = []
        self._further: dict[tuple[Image, Labels], tuple[Image, ...]] = {}
        self.add_button = button(
            "Add pair", "Train on several pairs: choose the next two layers and add them, too.", self.add_pair
        )
        self.remove_button = button(
            "Remove", "Remove the selected pairs from the list; their layers stay.", self.remove_pairs
        )
        self.pair_list = Select(choices=self._pair_choices, tooltip="The pairs of image and labels to train on.")
        menus = column(self.image_layer, self.channels, self.labels_layer, labels=True, spacing=4)
        buttons = row(self.remove_button, self.add_button)
        super().__init__(menus, self.convert, self.voxel_size, self.pair_list, buttons, spacing=4)
        self._show_pairs()

    @property
    def is_chosen(self) -> bool:
        """Whether both menus have a layer."""
        return self.image_layer.value is not None and self.labels_layer.value is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is no pair to train on."""
        return not self.is_chosen and not self.pairs

    def samples(self, fourth_axis: FourthAxis) -> tuple[Sample, ...]:
        """Read the layers of all pairs; of several time points each of them.

        Parameters
        ----------
        fourth_axis : FourthAxis
            What the axis of layers beside z, y and x is.

        Raises
        ------
        UserError
            When nothing is chosen, or a layer is no volume with labels.
        """
        self.forget_removed_layers()
        if self._chosen_pairs()[0][1] is None:
            raise UserError(f"No labels layer is chosen; {self._remedy()}")
        return tuple(sample for pair in self._chosen_pairs() for sample in self._samples_of(pair, fourth_axis))

    def labels_of(self, name: str) -> list[Labels]:
        """Return the Labels layers that are paired with the image layer of a name."""
        complete = [pair for pair in self._chosen_pairs() if None not in pair]
        return [pair[1] for pair in complete if name in (pair[0].name, names_of(self._channels_of(pair))[0])]

    def chosen_layers(self) -> list[Layer]:
        """Return all layers that are trained on."""
        layers = [layer for pair in self._chosen_pairs() for layer in (*self._channels_of(pair), pair[1])]
        return [layer for layer in layers if layer is not None]

    def labels_layers(self) -> list[Labels]:
        """Return the Labels layers that are trained on."""
        return [labels for _, labels in self._chosen_pairs() if labels is not None]

    def subject(self) -> HandOver | None:
        """Return the first image that is trained on, with its labels and further channels; None without them."""
        image, labels = pair = self._chosen_pairs()[0]
        if image is None or labels is None:
            return None
        return HandOver(image=image, truth=labels, channels=tuple(self._channels_of(pair)[1:]))

    def choose(self, image: Image, labels: Labels, channels: Sequence[Image] = ()) -> None:
        """Choose the layers of one volume instead of all pairs before."""
        self.pairs.clear()
        self._show_pairs()
        self.reset_choices()  # a new layer may not be in the menus yet
        self.image_layer.value, self.labels_layer.value = image, labels
        self.channels.choose(list(channels))

    def prefer_available(self) -> None:
        """Choose the selected layers, or else those that were opened last, unless others were chosen."""
        prefer_pair(self._viewer, self.image_layer, self.labels_layer)

    def reset_choices(self, *_: Any) -> None:
        """Update the layer menus, and drop pairs whose layers left the viewer."""
        super().reset_choices()
        self.forget_removed_layers()

    def forget_removed_layers(self) -> None:
        """Drop pairs whose layers left the viewer."""
        present = list(self._viewer.layers)
        self.pairs = [pair for pair in self.pairs if pair[0] in present and pair[1] in present]
        self._show_pairs()

    def add_pair(self) -> None:
        """Add the chosen layers to the pairs."""
        pair = (self.image_layer.value, self.labels_layer.value)
        if None not in pair and pair not in self.pairs:
            self.pairs.append(pair)
            self._further[pair] = tuple(self.channels.layers[1:])
        self._show_pairs()
        self.pairs_changed.emit()

    def remove_pairs(self) -> None:
        """Remove the selected pairs from the list."""
        selected = self.pair_list.value
        self.pairs = [pair for index, pair in enumerate(self.pairs) if index not in selected]
        self._show_pairs()
        self.pairs_changed.emit()

    def _chosen_pairs(self) -> list[tuple[Any, Any]]:
        return list(self.pairs) or [(self.image_layer.value, self.labels_layer.value)]

    def _remedy(self) -> str:
        if (image := self.convert.image) is not None:
            return f"press 'Convert to labels' to make one of '{image.name}', or label some objects in a new one."
        return "paint some labels in the dock Annotate, or open them and choose them here."

    def _samples_of(self, pair: tuple[Image, Labels], fourth_axis: FourthAxis) -> Iterator[Sample]:
        layers = *pair, self._channels_of(pair)[1:]
        series = series_of_layers(*layers, fourth_axis, self._viewer)
        if series is not None:
            yield from map(series.sample, range(series.n_times))
            return
        image, labels, further = layers
        is_large = None not in pair and stays_in_parts([image, labels, *further], volume_budget())
        read = partial(large_sample, cache=ChunkCache(cache_bytes())) if is_large else sample_from_layers
        yield read(*layers, has_channels=fourth_axis is FourthAxis.CHANNELS)

    def _channels_of(self, pair: tuple[Image, Labels]) -> list[Image]:
        """Return the layers of all channels of a pair that was added, or else of the one that is chosen."""
        if pair in self.pairs:
            further = self._further.get(pair, ())
            return [pair[0], *(layer for layer in further if layer in self._viewer.layers)]
        return self.channels.layers

    def _pair_choices(self, _list: Any) -> list[tuple[str, int]]:
        names = [", ".join(layer.name for layer in self._channels_of(pair)) for pair in self.pairs]
        return [
            (f"{name}  +  {pair[1].name}", index)
            for index, (name, pair) in enumerate(zip(names, self.pairs, strict=True))
        ]

    def _show_pairs(self) -> None:
        self.pair_list.reset_choices()
        self.pair_list.native.setFixedHeight(6 + _ROW_HEIGHT * min(4, max(1, len(self.pairs))))
        self.pair_list.visible = self.remove_button.visible = bool(self.pairs)
