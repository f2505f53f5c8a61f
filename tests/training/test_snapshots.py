"""Snapshots of a run have what validation predicted, no more and no less."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import PredictionConfig, Task, TrainingConfig
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.evaluation.metrics.score import score
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.runs.snapshot_files import SnapshotPrediction, epoch_file
from napari_unet3d.runs.snapshots import SnapshotRun, open_snapshots
from napari_unet3d.training import snapshot_grid, snapshot_writer
from napari_unet3d.training.events import EpochFinished, Notice, RunStarted, SnapshotSaved, Validating
from napari_unet3d.training.loop import train
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.snapshot_writer import epochs_to_keep

SHAPE = (16, 18, 20)


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 2, "device": "cpu", "val_fraction": 0.34, "learning_rate": 0.03, **values})


def trained(samples: list[Sample], folder: Path, **values: Any) -> tuple[SnapshotRun, list[Any]]:
    events = list(train(samples, folder, config(**values)))
    run = open_snapshots(folder)
    assert run is not None
    return run, events


def epochs_in(events: list[Any]) -> list[EpochFinished]:
    return [event for event in events if isinstance(event, EpochFinished)]


def kept_dice(run: SnapshotRun, epoch: int, number: int = 0) -> float | None:
    truth, kept = run.volume(number).truth, run.prediction(epoch, number)
    return score(kept.labels, kept.mask_truth(truth), "kept").dice


@pytest.fixture
def even_samples(sample_of: Any) -> list[Sample]:
    return [sample_of(str(number), number, SHAPE) for number in range(1, 4)]


@pytest.mark.parametrize("patch", [("whole",), (8, 6, 10), (8, 8, 12)], ids=["whole", "tiles", "overlapping tiles"])
def test_the_prediction_of_a_snapshot_has_the_dice_of_the_curve(
    even_samples: list[Sample], tmp_path: Path, patch: tuple[Any, ...]
) -> None:
    run, events = trained(even_samples, tmp_path, patch=patch, epochs=3, steps_per_epoch=4)

    assert run.epochs() == (1, 2, 3)
    for event in epochs_in(events):
        assert kept_dice(run, event.epoch) == pytest.approx(event.val_dice, abs=1e-12)
        assert run.prediction(event.epoch, 0).predicted is None
    assert len({event.val_dice for event in epochs_in(events)}) > 1, "else the epochs could be mixed up unseen"


def test_it_is_what_the_model_of_the_snapshot_predicts(even_samples: list[Sample], tmp_path: Path) -> None:
    run, _ = trained(even_samples, tmp_path, patch="whole", epochs=3, steps_per_epoch=4)
    sample = next(each for each in even_samples if each.name == run.manifest.volumes[0].name)

    for epoch in run.epochs():
        assert load_checkpoint(run.model(epoch)).epoch == epoch
        *_, answer = predict(run.model(epoch), sample, PredictionConfig(device="cpu"))
        np.testing.assert_array_equal(run.prediction(epoch, 0).labels, answer.labels)
    volume = run.volume(0)
    np.testing.assert_array_equal(volume.image, sample.image)
    assert sample.labels is not None
    np.testing.assert_array_equal(volume.truth.labels, sample.labels > 0)
    assert run.manifest.volumes[0].geometry == sample.geometry == Geometry((2.0, 1.0, 1.0))
    assert (run.manifest.volumes[0].first_zyx, run.manifest.volumes[0].step_zyx) == ((0, 0, 0), (1, 1, 1))


def test_snapshots_change_no_bit_of_the_model(even_samples: list[Sample], tmp_path: Path) -> None:
    values = {"dropout": 0.2, "augmentation": "moderate", "ema_decay": 0.9, "patch": (8, 6, 10), "steps_per_epoch": 3}
    trained(even_samples, tmp_path / "watched", **values)
    list(train(even_samples, tmp_path / "alone", config(save_snapshots=False, **values)))

    assert open_snapshots(tmp_path / "alone") is None
    for file in ("model.safetensors", "last.safetensors"):
        one, other = (load_checkpoint(tmp_path / name / file) for name in ("watched", "alone"))
        assert one.history == other.history
        assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_of_an_averaged_run_snapshots_are_of_the_average(even_samples: list[Sample], tmp_path: Path) -> None:
    run, events = trained(even_samples, tmp_path, ema_decay=0.9, patch="whole", steps_per_epoch=4)
    sample = next(each for each in even_samples if each.name == run.manifest.volumes[0].name)

    *_, answer = predict(run.model(2), sample, PredictionConfig(device="cpu"))
    np.testing.assert_array_equal(run.prediction(2, 0).labels, answer.labels)
    assert kept_dice(run, 2) == pytest.approx(epochs_in(events)[1].val_dice, abs=1e-12)


def test_classes_keep_the_values_of_their_labels(even_samples: list[Sample], tmp_path: Path) -> None:
    run, events = trained(even_samples, tmp_path, task="semantic", epochs=8, patch="whole", steps_per_epoch=6)

    labels, truth = run.prediction(8, 0).labels, run.volume(0).truth
    assert set(np.unique(truth.labels)) == {0, 1, 300}
    assert set(np.unique(labels)) <= {0, 1, 300}
    present = [value for value in (1, 300) if ((labels == value) | (truth.labels == value)).any()]
    dice = [
        2
        * int(((labels == value) & (truth.labels == value)).sum())
        / int((labels == value).sum() + (truth.labels == value).sum())
        for value in present
    ]
    assert np.mean(dice) == pytest.approx(epochs_in(events)[7].val_dice, abs=1e-12)


def test_sparse_labels_are_compared_where_they_are_annotated(sample_of: Any, tmp_path: Path) -> None:
    samples = []
    for number in range(1, 4):
        whole = sample_of(str(number), number, SHAPE)
        painted = np.zeros(SHAPE, np.uint8)
        painted[5:8] = np.where(whole.labels[5:8] > 0, 2, 1)
        samples.append(Sample(whole.name, whole.image, painted, whole.voxel_size_um))
    run, events = trained(samples, tmp_path, ignore_label=0, patch=(4, 18, 20), steps_per_epoch=4)

    kept, truth = run.prediction(2, 0), run.volume(0).truth
    assert truth.label_mask is not None
    assert kept.predicted is not None
    assert kept.predicted.any(axis=(1, 2)).tolist() == [4 <= z < 8 for z in range(16)], (
        "tiles without labels are left out"
    )
    assert not kept.labels[~kept.predicted].any()
    masked = kept.mask_truth(truth).label_mask
    assert masked is not None
    assert masked.any(axis=(1, 2)).tolist() == [5 <= z < 8 for z in range(16)]
    assert kept_dice(run, 2) == pytest.approx(epochs_in(events)[1].val_dice, abs=1e-12)
    expected = decode_labels(samples[0].labels, Task.BINARY, config(ignore_label=0).ignore_label)
    assert expected.label_mask is not None


def test_a_block_lies_where_it_was_cut(sample_of: Any, tmp_path: Path) -> None:
    sample = sample_of("one", 3, (80, 18, 20))
    labels = np.tile(sample_of("one", 3, (16, 18, 20)).labels, (5, 1, 1))
    sample = Sample("one", sample.image, labels, (2.0, 1.0, 0.5))
    run, events = trained([sample], tmp_path, patch=(8, 8, 8), steps_per_epoch=2)
    started = next(event for event in events if isinstance(event, RunStarted))
    block = next(block for block in started.blocks if block.role == "validation")

    card = run.manifest.volumes[0]
    assert (card.volume, card.volume_shape_zyx) == ("one", (80, 18, 20))
    assert card.first_zyx == tuple(map(float, block.start_zyx))
    assert card.geometry == sample.geometry
    where = tuple(slice(start, stop) for start, stop in zip(block.start_zyx, block.stop_zyx, strict=True))
    np.testing.assert_array_equal(run.volume(0).image, sample.image[where])
    assert kept_dice(run, 2) == pytest.approx(epochs_in(events)[1].val_dice, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "shape", "first", "step"),
    [
        # 16 × 18 × 20 voxels of 2 × 1 × 1 µm become 32 × 18 × 20 of 1 µm; the box stays the same.
        ({"spacing": (1.0, 1.0, 1.0)}, (32, 18, 20), (-0.25, 0, 0), (0.5, 1, 1)),
        # Four voxels along y and x become one; padding is cut off again, cropping is not.
        ({"patch": "whole", "preset": "small", "resize_mode": "pad"}, SHAPE, (0, 0, 0), (1, 1, 1)),
        ({"patch": "whole", "preset": "small", "resize_mode": "crop"}, (16, 16, 20), (0, 1, 0), (1, 1, 1)),
        ({"patch": "whole", "preset": "small", "resize_mode": "resize"}, (16, 20, 20), (0, -0.05, 0), (1, 0.9, 1)),
    ],
    ids=["another voxel size", "pad", "crop", "resize"],
)
def test_grids_that_are_not_the_volumes_own_lie_in_its_box(
    even_samples: list[Sample], tmp_path: Path, values: dict[str, Any], shape: Any, first: Any, step: Any
) -> None:
    run, _ = trained(even_samples, tmp_path, epochs=1, steps_per_epoch=1, **values)

    card = run.manifest.volumes[0]
    assert card.shape_zyx == shape
    assert card.first_zyx == pytest.approx(first)
    assert card.step_zyx == pytest.approx(step)
    assert run.prediction(1, 0).labels.shape == run.volume(0).image.shape == shape


def test_a_resumed_run_has_further_snapshots(even_samples: list[Sample], tmp_path: Path) -> None:
    values = {"patch": (8, 6, 10), "steps_per_epoch": 3, "epochs": 3}
    whole, _ = trained(even_samples, tmp_path / "whole", **values)
    events = train(even_samples, tmp_path / "parts", config(**values))
    while not isinstance(next(events), SnapshotSaved):
        pass
    events.close()  # type: ignore[attr-defined]
    stray = epoch_file(tmp_path / "parts" / "snapshots", 7)  # of an epoch that was never finished
    shutil.copy(epoch_file(tmp_path / "parts" / "snapshots", 1), stray)
    resumed = train(even_samples, tmp_path / "parts", resume=True)
    next(resumed), next(resumed)
    assert not stray.exists()
    list(resumed)

    parts = open_snapshots(tmp_path / "parts")
    assert parts is not None
    assert parts.manifest == whole.manifest
    assert parts.epochs() == whole.epochs() == (1, 2, 3)
    for epoch in parts.epochs():
        np.testing.assert_array_equal(parts.prediction(epoch, 0).labels, whole.prediction(epoch, 0).labels)


def test_a_new_run_in_the_same_folder_forgets_the_old_one(even_samples: list[Sample], tmp_path: Path) -> None:
    trained(even_samples, tmp_path, epochs=3, steps_per_epoch=1)
    list(train(even_samples, tmp_path, config(save_snapshots=False, epochs=1), overwrite=True))
    assert open_snapshots(tmp_path) is None


def test_only_the_newest_epochs_and_an_even_choice_stay(
    even_samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_writer, "MAX_BYTES", 1)
    monkeypatch.setattr(snapshot_writer, "_MIN_EPOCHS", 4)
    run, events = trained(even_samples, tmp_path, epochs=7, steps_per_epoch=1, patch=(8, 6, 10))

    best = min(epochs_in(events), key=lambda event: event.val_loss or 0).epoch
    assert set(run.epochs()) == {1, 5, 7, best}
    assert all(run.model(epoch).exists() for epoch in run.epochs())
    assert len(list(run.folder.glob("epoch-*"))) == 2 * len(run.epochs())


def test_thinning_covers_the_run_evenly() -> None:
    there: list[int] = []
    for epoch in range(1, 101):  # as a run does it: what was left out does not come back
        there = sorted(epochs_to_keep([*there, epoch], 10, best_epoch=min(epoch, 37)))
        assert len(there) <= 10
    assert there == [1, 17, 33, 37, 49, 65, 81, 97, 100]
    assert epochs_to_keep([], 10, 1) == frozenset()
    assert epochs_to_keep([5, 10, 15], 10, 10, validate_every=5) == {5, 10, 15}


def test_volumes_that_are_too_many_are_named(sample_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_grid, "MAX_VOXELS", 16 * 18 * 20 + 100)
    samples = [sample_of(str(number), number, SHAPE) for number in range(1, 5)]
    run, events = trained(samples, tmp_path, val_fraction=0.5, epochs=1, steps_per_epoch=1)

    assert len(run.manifest.volumes) == 1
    assert len(run.manifest.left_out) == 1
    assert any(isinstance(event, Notice) and run.manifest.left_out[0] in event.message for event in events)
    assert {run.manifest.volumes[0].name, *run.manifest.left_out} == set(
        next(event for event in events if isinstance(event, RunStarted)).val_names
    )


def test_varied_validation_is_not_shown_as_if_it_lay_in_its_place(even_samples: list[Sample], tmp_path: Path) -> None:
    events = list(train(even_samples, tmp_path, config(val_augmentation="light", epochs=1, steps_per_epoch=1)))

    assert any(isinstance(event, Notice) and "no snapshots are saved" in event.message for event in events)
    assert open_snapshots(tmp_path) is None


def test_validation_says_how_far_it_is(even_samples: list[Sample], tmp_path: Path) -> None:
    _, events = trained(even_samples, tmp_path, patch=(8, 6, 10), batch_size=2, epochs=1, steps_per_epoch=1)

    said = [event for event in events if isinstance(event, Validating)]
    assert [(event.n_done, event.n_total) for event in said] == [(n, 6) for n in range(1, 7)]  # 2 × 3 × 2 tiles


def test_a_stop_during_validation_leaves_the_weights_as_they_were(even_samples: list[Sample], tmp_path: Path) -> None:
    events = train(even_samples, tmp_path, config(patch=(8, 6, 10), ema_decay=0.9, steps_per_epoch=1))
    while not isinstance(next(events), Validating):
        pass
    events.close()  # type: ignore[attr-defined]
    assert load_checkpoint(tmp_path).epoch == 0


def test_too_little_memory_in_a_validation_begins_it_again(
    even_samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = Learner.forward, []

    def scarce(self: Learner, *batch: torch.Tensor) -> Any:
        calls.append(batch[0].shape)
        if len(calls) == 2:
            raise OutOfMemory("too little")
        return forward(self, *batch)

    monkeypatch.setattr(Learner, "forward", scarce)
    run, events = trained(even_samples, tmp_path, patch=(8, 8, 12), batch_size=2, epochs=1, steps_per_epoch=1)

    assert any(isinstance(event, Notice) and "Memory ran out" in event.message for event in events)
    assert run.prediction(1, 0).predicted is None
    assert kept_dice(run, 1) == pytest.approx(epochs_in(events)[0].val_dice, abs=1e-12)


@pytest.mark.parametrize("fit", ["crop", "pad", "resize"])
def test_too_little_memory_in_a_step_is_followed_by_the_snapshots(
    even_samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: str
) -> None:
    step, calls = Learner.step, []

    def scarce(self: Learner, *batch: torch.Tensor) -> float:
        calls.append(batch[0].shape)
        if len(calls) == 2:  # the first one is tried before the run
            raise OutOfMemory("too little")
        return step(self, *batch)

    monkeypatch.setattr(Learner, "step", scarce)
    values = {"patch": "whole", "batch_size": 1, "preset": "small", "resize_mode": fit, "steps_per_epoch": 2}
    run, events = trained(even_samples, tmp_path, **values)

    assert any(isinstance(event, Notice) and "Memory ran out" in event.message for event in events)
    assert run.manifest.volumes[0].shape_zyx == run.manifest.volumes[0].volume_shape_zyx == SHAPE  # patches fit nothing
    for event in epochs_in(events):
        assert run.prediction(event.epoch, 0).predicted is None
        assert kept_dice(run, event.epoch) == pytest.approx(event.val_dice, abs=1e-12)


def test_a_folder_that_cannot_be_written_stops_the_snapshots_not_the_run(
    even_samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise UserError("no space is left on the disk.")

    monkeypatch.setattr(snapshot_writer, "write_predictions", full)
    events = list(train(even_samples, tmp_path, config(epochs=2, steps_per_epoch=1)))

    said = [event.message for event in events if isinstance(event, Notice)]
    assert sum("without further snapshots" in message for message in said) == 1
    assert len(epochs_in(events)) == 2
    assert not [event for event in events if isinstance(event, SnapshotSaved)]


def test_a_damaged_file_is_explained(even_samples: list[Sample], tmp_path: Path) -> None:
    run, _ = trained(even_samples, tmp_path, epochs=2, steps_per_epoch=1)
    path = epoch_file(run.folder, 1)
    path.write_bytes(path.read_bytes()[:40])

    with pytest.raises(UserError, match="damaged"):
        run.prediction(1, 0)
    with pytest.raises(UserError, match="does not exist"):
        run.prediction(9, 0)
    assert run.prediction(2, 0).labels.shape == SHAPE
    (run.folder / "snapshots.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        open_snapshots(tmp_path)


def test_voxels_without_prediction_do_not_count() -> None:
    truth = decode_labels(np.ones((2, 2, 2), np.uint8), Task.BINARY, TrainingConfig().ignore_label)
    predicted = np.zeros((2, 2, 2), bool)
    predicted[0] = True
    masked = SnapshotPrediction(np.zeros((2, 2, 2), np.uint8), predicted).mask_truth(truth)
    assert masked.label_mask is predicted


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(),
        Geometry((None, 0.5, 0.5)),
        Geometry((4.0, 1.0, 1.0), is_um=False),
        make_geometry((2.0, 1.0, 1.0), np.diag([1, -1, 1]), (5.0, 6.0, 7.0), "NIfTI", space="scanner"),
    ],
)
def test_the_manifest_keeps_what_is_known_of_the_place(
    even_samples: list[Sample], tmp_path: Path, geometry: Geometry
) -> None:
    run, _ = trained([sample.at(geometry) for sample in even_samples], tmp_path, patch=(8, 8, 8), steps_per_epoch=2)
    assert run.manifest.volumes[0].geometry == geometry
    assert geometry.is_calibrated or "voxel_size_um" not in (run.folder / "snapshots.json").read_text()
