"""The settings of a training run that determine the network and the classes that it learns."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from napari_unet3d.configs.base import Config, as_tuple, setting
from napari_unet3d.configs.training_enums import (
    Activation,
    AdnOrder,
    ArchitectureName,
    ClassWeighting,
    Names,
)

_LABELS, _NETWORK = "Labels and classes", "Network"
_FOR_UNET, _FOR_CLASSES = {"architecture": ("unet",)}, {"task": ("semantic",)}


class NetworkSettings(Config):
    """Classes with their weights in the loss, and the layers of the network."""

    class_names: Names = setting(
        (),
        "Names of the classes in order of their label values, without background.",
        group=_LABELS,
        visible_if=_FOR_CLASSES,
    )
    class_weighting: ClassWeighting = setting(
        ClassWeighting.NONE,
        "Class weights in the loss: equal (none), or higher for rarer classes (auto), which also adds false positives.",
        group=_LABELS,
    )
    class_weights: Annotated[tuple[float, ...], BeforeValidator(as_tuple)] = setting(
        (),
        "Class weights in the loss, background first; they override the class weighting.",
        minimum=0,
        maximum=1000,
        group=_LABELS,
        visible_if=_FOR_CLASSES,
    )

    architecture: ArchitectureName = setting(
        ArchitectureName.UNET,
        "Kind of network: MONAI's residual U-Net, or DynUNet as in nnU-Net, with deep supervision, at least three "
        "levels, and kernels that follow the voxel size.",
        group=_NETWORK,
    )
    dropout: float = setting(0.0, "Dropout probability.", minimum=0, maximum=0.95, step=0.01, group=_NETWORK)
    kernel_size: int = setting(
        3, "Size of the convolution kernels in voxels; odd.", minimum=1, maximum=11, group=_NETWORK
    )
    up_kernel_size: int = setting(
        3,
        "Size of the transposed convolution kernels in voxels; odd.",
        minimum=3,
        maximum=11,
        group=_NETWORK,
        visible_if=_FOR_UNET,
    )
    activation: Activation = setting(Activation.PRELU, "Activation function.", group=_NETWORK, visible_if=_FOR_UNET)
    bias: bool = setting(True, "Use a bias in convolutions.", group=_NETWORK, visible_if=_FOR_UNET)
    adn_order: AdnOrder = setting(
        "NDA",
        "Order of norm (N), dropout (D) and activation (A) after each convolution.",
        label="norm/dropout/act. order",
        group=_NETWORK,
        visible_if=_FOR_UNET,
    )
