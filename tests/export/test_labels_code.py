"""The Python code that makes labels of an output does what `postprocess` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from napari_unet3d.configs import PostProcessing
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.export.documentation import labels_code
from napari_unet3d.export.task import ExportTask
from napari_unet3d.inference.postprocess import postprocess


def labels_of(task: ExportTask, output: np.ndarray) -> np.ndarray:
    names: dict[str, Any] = {"np": np, "ndimage": ndimage, "h_maxima": h_maxima, "watershed": watershed, "label": label}
    names["output"] = output
    exec(compile(labels_code(task), "labels", "exec"), names)
    return names["labels"]


def test_foreground_without_small_regions(task_for: Callable[..., ExportTask]) -> None:
    task = task_for("binary", threshold=0.3, min_volume=1.0)  # two voxels of 0.5 µm³
    output = np.array([[[[0.4, 0.3, 0.1, 0.9], [0.0, 0.0, 0.0, 0.0]]]], np.float32)

    np.testing.assert_array_equal(labels_of(task, output), [[[1, 1, 0, 0], [0, 0, 0, 0]]])


def test_classes_have_their_label_values(task_for: Callable[..., ExportTask]) -> None:
    output = np.array([[0.5, 0.2, 0.1], [0.3, 0.7, 0.2], [0.2, 0.1, 0.7]], np.float32)[:, None, None]

    np.testing.assert_array_equal(labels_of(task_for("semantic"), output), [[[0, 1, 5]]])
    np.testing.assert_array_equal(labels_of(task_for("semantic", threshold=0.3), output), [[[1, 1, 5]]])


def test_touching_objects_are_those_of_postprocess(task_for: Callable[..., ExportTask]) -> None:
    z, y, x = np.indices((12, 24, 40))
    balls = [np.sqrt((2.0 * (z - 6)) ** 2 + (0.5 * (y - 12)) ** 2 + (0.5 * (x - centre)) ** 2) for centre in (12, 24)]
    foreground = ((np.minimum(*balls) < 4) * 0.9).astype(np.float32)
    distance = np.clip(1 - np.minimum(*balls) / 4, 0, 1)
    speck = np.zeros_like(foreground)
    speck[2, 3, 36:38] = 0.8
    output = np.stack([np.maximum(foreground, speck), 0.2 * foreground, distance]).astype(np.float32)
    task = task_for("instance")

    labels = labels_of(task, output)

    own = postprocess(
        output[0], output[1:].astype(np.float16), Geometry((2.0, 0.5, 0.5)), task.checkpoint.plan, PostProcessing()
    )
    assert len(np.unique(own)) == len(np.unique(labels)) == 3  # two objects; the speck has no centre
    np.testing.assert_array_equal(labels > 0, own > 0)
    pairs = {(int(one), int(other)) for one, other in zip(labels.ravel(), own.ravel(), strict=True)}
    assert np.mean((labels == labels[6, 12, 12]) != (own == own[6, 12, 12])) < 0.01, pairs
