"""Settings of one training run: network, data loading, optimisation, hardware."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator

from napari_unet3d.configs.base import Choice, Settings, setting


class Preset(Choice):
    """Size of the U-Net; `channels` are the feature channels per level, each level halving the resolution."""

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
    def words(self) -> str:
        """The words for a menu."""
        return f"{self.value} ({', '.join(map(str, self.channels))})"

    @property
    def total_stride(self) -> int:
        """The number of voxels that become one at the bottom of the network; a volume's sides are multiples of it."""
        return int(2 ** (len(self.channels) - 1))


class Activation(Choice):
    """The non-linearity of the network; `monai_name` is its name in MONAI."""

    PRELU = "prelu"
    RELU = "relu"
    LEAKY_RELU = "leaky-relu"
    ELU = "elu"
    SIGMOID = "sigmoid"

    @property
    def words(self) -> str:
        """The words for a menu."""
        spellings = {"prelu": "PReLU", "relu": "ReLU", "leaky-relu": "Leaky ReLU", "elu": "ELU", "sigmoid": "Sigmoid"}
        return spellings[self.value]

    @property
    def monai_name(self) -> str:
        """The name that `monai.networks.layers.Act` knows."""
        return str(self.value).replace("-", "")


class Augmentation(Choice):
    """How strongly training volumes are varied."""

    NONE = "none"
    LIGHT = "light"
    MODERATE = "moderate"
    HEAVY = "heavy"


class Fit(Choice):
    """How a volume whose sides the network cannot halve often enough is made to fit."""

    CROP = "crop"
    RESIZE = "resize"
    PAD = "pad"


class Normalisation(Choice):
    """How grey values are brought to one scale, per volume; see `napari_unet3d.model.normalisation`."""

    Z_SCORE = "z-score"
    PERCENTILE = "percentile"
    MIN_MAX = "min-max"
    NONE = "none"


class Loss(Choice):
    """What training makes small."""

    BCE = "bce"
    DICE = "dice"
    FOCAL = "focal"
    DICE_CE = "dice-ce"

    @property
    def words(self) -> str:
        """The words for a menu."""
        return {"bce": "BCE", "dice": "Dice", "focal": "Focal", "dice-ce": "Dice + CE"}[self.value]


class Optimizer(Choice):
    """The rule that turns gradients into steps."""

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"
    RMSPROP = "rmsprop"

    @property
    def words(self) -> str:
        """The words for a menu."""
        return {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop"}[self.value]


class Schedule(Choice):
    """How the learning rate goes over a run: one value, falling in the last third, or along half a cosine."""

    CONSTANT = "constant"
    COOLDOWN = "cooldown"
    COSINE = "cosine"


class Device(Choice):
    """Where the network runs; auto takes CUDA, then MPS, then the CPU."""

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"

    @property
    def words(self) -> str:
        """The words for a menu."""
        return "Auto" if self is Device.AUTO else str(self.value).upper()


class Precision(Choice):
    """Number type of the heavy arithmetic; auto takes the fastest that the device does well."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"

    @property
    def words(self) -> str:
        """The words for a menu."""
        return "Auto" if self is Precision.AUTO else str(self.value)


def _three_letters(order: str) -> str:
    order = order.upper()
    if sorted(order) not in (["A", "D", "N"], ["A", "N"], ["A"], ["N"]):
        raise ValueError(
            "write each of N (norm), D (dropout) and A (activation) at most once, A or N at least, such as NDA"
        )
    return order


_NETWORK, _LOADING, _OPTIMISATION, _HARDWARE = "Network", "Data loading", "Optimisation", "Hardware"


class TrainingConfig(Settings):
    """One training run. The defaults are those of the qim3d tutorial."""

    preset: Preset = setting(Preset.XXSMALL, "Size of the U-Net: larger ones see more, learn more and take longer.")
    epochs: int = setting(30, "Passes over the training volumes.", low=1, high=1_000_000)
    learning_rate: float = setting(1e-2, "Step size of the optimiser.", low=1e-8, high=10, step=1e-6)
    loss: Loss = setting(Loss.DICE_CE, "What training makes small.")
    augmentation: Augmentation = setting(Augmentation.LIGHT, "How strongly training volumes are varied.")
    batch_size: int = setting(1, "Volumes per step of the optimiser.", low=1, high=1024)
    val_fraction: float = setting(
        0.2,
        "Part of the training volumes that is kept for validation; 0 trains without.",
        low=0,
        high=0.9,
        step=0.01,
        label="validation fraction",
    )
    seed: int = setting(0, "The same seed gives the same split, start and order.", low=0, high=2**31 - 1)
    device: Device = setting(Device.AUTO, "Where to train: auto takes a GPU when there is one.")

    dropout: float = setting(
        0.0, "Part of the features that is dropped at random in training.", low=0, high=0.95, step=0.01, group=_NETWORK
    )
    kernel_size: int = setting(3, "Side of the convolution kernel in voxels; odd.", low=1, high=11, group=_NETWORK)
    up_kernel_size: int = setting(
        3, "Side of the up-convolution kernel in voxels; odd.", low=3, high=11, group=_NETWORK
    )
    activation: Activation = setting(Activation.PRELU, "Non-linearity of the network.", group=_NETWORK)
    bias: bool = setting(True, "Give convolutions a bias term.", group=_NETWORK)
    adn_order: Annotated[str, AfterValidator(_three_letters)] = setting(
        "NDA",
        "Order of norm (N), dropout (D) and activation (A) after each convolution.",
        label="norm/dropout/act. order",
        group=_NETWORK,
    )

    normalisation: Normalisation = setting(
        Normalisation.Z_SCORE,
        "How grey values are brought to one scale; stored in the model and repeated at prediction.",
        group=_LOADING,
    )
    fit: Fit = setting(Fit.PAD, "How volumes are made to fit the network when their sides do not.", group=_LOADING)
    val_augmentation: Augmentation = setting(
        Augmentation.NONE,
        "Augmentation of validation volumes; leave at none for numbers that can be compared.",
        label="validation augmentation",
        group=_LOADING,
    )
    shuffle: bool = setting(True, "Draw the training volumes in a new order in every epoch.", group=_LOADING)
    workers: int = setting(
        0, "Processes that load data beside the training; always 0 inside the viewer.", low=0, high=64, group=_LOADING
    )

    optimizer: Optimizer = setting(Optimizer.ADAM, "Rule that turns gradients into steps.", group=_OPTIMISATION)
    schedule: Schedule = setting(
        Schedule.COOLDOWN,
        "How the learning rate goes: constant, falling in the last third of the epochs (cooldown), which steadies the "
        "end of a run, or along a cosine.",
        label="learning rate schedule",
        group=_OPTIMISATION,
    )
    weight_decay: float = setting(
        1e-3, "Pull of the weights towards zero.", low=0, high=1, step=1e-6, group=_OPTIMISATION
    )
    momentum: float = setting(
        0.0,
        "Momentum of SGD and RMSprop; Adam and AdamW have their own.",
        low=0,
        high=0.9999,
        step=1e-4,
        group=_OPTIMISATION,
    )
    evaluate_every: int = setting(1, "Validate after every so many epochs.", low=1, high=100_000, group=_OPTIMISATION)

    precision: Precision = setting(Precision.AUTO, "Number type of the heavy arithmetic.", group=_HARDWARE)
