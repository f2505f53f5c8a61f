from __future__ import annotations

import numpy as np

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.comparison import compare, decode, repostprocess

VOXEL_SIZE = (2.0, 1.0, 0.5)


def test_comparing_by_hand():
    truth = np.array([[[0, 0, 5, 5]]], np.uint16)
    probability = np.array([[[0.1, 0.8, 0.6, 0.4]]], np.float32)
    prediction = Prediction("x", (probability >= 0.5).astype(np.uint8), probability, Geometry((1.0, 1.0, 1.0)))
    outcome = compare(prediction, GroundTruth(truth))
    assert outcome.difference.tolist() == [[[0, 1, 0, 2]]]
    assert outcome.scores.dice == 0.5
    (higher,) = repostprocess(outcome, PostProcessing(threshold=0.7))
    assert higher.difference.tolist() == [[[0, 1, 2, 2]]]
    assert higher.scores.dice == 0
    assert next(repostprocess(outcome, PostProcessing(threshold=0.45))) is outcome, (
        "no label changes, so its scores hold"
    )
    assert compare(prediction, None).scores is None


STRIDES = ((2, 2, 2),)


def answer(labels, plan, name="mine"):
    labels = np.array(labels, np.uint16)
    return Prediction(name, labels, (labels > 0).astype(np.float32), Geometry(VOXEL_SIZE), plan)


def test_painted_labels_mean_what_they_meant_to_the_model():
    painted = np.array([[[0, 0, 1, 1, 2, 2, 3, 3]]], np.uint16)
    labels = [[[0, 5, 0, 2, 2, 0, 3, 2]]]
    classes = (LabelClass(value=2, name="core"), LabelClass(value=3, name="shell"))
    plan = Plan(task=Task.SEMANTIC, ignore_label=0, strides=STRIDES, classes=classes)
    prediction = answer(labels, plan)
    outcome = compare(prediction, decode(painted, prediction))
    assert outcome.difference.tolist() == [[[0, 0, 0, 1, 0, 2, 0, 3]]]
    assert [(each.name, each.dice) for each in outcome.scores.classes] == [("core", 2 / 5), ("shell", 2 / 3)]
