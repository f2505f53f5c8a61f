"""All settings: one frozen pydantic model per form, shared by docks, command, config.json and Python.

The description of a field is its tooltip, its ``--help`` text and its documentation; its bounds are those of the
widget and of the option. Inputs (folders, layers, samples) are arguments of functions, not settings.

>>> config = TrainingConfig(task="semantic", class_names=("wall", "lumen"), epochs=50)
>>> config.task.label, config.epochs, config.ignore_label
('Classes', 50, None)
>>> TrainingConfig(epochs=0)
Traceback (most recent call last):
napari_unet3d.errors.UserError: The setting 'epochs' is 0; choose a value from 1 to 1e+06.
"""

from napari_unet3d.configs.base import ChoiceEnum, Config, setting
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.correction import CorrectionConfig, UneditedRegions
from napari_unet3d.configs.export import ExportConfig, ExportFormat
from napari_unet3d.configs.meshes import MeshConfig, MeshFormat
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
    BestMetric,
    ClassWeighting,
    Device,
    FourthAxis,
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
    Tracker,
)
from napari_unet3d.configs.workers import WorkersConfig

__all__ = [
    "NETWORK_SETTINGS",
    "Activation",
    "ArchitectureName",
    "Augmentation",
    "Axis",
    "BackgroundMethod",
    "BestMetric",
    "BlockConfig",
    "ChoiceEnum",
    "ClassWeighting",
    "Config",
    "CorrectionConfig",
    "Device",
    "Difficulty",
    "EvaluationConfig",
    "ExportConfig",
    "ExportFormat",
    "FourthAxis",
    "LRSchedule",
    "LabelKind",
    "Loss",
    "MeshConfig",
    "MeshFormat",
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
    "Tracker",
    "TrainingConfig",
    "UneditedRegions",
    "WorkersConfig",
    "setting",
]
