"""The choices among the settings of a training run; each knows its words for a form."""

from __future__ import annotations

from typing import Self

from napari_unet3d.configs.base import ChoiceEnum


class ArchitectureName(ChoiceEnum):
    """Kind of network, with its name in menus; each is a module in `napari_unet3d.model.architectures`."""

    menu_label: str

    def __new__(cls, value: str, menu_label: str) -> Self:
        """Make a member from its value and its label."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.menu_label = menu_label
        return member

    UNET = ("unet", "U-Net")
    DYNUNET = ("dynunet", "DynUNet")

    @property
    def label(self) -> str:
        """The label in menus."""
        return self.menu_label


class Preset(ChoiceEnum):
    """Size of the network; `channels` are the feature channels per level, each level halving the resolution."""

    channels: tuple[int, ...]

    def __new__(cls, value: str, *channels: int) -> Self:
        """Make a member from its spelling and its channels."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.channels = channels
        return member

    XXSMALL = ("xxsmall", 4, 8)
    XSMALL = ("xsmall", 16, 32)
    SMALL = ("small", 32, 64, 128)
    MEDIUM = ("medium", 64, 128, 256)
    LARGE = ("large", 64, 128, 256, 512, 1024)
    XLARGE = ("xlarge", 64, 128, 256, 512, 1024, 2048)
    XXLARGE = ("xxlarge", 64, 128, 256, 512, 1024, 2048, 4096)

    @property
    def label(self) -> str:
        """The words for a menu."""
        return f"{self.value} ({', '.join(map(str, self.channels))})"

    @property
    def total_stride(self) -> int:
        """The number of voxels that become one at the bottom of the network; a volume's sides are multiples of it."""
        return int(2 ** (len(self.channels) - 1))


class Task(ChoiceEnum):
    """What the network learns: one foreground, a class per label value, or single objects with an id each."""

    BINARY = "binary"
    SEMANTIC = "semantic"
    INSTANCE = "instance"

    @property
    def label(self) -> str:
        """The words for a menu."""
        spellings = {"binary": "One foreground", "semantic": "Classes", "instance": "Single objects"}
        return spellings[self.value]


class PatchMode(ChoiceEnum):
    """Patches of a size chosen from volumes, network and memory, or whole volumes."""

    AUTO = "auto"
    WHOLE = "whole"


class SpacingMode(ChoiceEnum):
    """Volumes keep their own voxel size, or are all brought to the median one of the training volumes."""

    ORIGINAL = "original"
    MEDIAN = "median"


class ClassWeighting(ChoiceEnum):
    """How much the classes count in the loss: all the same, or rare ones more."""

    NONE = "none"
    AUTO = "auto"


class Activation(ChoiceEnum):
    """The non-linearity of the network; `monai_name` is its name in MONAI."""

    PRELU = "prelu"
    RELU = "relu"
    LEAKY_RELU = "leaky-relu"
    ELU = "elu"
    SIGMOID = "sigmoid"

    @property
    def label(self) -> str:
        """The words for a menu."""
        spellings = {"prelu": "PReLU", "relu": "ReLU", "leaky-relu": "Leaky ReLU", "elu": "ELU", "sigmoid": "Sigmoid"}
        return spellings[self.value]

    @property
    def monai_name(self) -> str:
        """The name that `monai.networks.layers.Act` knows."""
        return str(self.value).replace("-", "")


class Augmentation(ChoiceEnum):
    """How strongly training volumes are varied."""

    NONE = "none"
    LIGHT = "light"
    MODERATE = "moderate"
    HEAVY = "heavy"


class ResizeMode(ChoiceEnum):
    """How a volume whose sides the network cannot halve often enough is made to fit."""

    CROP = "crop"
    RESIZE = "resize"
    PAD = "pad"


class Normalisation(ChoiceEnum):
    """How grey values are brought to one scale, per volume; see `napari_unet3d.transforms.normalise`."""

    Z_SCORE = "z-score"
    PERCENTILE = "percentile"
    MIN_MAX = "min-max"
    NONE = "none"


class Loss(ChoiceEnum):
    """What training makes small."""

    BCE = "bce"
    DICE = "dice"
    FOCAL = "focal"
    DICE_CE = "dice-ce"

    @property
    def label(self) -> str:
        """The words for a menu."""
        return {"bce": "BCE", "dice": "Dice", "focal": "Focal", "dice-ce": "Dice + CE"}[self.value]


class Optimizer(ChoiceEnum):
    """The rule that turns gradients into steps."""

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"
    RMSPROP = "rmsprop"

    @property
    def label(self) -> str:
        """The words for a menu."""
        return {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop"}[self.value]


class LRSchedule(ChoiceEnum):
    """How the learning rate goes over a run; see `napari_unet3d.training.optim.schedules`."""

    CONSTANT = "constant"
    COOLDOWN = "cooldown"
    COSINE = "cosine"
    POLY = "poly"
    ONE_CYCLE = "one-cycle"
    PLATEAU = "plateau"


class Device(ChoiceEnum):
    """Where the network runs; auto takes CUDA, then MPS, then the CPU."""

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"

    @property
    def label(self) -> str:
        """The words for a menu."""
        return "Auto" if self is Device.AUTO else str(self.value).upper()


class Precision(ChoiceEnum):
    """Number type of the heavy arithmetic; auto takes the fastest that the device does well."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"

    @property
    def label(self) -> str:
        """The words for a menu."""
        return "Auto" if self is Precision.AUTO else str(self.value)
