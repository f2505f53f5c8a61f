"""Every setting of the project: one frozen model per form, shared by dock, command, run file and Python.

A field's description is its tooltip, its ``--help`` text and its documentation; its bounds are those of the
form's box and of the command's option. Inputs (folders, layers, samples) are arguments of functions, not settings.
"""

from napari_unet3d.configs.base import ChoiceEnum, Config, setting
from napari_unet3d.configs.correction import CorrectionConfig, UneditedRegions
from napari_unet3d.configs.prediction import EvaluationConfig, PostProcessing, PredictionConfig
from napari_unet3d.configs.synthetic import SyntheticConfig
from napari_unet3d.configs.synthetic_enums import (
    Axis,
    BackgroundMethod,
    Difficulty,
    LabelKind,
    NoiseType,
    ObjectShape,
    PixelType,
    Placement,
    RotationPlane,
)
from napari_unet3d.configs.training import NETWORK_SETTINGS, TrainingConfig
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

__all__ = [
    "NETWORK_SETTINGS",
    "Activation",
    "ArchitectureName",
    "Augmentation",
    "Axis",
    "BackgroundMethod",
    "ChoiceEnum",
    "ClassWeighting",
    "Config",
    "CorrectionConfig",
    "Device",
    "Difficulty",
    "EvaluationConfig",
    "LRSchedule",
    "LabelKind",
    "Loss",
    "NoiseType",
    "Normalisation",
    "ObjectShape",
    "Optimizer",
    "PatchMode",
    "PixelType",
    "Placement",
    "PostProcessing",
    "Precision",
    "PredictionConfig",
    "Preset",
    "ResizeMode",
    "RotationPlane",
    "SpacingMode",
    "SyntheticConfig",
    "Task",
    "TrainingConfig",
    "UneditedRegions",
    "setting",
]
