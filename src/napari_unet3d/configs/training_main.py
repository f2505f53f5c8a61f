"""The settings of a training run that are always shown."""

from __future__ import annotations

from napari_unet3d.configs.base import Config, setting
from napari_unet3d.configs.training_enums import (
    Augmentation,
    Device,
    Loss,
    Patch,
    PatchMode,
    Preset,
    Task,
)


class MainSettings(Config):
    """What to segment, with a network of which size, and how to train it."""

    task: Task = setting(
        Task.BINARY,
        "What to segment: everything labelled as one foreground, label values as classes, or labels as single objects.",
    )
    ignore_label: int | None = setting(
        None,
        "Label value of voxels that are not annotated; they are left out of training and scores. None if all voxels "
        "are annotated. With 0, background is 1 and other labels start at 2, so a few painted slices are enough; with "
        "any other value, such as 255 or -1, background is 0.",
        minimum=-32_768,
        maximum=65_535,
    )
    preset: Preset = setting(Preset.XXSMALL, "Size of the network; larger ones need more time and memory.")
    patch: Patch = setting(
        (PatchMode.AUTO,),
        "Input of a training step: patches of a size chosen from voxel size, network and memory (auto), whole volumes, "
        "or patches of a given size in voxels along z, y and x.",
        minimum=4,
        maximum=4096,
        step=1,
        initial=32,
    )
    epochs: int = setting(30, "Number of passes over the training volumes.", minimum=1, maximum=1_000_000)
    learning_rate: float = setting(1e-2, "Step size of the optimiser.", minimum=1e-8, maximum=10, step=1e-6)
    loss: Loss = setting(Loss.DICE_CE, "Loss function.")
    augmentation: Augmentation = setting(Augmentation.LIGHT, "Strength of the random augmentation of training volumes.")
    batch_size: int = setting(
        0,
        "Patches or volumes per optimiser step; 0 chooses a number that fits into memory.",
        minimum=0,
        maximum=1024,
        zero_text="auto",
    )
    val_fraction: float = setting(
        0.2,
        "Fraction of the training volumes used for validation, or of a single volume, at one end of it; 0 trains "
        "without validation.",
        minimum=0,
        maximum=0.9,
        step=0.01,
        label="validation fraction",
    )
    seed: int = setting(
        0, "Random seed; the same seed gives the same split, initial weights and order.", minimum=0, maximum=2**31 - 1
    )
    device: Device = setting(Device.AUTO, "Device to train on; auto uses a GPU if there is one.")

    @property
    def patch_shape(self) -> tuple[int, int, int] | None:
        """The requested patch shape (z, y, x) in voxels; None for auto and for whole volumes."""
        return None if isinstance(self.patch[0], str) else self.patch  # type: ignore[return-value]

    @property
    def wants_whole_volumes(self) -> bool:
        """Whether training steps are to take whole volumes."""
        return self.patch == (PatchMode.WHOLE,)
