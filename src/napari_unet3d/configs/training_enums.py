"""The choices in the settings of a training run, each with its label for menus, and the types of other values."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator

from napari_unet3d.configs.base import ChoiceEnum, LabelledEnum, as_tuple, mode_or_triple, setting


class ArchitectureName(LabelledEnum):
    """Kind of network, with its name in menus; each is a module in `napari_unet3d.model.architectures`."""

    UNET = ("unet", "U-Net")
    DYNUNET = ("dynunet", "DynUNet")


class Tracker(LabelledEnum):
    """Programs that record runs, with their names in menus."""

    TENSORBOARD = ("tensorboard", "TensorBoard")
    MLFLOW = ("mlflow", "MLflow")
    TRACKIO = ("trackio", "trackio")


class Preset(ChoiceEnum):
    """Size of the network; `channels` are the feature channels per level, each level halving the resolution."""

    channels: tuple[int, ...]

    def __new__(cls, value: str, *channels: int) -> Self:
        """Create a member from its value and its channels."""
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
        """The text in menus."""
        return f"{self.value} ({', '.join(map(str, self.channels))})"

    @property
    def total_stride(self) -> int:
        """The total stride of the network: the sides of its input are multiples of it."""
        return int(2 ** (len(self.channels) - 1))


class Task(ChoiceEnum):
    """What is segmented: one foreground, a class per label value, or single objects with an id each."""

    BINARY = "binary"
    SEMANTIC = "semantic"
    INSTANCE = "instance"

    @property
    def label(self) -> str:
        """The text in menus."""
        labels = {"binary": "One foreground", "semantic": "Classes", "instance": "Single objects"}
        return labels[self.value]


class PatchMode(ChoiceEnum):
    """Patches of an automatically chosen size, or whole volumes."""

    AUTO = "auto"
    WHOLE = "whole"


class VoxelSizeSource(ChoiceEnum):
    """Where the voxel size of a volume comes from; numbers instead are for volumes whose file has none."""

    FILE = "file"

    @property
    def label(self) -> str:
        """The text in menus."""
        return "As in the file"


class SpacingMode(ChoiceEnum):
    """Volumes keep their voxel size, or are resampled to the median one of the training volumes."""

    ORIGINAL = "original"
    MEDIAN = "median"


class ClassWeighting(ChoiceEnum):
    """Class weights in the loss: equal, or higher for rarer classes."""

    NONE = "none"
    AUTO = "auto"


class Activation(ChoiceEnum):
    """The activation function; `monai_name` is its name in MONAI."""

    PRELU = "prelu"
    RELU = "relu"
    LEAKY_RELU = "leaky-relu"
    ELU = "elu"
    SIGMOID = "sigmoid"

    @property
    def label(self) -> str:
        """The text in menus."""
        labels = {"prelu": "PReLU", "relu": "ReLU", "leaky-relu": "Leaky ReLU", "elu": "ELU", "sigmoid": "Sigmoid"}
        return labels[self.value]

    @property
    def monai_name(self) -> str:
        """The name in `monai.networks.layers.Act`."""
        return str(self.value).replace("-", "")


class Augmentation(ChoiceEnum):
    """Strength of random augmentation."""

    NONE = "none"
    LIGHT = "light"
    MODERATE = "moderate"
    HEAVY = "heavy"


class ResizeMode(ChoiceEnum):
    """How a volume is fitted to the network if its shape is not divisible by the total stride."""

    CROP = "crop"
    RESIZE = "resize"
    PAD = "pad"


class Normalisation(ChoiceEnum):
    """How intensities are normalised, per volume; see `napari_unet3d.transforms.normalise`."""

    Z_SCORE = "z-score"
    PERCENTILE = "percentile"
    MIN_MAX = "min-max"
    NONE = "none"


class FourthAxis(ChoiceEnum):
    """What the fourth axis of a file or layer is, beside z, y and x; auto uses what the file or layer says."""

    AUTO = "auto"
    CHANNELS = "channels"
    TIME_POINTS = "time-points"


class BestMetric(ChoiceEnum):
    """What decides which epoch is the best: the validation loss, or the F1 of single objects."""

    LOSS = "loss"
    F1 = "f1"

    @property
    def label(self) -> str:
        """The text in menus."""
        return {"loss": "Validation loss", "f1": "Object F1"}[self.value]


class Loss(ChoiceEnum):
    """The loss function."""

    BCE = "bce"
    DICE = "dice"
    FOCAL = "focal"
    DICE_CE = "dice-ce"

    @property
    def label(self) -> str:
        """The text in menus."""
        return {"bce": "BCE", "dice": "Dice", "focal": "Focal", "dice-ce": "Dice + CE"}[self.value]


class Optimizer(ChoiceEnum):
    """The optimiser."""

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"
    RMSPROP = "rmsprop"

    @property
    def label(self) -> str:
        """The text in menus."""
        return {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop"}[self.value]


class LRSchedule(ChoiceEnum):
    """How the learning rate changes during a run; see `napari_unet3d.training.optim.schedules`."""

    CONSTANT = "constant"
    COOLDOWN = "cooldown"
    COSINE = "cosine"
    POLY = "poly"
    ONE_CYCLE = "one-cycle"
    PLATEAU = "plateau"


class Device(ChoiceEnum):
    """The device; auto takes CUDA, then MPS, then the CPU."""

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"

    @property
    def label(self) -> str:
        """The text in menus."""
        return "Auto" if self is Device.AUTO else str(self.value).upper()


class Precision(ChoiceEnum):
    """Number type of the computations; auto takes the fastest one that is accurate on the device."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"

    @property
    def label(self) -> str:
        """The text in menus."""
        return "Auto" if self is Precision.AUTO else str(self.value)


