"""What a person sets once for all docks; napari shows it under Preferences, from version 0.9 on."""

from __future__ import annotations

from napari_unet3d.configs.base import Config, LabelledEnum, setting
from napari_unet3d.configs.training_enums import Device, Preset, Task
from napari_unet3d.configs.training_main import MainSettings


class RunOn(LabelledEnum):
    """Where a training runs."""

    VIEWER = ("viewer", "This viewer")
    PROCESS = ("process", "A separate process")
    BACKGROUND = ("background", "A background process")
    SLURM = ("slurm", "Slurm")


_TRAINING = "training"
_DEFAULTS = MainSettings()


class PreferencesConfig(Config):
    """Folders, device and the main settings of a training; docks start with these, and change them.

    The file ``napari.yaml`` declares the same fields for napari: those with a group in the part of its name, all others
    in the part ``general``.
    """

    device: Device = setting(Device.AUTO, "Device to train and to predict on; auto uses a GPU if there is one.")
    runs_folder: str = setting(
        "",
        "Folder in which Train makes a folder for each new run. Empty: the folder 'runs' beside the dataset, or that "
        "among your data.",
        label="folder for runs",
    )
    results_folder: str = setting(
        "",
        "Folder to which Predict writes results unless you choose another one. Empty: the one that was used last.",
        label="folder for predictions",
    )
    task: Task = setting(
        _DEFAULTS.task,
        "What to segment: one foreground (binary), label values as classes (semantic), or single objects (instance).",
        group=_TRAINING,
    )
    preset: Preset = setting(
        _DEFAULTS.preset, "Size of the network; larger ones need more time and memory.", group=_TRAINING
    )
    epochs: int = setting(
        _DEFAULTS.epochs,
        "Number of passes over the training volumes.",
        minimum=1,
        maximum=1_000_000,
        group=_TRAINING,
    )
    run_on: RunOn = setting(
        RunOn.VIEWER,
        "Where trainings run. A separate process helps where 3D views are drawn without a graphics card; in the "
        "background and on Slurm, a training goes on when napari is closed.",
        group=_TRAINING,
    )
