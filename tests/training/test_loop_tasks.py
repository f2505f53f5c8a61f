"""Runs on tasks, sparse labels and patches, and runs that run out of memory."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import score
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.model.devices import MAX_QUEUED_STEPS
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished, TrainingFinished
from napari_unet3d.training.loop import train


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 2, "device": "cpu", "val_fraction": 0.34, **values})


class OutOfMemoryAbove:
    """While it holds, networks refuse inputs of more voxels, as a full GPU does."""

    def __init__(self, n_voxels: int) -> None:
        self._n_voxels = n_voxels
        self.refused: list[weakref.ref[torch.Tensor]] = []

    def __enter__(self) -> OutOfMemoryAbove:
        self._hook = torch.nn.modules.module.register_module_forward_pre_hook(self._refuse)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _refuse(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        is_first = isinstance(module, torch.nn.Conv3d) and inputs[0].shape[1] == 1
        if inputs[0].device.type != "meta" and is_first and inputs[0].numel() > self._n_voxels:
            self.refused.append(weakref.ref(inputs[0]))
            raise torch.OutOfMemoryError("CUDA out of memory")


class TestOutOfMemory:
    @pytest.mark.parametrize("n_ahead", [0, 1])
    def test_the_run_goes_on_with_less(
        self, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_ahead: int
    ) -> None:
        monkeypatch.setitem(MAX_QUEUED_STEPS, "cpu", n_ahead)
        events = train(samples, tmp_path, config(patch=(8, 12, 16), batch_size=3, epochs=3, steps_per_epoch=4))
        before = [next(events) for _ in range(3)]

        with OutOfMemoryAbove(1000):
            after = list(events)

        notices = [event.message for event in after if isinstance(event, Notice)]
        assert notices == [
            "Memory ran out: each step now sees 1 × 8 × 12 × 16 voxels.",
            "Memory ran out: each step now sees 1 × 8 × 12 × 8 voxels.",
        ]
        steps = [(event.epoch, event.step) for event in [*before, *after] if isinstance(event, StepFinished)]
        assert isinstance(before[-1], StepFinished)
        assert steps == [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]  # none lost, none made twice
        assert load_checkpoint(tmp_path).plan.patch_zyx == (8, 12, 8)
        assert isinstance(after[-1], TrainingFinished)

    @pytest.mark.parametrize("phase", ["training", "validation"])
    def test_the_failed_batch_is_freed_before_the_data_is_prepared_again(
        self, samples: list[Sample], tmp_path: Path, phase: str
    ) -> None:
        """Else both would have to fit into the memory that has just run out."""
        events = train(samples, tmp_path, config(patch=(8, 12, 16), batch_size=2, steps_per_epoch=2))
        n_events = 1 if phase == "training" else 3  # the start of the run, and both steps of its first epoch
        assert isinstance([next(events) for _ in range(n_events)][-1], RunStarted | StepFinished)

        with OutOfMemoryAbove(8 * 12 * 16) as memory:
            for event in events:
                if isinstance(event, Notice) and "Memory ran out" in event.message:
                    break
            assert len(memory.refused) == 1
            assert memory.refused[0]() is None
        events.close()

    def test_too_little_for_anything_is_said_and_nothing_is_lost(self, samples: list[Sample], tmp_path: Path) -> None:
        events = train(samples, tmp_path, config(patch=(8, 12, 16), batch_size=2))
        for event in events:
            if isinstance(event, EpochFinished):
                break

        with (
            OutOfMemoryAbove(10),
            pytest.raises(UserError, match="not enough memory for a single patch of 1 × 2 × 4 × 4"),
        ):
            list(events)

        assert load_checkpoint(tmp_path).epoch == 1

    def test_validation_goes_on_with_less_too(self, samples: list[Sample], tmp_path: Path) -> None:
        def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            validates = isinstance(module, torch.nn.Conv3d) and not module.training
            if validates and inputs[0].shape[1] == 1 and inputs[0].numel() > 8 * 12 * 16:
                raise torch.OutOfMemoryError("CUDA out of memory")

        hook = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
        try:
            events = list(train(samples, tmp_path, config(patch=(8, 12, 16), batch_size=2)))
        finally:
            hook.remove()

        notices = [event.message for event in events if isinstance(event, Notice)]
        assert notices == ["Memory ran out: each step now sees 1 × 8 × 12 × 16 voxels."]
        assert all(event.val_dice is not None for event in events if isinstance(event, EpochFinished))
        assert isinstance(events[-1], TrainingFinished)


class TestSparseLabels:
    def test_a_few_painted_slices_teach_what_full_labels_do(self, sample_of: Any, tmp_path: Path) -> None:
        """Every third slice is painted, with 1 for background and 2 for the boxes."""
        full, test = sample_of("a", 1), sample_of("b", 2)
        painted = np.zeros(full.shape, np.uint8)
        for z in (2, 5, 8, 11, 14):
            painted[z] = 1 + (full.labels[z] > 0)
        sparse = replace(full, labels=painted)
        settings = {"val_fraction": 0, "epochs": 12, "seed": 3}

        list(train([sparse], tmp_path / "sparse", config(ignore_label=0, **settings)))
        list(train([full], tmp_path / "full", config(**settings)))

        def dice(run: str) -> float:
            *_, prediction = predict(tmp_path / run, test)
            return float(score(prediction.labels, GroundTruth((test.labels > 0).astype(np.uint8)), "").dice)

        assert dice("sparse") > 0.9 * dice("full") > 0.7

    def test_without_anything_to_learn_it_says_what_to_paint(self, sample_of: Any, tmp_path: Path) -> None:
        sample = sample_of("a", 1)
        only_background = replace(sample, labels=(sample.labels > 0).astype(np.uint8))
        with pytest.raises(UserError, match=r"there is no foreground\. Label some objects with 2"):
            list(train([only_background], tmp_path, config(ignore_label=0, val_fraction=0)))

    def test_validation_without_annotation_gives_no_numbers(self, samples: list[Sample], tmp_path: Path) -> None:
        labelled = [replace(sample, labels=sample.labels.astype(np.uint16) + 1) for sample in samples]
        unpainted = [labelled[0], *(replace(sample, labels=sample.labels * 0) for sample in labelled[1:])]

        *_, epoch, finished = train(unpainted, tmp_path, config(epochs=2, seed=0, ignore_label=0))

        assert epoch.val_loss is None
        assert np.isnan(epoch.val_dice)  # there is validation, and it tells nothing
        assert finished.best_epoch == 2


@pytest.mark.parametrize("task", ["semantic", "instance"])
@pytest.mark.parametrize("patch", ["whole", (8, 8, 8)])
def test_every_task_learns(samples: list[Sample], tmp_path: Path, task: str, patch: Any) -> None:
    # The boxes of one class are brighter than those of the other.
    samples = [replace(each, image=np.where(each.labels == 300, each.image + 60, each.image)) for each in samples]
    *events, finished = train(samples, tmp_path, config(task=task, patch=patch, epochs=12))
    dice = [event.val_dice for event in events if isinstance(event, EpochFinished)]

    assert max(dice) > 0.7
    assert load_checkpoint(finished.model).plan.out_channels == 3
