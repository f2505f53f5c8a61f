"""Train, inspect and correct 3D U-Net segmentations in napari; the engine also runs without a viewer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_unet3d.threads import configure_threads

if TYPE_CHECKING:
    from napari_unet3d.configs import (
        EvaluationConfig,
        ExportConfig,
        MeshConfig,
        PredictionConfig,
        SyntheticConfig,
        TrainingConfig,
    )
    from napari_unet3d.data.reading import list_volumes, read_image, read_volume
    from napari_unet3d.data.sample import Sample
    from napari_unet3d.data.synthetic.dataset import generate
    from napari_unet3d.data.synthetic.generate import generate_volume
    from napari_unet3d.data.volumes import write_volume
    from napari_unet3d.errors import UserError
    from napari_unet3d.evaluation.meshes.export import export_meshes
    from napari_unet3d.evaluation.rois.export import export_rois
    from napari_unet3d.export.export import export_model
    from napari_unet3d.inference.evaluate import evaluate
    from napari_unet3d.inference.predict import predict
    from napari_unet3d.training.loop import train

__version__ = "0.1.0"

configure_threads()  # before torch is loaded

# The module of each public name. Names are imported on first use, so that opening napari loads neither torch nor monai.
_MODULE_OF = {
    "EvaluationConfig": "configs",
    "ExportConfig": "configs",
    "MeshConfig": "configs",
    "PredictionConfig": "configs",
    "Sample": "data.sample",
    "SyntheticConfig": "configs",
    "TrainingConfig": "configs",
    "UserError": "errors",
    "evaluate": "inference.evaluate",
    "export_meshes": "evaluation.meshes.export",
    "export_model": "export.export",
    "export_rois": "evaluation.rois.export",
    "generate": "data.synthetic.dataset",
    "generate_volume": "data.synthetic.generate",
    "predict": "inference.predict",
    "list_volumes": "data.reading",
    "read_image": "data.reading",
    "read_volume": "data.reading",
    "train": "training.loop",
    "write_volume": "data.volumes",
}

__all__ = [
    "EvaluationConfig",
    "ExportConfig",
    "MeshConfig",
    "PredictionConfig",
    "Sample",
    "SyntheticConfig",
    "TrainingConfig",
    "UserError",
    "evaluate",
    "export_meshes",
    "export_model",
    "export_rois",
    "generate",
    "generate_volume",
    "list_volumes",
    "predict",
    "read_image",
    "read_volume",
    "train",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
