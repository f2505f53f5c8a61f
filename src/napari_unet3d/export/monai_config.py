"""The inference of a MONAI bundle: a configuration that MONAI runs."""

from __future__ import annotations

from typing import Any

from napari_unet3d.configs import Normalisation, Task
from napari_unet3d.export.task import OVERLAP, ExportTask
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.architectures.base import LibraryClass

_TO_ZYX = [0, 3, 2, 1]  # files of images (x, y, z) are read as (channel, x, y, z); it is its own inverse
_KEYS = {"keys": "image"}
# The evaluator, which tools expect, needs ignite; this does the same without it.
_RUN = [
    "$@network.load_state_dict(torch.load(@bundle_root + '/models/model.pt', map_location=@device, weights_only=True))",
    "$@network.eval()",
    "$[@predict(each) for each in @dataset]",
]
_PREDICT = (
    "$lambda each: torch.inference_mode()(lambda: @postprocessing("
    "{**each, 'pred': @inferer(each['image'][None].to(@device), @network)[0]}))()"
)


def inference(task: ExportTask) -> dict[str, Any]:
    """Return the configuration: it reads every volume of a folder and writes its labels, or the probabilities."""
    return {
        "imports": ["$import glob", "$import monai", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/labels'",
        "pattern": "*.nii.gz",
        "save_probabilities": task.checkpoint.plan.task is Task.INSTANCE,  # whose objects MONAI cannot separate
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": _network(task),
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(task)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': each} for each in sorted(glob.glob(os.path.join(@dataset_dir, @pattern)))]",
            "transform": "@preprocessing",
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(task.tile_zyx),
            "sw_batch_size": 1,
            "overlap": OVERLAP,
            "mode": "gaussian",
            "padding_mode": "replicate",
        },
        "predict": _PREDICT,
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing(task)},
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "$monai.data.DataLoader(@dataset, batch_size=1)",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": _RUN,
    }


def library_class(task: ExportTask) -> LibraryClass | None:
    """Return the class of MONAI that the network is; None if there is none."""
    config = task.checkpoint.config
    return get_architecture(config.architecture).library_class(config, task.checkpoint.plan)


def _network(task: ExportTask) -> dict[str, Any]:
    found = library_class(task)
    assert found is not None
    return {"_target_": f"{found.module}.{found.name}", **found.arguments}


def _preprocessing(task: ExportTask) -> list[dict[str, Any]]:
    n_channels, config = task.checkpoint.plan.in_channels, task.checkpoint.config
    transforms: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", **_KEYS},
        {"_target_": "EnsureChannelFirstd", **_KEYS, "channel_dim": "no_channel" if n_channels == 1 else -1},
        {"_target_": "Transposed", **_KEYS, "indices": _TO_ZYX},
    ]
    low, high = config.percentiles
    match config.normalisation:
        case Normalisation.Z_SCORE:
            transforms.append({"_target_": "NormalizeIntensityd", **_KEYS, "channel_wise": True})
        case Normalisation.PERCENTILE:
            bounds = {"lower": low, "upper": high, "b_min": 0.0, "b_max": 1.0, "clip": False, "channel_wise": True}
            transforms.append({"_target_": "ScaleIntensityRangePercentilesd", **_KEYS, **bounds})
        case Normalisation.MIN_MAX:
            bounds = {"minv": 0.0, "maxv": 1.0, "channel_wise": True}
            transforms.append({"_target_": "ScaleIntensityd", **_KEYS, **bounds})
    return [*transforms, {"_target_": "EnsureTyped", **_KEYS, "dtype": "$torch.float32"}]


def _postprocessing(task: ExportTask) -> list[dict[str, Any]]:
    is_semantic = task.checkpoint.plan.task is Task.SEMANTIC
    activation = {"softmax": True} if is_semantic else {"sigmoid": True}
    discrete: dict[str, Any] = {"argmax": True} if is_semantic else {"threshold": task.config.threshold}
    transforms: list[dict[str, Any]] = [
        {"_target_": "Activationsd", "keys": "pred", **activation},
        {"_target_": "AsDiscreted", "keys": "pred", **discrete, "_disabled_": "@save_probabilities"},
    ]
    if is_semantic:
        values = [0, *(each.value for each in task.checkpoint.plan.classes)]
        if values != list(range(len(values))):
            mapping = {"orig_labels": list(range(len(values))), "target_labels": values}
            of_labels = {"_disabled_": "@save_probabilities"}
            transforms.append({"_target_": "MapLabelValued", "keys": "pred", **mapping, **of_labels})
    return [
        *transforms,
        {"_target_": "Transposed", "keys": "pred", "indices": _TO_ZYX},
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "meta_keys": "image_meta_dict",
            "output_dir": "@output_dir",
            "output_postfix": "$'probabilities' if @save_probabilities else 'labels'",
            "separate_folder": False,
            "resample": False,
        },
    ]
