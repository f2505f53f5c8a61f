"""Settings of one training run: labels, patches, network, optimisation, hardware."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from napari_unet3d.configs.base import NUMBERS, Config, setting
from napari_unet3d.configs.training_enums import (
    Activation,
    ArchitectureName,
    Augmentation,
    ClassWeighting,
    Device,
    Loss,
    LRSchedule,
    Normalisation,
    Optimizer,
    PatchMode,
    Precision,
    Preset,
    ResizeMode,
    SpacingMode,
    Task,
)


def _three_letters(order: str) -> str:
    order = order.upper()
    if sorted(order) not in (["A", "D", "N"], ["A", "N"], ["A"], ["N"]):
        raise ValueError(
            "write each of N (norm), D (dropout) and A (activation) at most once, A or N at least, such as NDA"
        )
    return order


def _listed(value: Any) -> Any:
    """Let a single value stand for a list of one, so that ``patch="auto"`` can be written."""
    return (value,) if isinstance(value, str | int | float) else value


def _mode_or_triple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Accept one mode, or one or three numbers; one number stands for all axes."""
    numbers = [element for element in value if not isinstance(element, str)]
    if len(value) == 1:
        return value * 3 if numbers else value
    if len(value) != 3 or len(numbers) != 3:
        raise ValueError("write one word, or three numbers for z, y and x")
    return value


Patch = Annotated[tuple[PatchMode | int, ...], BeforeValidator(_listed), AfterValidator(_mode_or_triple)]
Spacing = Annotated[tuple[SpacingMode | float, ...], BeforeValidator(_listed), AfterValidator(_mode_or_triple)]

NETWORK_SETTINGS = ("architecture", "preset", "kernel_size", "up_kernel_size", "activation", "bias", "adn_order")
"""Settings that determine the network; a run that starts from a model takes them from it."""

_LABELS, _NETWORK, _LOADING = "Labels and classes", "Network", "Patches and data loading"
_OPTIMISATION, _LENGTH, _HARDWARE = "Optimisation", "Length of the run", "Hardware"
_FOR_UNET = {"architecture": ("unet",)}
_FOR_CLASSES = {"task": ("semantic",)}
_FOR_PATCHES, _FOR_WHOLE = {"patch": ("auto", NUMBERS)}, {"patch": ("auto", "whole")}  # auto may choose either


