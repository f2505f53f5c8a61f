from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.training.augmented_events import BOUNDARY, NOT_ANNOTATED, AugmentedPatches
from napari_unet3d.training.augmented_patches import augmented_patches
from napari_unet3d.training.loop import train
from napari_unet3d.training.optim.learner import Learner

SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "augmentation": "heavy",
    "patch": (8, 12, 16),
    "steps_per_epoch": 3,
    "val_fraction": 0.34,
    "device": "cpu",
    "seed": 5,
}


def shown(samples: list[Sample], n_before: int = 0, n: int = 8, **values: Any) -> AugmentedPatches:
    *_, found = augmented_patches(samples, TrainingConfig(**{**SETTINGS, **values}), n=n, n_before=n_before)
    return found


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch, samples: list[Sample], tmp_path):
    """Train for real and note every image and target that a step is made with."""

    def _train(**values: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        seen = []
        real = Learner.step

        def step(self: Learner, images: torch.Tensor, targets: torch.Tensor) -> Any:
            seen.extend(zip(images.numpy().copy(), targets.numpy().copy(), strict=True))
            return real(self, images, targets)

        monkeypatch.setattr(Learner, "step", step)
        config = TrainingConfig(**{**SETTINGS, **values})
        steps = iter(train(samples, tmp_path / "run", config))
        for event in steps:
            if type(event).__name__ == "RunStarted":
                seen.clear()  # the probe of the memory has made a step of its own
        return list(seen)  # later steps are no steps of this run

    return _train


@pytest.mark.parametrize(
    "values", [{}, {"patch": "whole", "batch_size": 1}, {"task": "instance"}, {"spacing": (1.0, 1.0, 1.0)}]
)
def test_they_are_what_the_run_sees_bit_by_bit(samples, trained_on, values):
    seen = trained_on(**values)
    first = shown(samples, n=3, **values).patches
    # Of patches, six are seen in each epoch; of two whole volumes, three steps go through one pass and a half.
    later = shown(samples, n=2, n_before=len(seen) - 2, **values).patches
    for (image, targets), patch in [*zip(seen[:3], first, strict=True), *zip(seen[-2:], later, strict=True)]:
        assert np.array_equal(patch.image, image[0])
        assert np.array_equal(patch.labels > 0, (targets[:2] > 0).any(axis=0))
    assert not np.array_equal(first[0].image, first[1].image)


def test_the_originals_are_what_lies_in_the_volume(samples):
    by_name = {sample.name: sample for sample in samples}
    found = shown(samples, normalisation="none")
    for patch in found.patches:
        box = tuple(slice(start, start + side) for start, side in zip(patch.start_zyx, (8, 12, 16), strict=True))
        assert np.array_equal(patch.original, by_name[patch.name].image[box])
        assert np.array_equal(patch.original_labels, by_name[patch.name].labels[box] > 0)
        assert patch.geometry == Geometry((2.0, 1.0, 1.0))
    assert any(not np.array_equal(patch.image, patch.original) for patch in found.patches)
    assert "rotated by up to 30° in yx" in found.augmentation


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_they_are_shown_where_the_run_keeps_its_volumes_on_the_gpu(samples):
    here, there = (shown(samples, device=device, patch=(8, 8, 8), batch_size=2) for device in ("cpu", "cuda"))
    for mine, other in zip(here.patches, there.patches, strict=True):
        np.testing.assert_array_equal(mine.image, other.image)


def test_without_augmentation_nothing_is_varied(samples):
    found = shown(samples, augmentation="none")
    assert all(np.array_equal(patch.image, patch.original) for patch in found.patches)
    assert found.augmentation == "not augmented"


def test_what_is_not_annotated_is_told_apart(sample_of):
    samples = [sample_of(str(number), number) for number in (1, 2)]
    for sample in samples:
        sample.labels[:] = np.where(sample.labels > 0, 2, 1)
        sample.labels[::3] = 0
    found = shown(samples, ignore_label=0, augmentation="light")
    assert found.label_names == {0: "background", 1: "foreground", NOT_ANNOTATED: "not annotated"}
    by_name = {sample.name: sample for sample in samples}
    for patch in found.patches:
        box = tuple(slice(start, start + side) for start, side in zip(patch.start_zyx, (8, 12, 16), strict=True))
        painted = by_name[patch.name].labels[box]
        assert np.array_equal(patch.original_labels, np.select([painted == 0, painted == 2], [NOT_ANNOTATED, 1]))


def test_classes_and_objects_are_named(sample_of):
    samples = [sample_of(str(number), number) for number in (1, 2)]
    classes = shown(samples, task="semantic", class_names=("thin", "thick"))
    assert classes.label_names == {0: "background", 1: "thin", 2: "thick", 255: "not annotated"}
    assert {*np.unique([patch.labels for patch in classes.patches])} <= {0, 1, 2}
    objects = shown(samples, task="instance")
    assert objects.label_names[BOUNDARY] == "where two objects meet"


def test_very_large_ones_are_fewer(samples, monkeypatch):
    monkeypatch.setattr("napari_unet3d.training.augmented_patches._MAX_VOXELS", 3 * 8 * 12 * 16)
    assert len(shown(samples).patches) == 3


def test_nothing_to_learn_from_is_said(samples):
    for sample in samples:
        sample.labels[:] = 0
    with pytest.raises(UserError, match="foreground"):
        shown(samples)