def _adn_order(order: str) -> str:
    order = order.upper()
    if sorted(order) not in (["A", "D", "N"], ["A", "N"], ["A"], ["N"]):
        raise ValueError(
            "write each of N (norm), D (dropout) and A (activation) at most once, A or N at least, such as NDA"
        )
    return order


def _ascending(levels: tuple[float, float]) -> tuple[float, float]:
    if levels[0] > levels[1]:
        raise ValueError("write two percentiles from 0 to 100, the lower one first, such as 0.1 99.9")
    return levels


Percentiles = Annotated[tuple[float, float], AfterValidator(_ascending)]
DEFAULT_PERCENTILES: Percentiles = (0.1, 99.9)
"""Each side may have one hot pixel in a thousand; objects of fewer voxels than that are small and rare."""
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
Patch = Annotated[tuple[PatchMode | int, ...], BeforeValidator(as_tuple), AfterValidator(mode_or_triple)]
GivenVoxelSize = Annotated[
    tuple[VoxelSizeSource | float, ...], BeforeValidator(as_tuple), AfterValidator(mode_or_triple)
]
Spacing = Annotated[tuple[SpacingMode | float, ...], BeforeValidator(as_tuple), AfterValidator(mode_or_triple)]
AdnOrder = Annotated[str, AfterValidator(_adn_order)]


def given_voxel_size(group: str | None = None) -> GivenVoxelSize:
    """Return the default of the setting `voxel_size`, which training and prediction have in common."""
    default: GivenVoxelSize = setting(
        (VoxelSizeSource.FILE,),
        "Voxel size along z, y and x in µm of volumes whose file has none; a voxel size that a file has is kept.",
        minimum=0.0001,
        maximum=1e6,
        step=0.001,
        initial=1.0,
        label="voxel size (µm)",
        group=group,
    )
    return default


def fourth_axis(group: str | None = None) -> FourthAxis:
    """Return the default of the setting `fourth_axis`, which training and prediction have in common."""
    default: FourthAxis = setting(
        FourthAxis.AUTO,
        "What the axis beside z, y and x of volumes with four axes is: what the file or layer says (auto), channels, "
        "or time points, each of which is a volume of its own.",
        group=group,
    )
    return default