class TrainingConfig(Config):
    """One training run. The defaults are those of the qim3d tutorial."""

    task: Task = setting(
        Task.BINARY,
        "What to learn: all that is labelled as one foreground, a class per label value, or single objects by ids.",
    )
    ignore_label: int | None = setting(
        None,
        "Label value of voxels that are not annotated; they are neither learned nor scored. None when all voxels are "
        "annotated. With 0, background is 1 and labels begin at 2, so a few painted slices are enough; with any other "
        "value, such as 255 or -1, background is 0.",
        minimum=-32_768,
        maximum=65_535,
    )
    preset: Preset = setting(
        Preset.XXSMALL, "Size of the network: larger ones have a larger receptive field, learn more and take longer."
    )
    patch: Patch = setting(
        (PatchMode.AUTO,),
        "What one step sees: patches of a size chosen from voxel size, network and memory (auto), whole volumes, or "
        "patches of a size in voxels along z, y and x.",
        minimum=4,
        maximum=4096,
        step=1,
        initial=32,
    )
    epochs: int = setting(30, "Passes over the training volumes.", minimum=1, maximum=1_000_000)
    learning_rate: float = setting(1e-2, "Step size of the optimiser.", minimum=1e-8, maximum=10, step=1e-6)
    loss: Loss = setting(Loss.DICE_CE, "What training makes small.")
    augmentation: Augmentation = setting(Augmentation.LIGHT, "How strongly training volumes are varied.")
    batch_size: int = setting(
        0,
        "Patches or volumes per step of the optimiser; 0 chooses it from memory.",
        minimum=0,
        maximum=1024,
        zero_text="auto",
    )
    val_fraction: float = setting(
        0.2,
        "Part of the training volumes that is kept for validation, or of a single volume, at one end of it; 0 trains "
        "without.",
        minimum=0,
        maximum=0.9,
        step=0.01,
        label="validation fraction",
    )
    seed: int = setting(0, "The same seed gives the same split, start and order.", minimum=0, maximum=2**31 - 1)
    device: Device = setting(Device.AUTO, "Where to train: auto takes a GPU when there is one.")

    class_names: Annotated[tuple[str, ...], BeforeValidator(_listed)] = setting(
        (),
        "Names of the classes in the order of their label values, without background.",
        group=_LABELS,
        visible_if=_FOR_CLASSES,
    )
    class_weighting: ClassWeighting = setting(
        ClassWeighting.NONE,
        "Class weights in the loss: all the same (none), or the rarer a class, the more it counts (auto).",
        label="class weighting",
        group=_LABELS,
    )
    class_weights: Annotated[tuple[float, ...], BeforeValidator(_listed)] = setting(
        (),
        "Class weights in the loss by hand, background first; they replace the class weighting.",
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
    dropout: float = setting(
        0.0,
        "Fraction of the features that is dropped at random in training.",
        minimum=0,
        maximum=0.95,
        step=0.01,
        group=_NETWORK,
    )
    kernel_size: int = setting(
        3, "Side length of the convolution kernels in voxels; odd.", minimum=1, maximum=11, group=_NETWORK
    )
    up_kernel_size: int = setting(
        3,
        "Side length of the up-convolution kernels in voxels; odd.",
        minimum=3,
        maximum=11,
        group=_NETWORK,
        visible_if=_FOR_UNET,
    )
    activation: Activation = setting(
        Activation.PRELU, "Activation function of the network.", group=_NETWORK, visible_if=_FOR_UNET
    )
    bias: bool = setting(True, "Whether convolutions have a bias term.", group=_NETWORK, visible_if=_FOR_UNET)
    adn_order: Annotated[str, AfterValidator(_three_letters)] = setting(
        "NDA",
        "Order of norm (N), dropout (D) and activation (A) after each convolution.",
        label="norm/dropout/act. order",
        group=_NETWORK,
        visible_if=_FOR_UNET,
    )

    normalisation: Normalisation = setting(
        Normalisation.Z_SCORE,
        "How grey values are brought to one scale; stored in the model and repeated at prediction.",
        group=_LOADING,
    )
    spacing: Spacing = setting(
        (SpacingMode.ORIGINAL,),
        "Voxel size that the network works at: each volume's own (original), the median of the training volumes (median), or one "
        "in µm along z, y and x. Predictions come back on the grid of their image.",
        minimum=0.001,
        maximum=10_000,
        step=0.001,
        initial=1.0,
        label="voxel size",
        group=_LOADING,
    )
    foreground_fraction: float = setting(
        0.5,
        "Part of the patches that is placed on foreground, the classes in turn; the others lie anywhere.",
        minimum=0,
        maximum=1,
        step=0.01,
        group=_LOADING,
        visible_if=_FOR_PATCHES,
    )
    steps_per_epoch: int = setting(
        0,
        "Steps of the optimiser per epoch; 0 takes as many as see each voxel once, of patches 8 at least.",
        minimum=0,
        maximum=1_000_000,
        zero_text="auto",
        group=_LOADING,
    )
    resize_mode: ResizeMode = setting(
        ResizeMode.PAD,
        "How whole volumes are made to fit the network when their sides do not.",
        group=_LOADING,
        visible_if=_FOR_WHOLE,
    )
    val_augmentation: Augmentation = setting(
        Augmentation.NONE,
        "Augmentation of validation volumes; leave at none for numbers that can be compared.",
        label="validation augmentation",
        group=_LOADING,
    )
    shuffle: bool = setting(
        True, "Draw whole training volumes in a new order in every epoch.", group=_LOADING, visible_if=_FOR_WHOLE
    )
    num_workers: int = setting(
        0,
        "Processes that load data beside the training; always 0 inside the viewer.",
        minimum=0,
        maximum=64,
        group=_LOADING,
    )

    optimizer: Optimizer = setting(Optimizer.ADAM, "Rule that turns gradients into steps.", group=_OPTIMISATION)
    lr_schedule: LRSchedule = setting(
        LRSchedule.COOLDOWN,
        "How the learning rate goes: constant, falling in the last third of the run (cooldown), which steadies its "
        "end, along a cosine, along a power (poly), up and down (one-cycle), or falling when validation stalls "
        "(plateau).",
        label="learning rate schedule",
        group=_OPTIMISATION,
    )
    weight_decay: float = setting(
        1e-3, "Pull of the weights towards zero.", minimum=0, maximum=1, step=1e-6, group=_OPTIMISATION
    )
    momentum: float = setting(
        0.0,
        "How much of a step goes into the next one; Adam and AdamW have a momentum of their own.",
        minimum=0,
        maximum=0.9999,
        step=1e-4,
        group=_OPTIMISATION,
        visible_if={"optimizer": ("sgd", "rmsprop")},
    )
    max_grad_norm: float = setting(
        12.0,
        "Largest norm of the gradient of a step; longer ones are shortened to it. 0 leaves them as they are.",
        minimum=0,
        maximum=1e6,
        step=0.1,
        zero_text="off",
        group=_OPTIMISATION,
    )
    ema_decay: float = setting(
        0.0,
        "Memory of the weights' moving average, which is validated and kept as the model; 0.99 spans about 100 steps, "
        "0 is without.",
        minimum=0,
        maximum=0.9999,
        step=1e-4,
        zero_text="off",
        label="weight averaging (EMA)",
        group=_OPTIMISATION,
    )

    validate_every: int = setting(1, "Validate after every so many epochs.", minimum=1, maximum=100_000, group=_LENGTH)
    save_snapshots: bool = setting(
        True,
        "Keep what the network predicts for the validation volumes after each evaluation, and the model of the epoch, "
        "to watch how it learns and to go back to any epoch; takes up to 1 GiB in the run folder.",
        label="save snapshots",
        group=_LENGTH,
    )
    patience: int = setting(
        0,
        "Stop early when the validation loss has not improved for so many epochs; 0 never does.",
        minimum=0,
        maximum=100_000,
        zero_text="off",
        group=_LENGTH,
    )
    max_minutes: float = setting(
        0.0,
        "Most minutes that the run may take; the learning rate falls in time for it, and the model is kept. 0 sets no "
        "limit.",
        minimum=0,
        maximum=1_000_000,
        step=0.1,
        zero_text="no limit",
        group=_LENGTH,
    )

    precision: Precision = setting(Precision.AUTO, "Number type of the heavy arithmetic.", group=_HARDWARE)

    @property
    def patch_shape(self) -> tuple[int, int, int] | None:
        """The patch (z, y, x) in voxels that is asked for; None for auto and for whole volumes."""
        return None if isinstance(self.patch[0], str) else self.patch  # type: ignore[return-value]

    @property
    def wants_whole_volumes(self) -> bool:
        """Whether steps shall see whole volumes."""
        return self.patch == (PatchMode.WHOLE,)

    @property
    def spacing_um(self) -> tuple[float, float, float] | None:
        """The voxel size (z, y, x) in µm that is asked for; None for original and median."""
        return None if isinstance(self.spacing[0], str) else self.spacing  # type: ignore[return-value]

    @model_validator(mode="after")
    def _check_belong_together(self) -> Self:
        if (self.class_names or self.class_weights) and self.task is not Task.SEMANTIC:
            name = "class_names" if self.class_names else "class_weights"
            raise ValueError(f"The setting '{name}' belongs to the task semantic; choose that task or leave it empty")
        for name in NETWORK_SETTINGS:
            is_default = getattr(self, name) == type(self).model_fields[name].default
            if not is_default and not self.is_relevant(name, {"architecture": self.architecture}):
                raise ValueError(
                    f"The setting '{name}' does not apply to the architecture {self.architecture}; leave it out or "
                    "choose another architecture"
                )
        if len(set(self.class_names)) < len(self.class_names) or not all(map(str.strip, self.class_names)):
            raise ValueError(f"The class names are {', '.join(self.class_names)!r}; give each class a name of its own")
        if lists := [name for name in self.class_names if name.lstrip().startswith("[")]:
            # The command would read it as a list of names.
            raise ValueError(f"The class name {lists[0]!r} begins with a bracket; choose another name")
        return self
