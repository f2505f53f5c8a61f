"""The faster layers that a network gets on the CPU; each computes what the layer that it replaces does."""

from __future__ import annotations

import torch

from napari_unet3d.model.cpu.convolutions import HalvedConv3d, SingleOutputConvTranspose3d
from napari_unet3d.model.cpu.norm_activation import (
    ChannelsLastInstanceNorm3d,
    InPlaceADN,
    InPlaceResidualUnit,
    SingleSlopePReLU,
)
from napari_unet3d.model.cpu.winograd import WinogradConv3d

_FAST_LAYERS: tuple[type[torch.nn.Module], ...] = (
    HalvedConv3d,
    ChannelsLastInstanceNorm3d,
    SingleSlopePReLU,
    InPlaceADN,
    InPlaceResidualUnit,
    SingleOutputConvTranspose3d,
    WinogradConv3d,  # which replaces some of the HalvedConv3d
)


def optimize_for_cpu(network: torch.nn.Module) -> None:
    """Replace the layers of a network that is in channels-last layout on the CPU by faster ones, in place.

    Names and values of the weights stay, and so does what the network computes. Layers without a faster version stay
    as they are, so that this is safe for any architecture.
    """
    for layer_type in _FAST_LAYERS:
        swap_layers(network, layer_type)


def swap_layers(network: torch.nn.Module, layer_type: type[torch.nn.Module]) -> None:
    """Replace layers of a network by a faster type, in place; names and values of the weights stay.

    Parameters
    ----------
    network : Module
        The network; it is changed.
    layer_type : type
        A subclass of the type of layer to replace that adds no state to it, so that the class of the layer is simply
        exchanged. Layers of other subclasses stay as they are. Its static method ``is_faster(layer)``, if there is one,
        tells which layers profit.
    """
    is_faster = getattr(layer_type, "is_faster", lambda _: True)
    for layer in network.modules():
        if type(layer) is layer_type.__base__ and is_faster(layer):
            layer.__class__ = layer_type
