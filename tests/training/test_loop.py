from __future__ import annotations

import csv
import json
import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from napari_unet3d.configs import Normalisation, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import score
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.model.devices import MAX_QUEUED_STEPS
from napari_unet3d.runs.history import best_record, read_history
from napari_unet3d.training.events import (
    EpochFinished,
    RunStarted,
    SnapshotSaved,
    StepFinished,
    Throughput,
    TrainingFinished,
    Validating,
)
from napari_unet3d.training.loop import train
from napari_unet3d.training.resume_state import load_run_state
from napari_unet3d.training.samples import split_volumes
from napari_unet3d.transforms.normalise import normalise

T = TypeVar("T")
FILES = {
    *("model.safetensors", "last.safetensors", "config.json", "history.csv", "environment.json", "seen.json"),
    "status.json",
}


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 2, "device": "cpu", "val_fraction": 0.34, **values})


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_events_come_in_order_and_what_they_announce_is_on_disk(samples: list[Sample], tmp_path: Path) -> None:
    run = tmp_path / "new" / "run"
    kinds = []
    for event in train(samples, run, config()):
        if not isinstance(event, Throughput):  # which comes by the clock
            kinds.append(type(event))
        match event:
            case RunStarted():
                assert json.loads((run / "config.json").read_text())["epochs"] == 2
                assert (event.n_epochs, event.n_steps_per_epoch, event.n_parameters) == (2, 2, 3666)
                assert sorted(event.train_names + event.val_names) == ["1", "2", "3"]
            case EpochFinished():
                assert len(rows(run)) == event.epoch
                assert load_checkpoint(run / "last.safetensors").epoch == event.epoch
                assert (load_checkpoint(run).epoch == event.epoch) is event.is_best
            case TrainingFinished():
                best = min(rows(run), key=lambda row: float(row["val_loss"]))
                assert (event.best_epoch, event.best_val_loss) == (int(best["epoch"]), float(best["val_loss"]))
                assert event.model == run / "model.safetensors"
    assert kinds == [
        RunStarted,
        *[StepFinished, StepFinished, Validating, EpochFinished, SnapshotSaved] * 2,
        TrainingFinished,
    ]
    assert {path.name for path in run.iterdir()} == FILES | {"resume.safetensors", "snapshots"}


def test_a_small_volume_is_learnt(sample_of: Any, tmp_path: Path) -> None:
    sample = sample_of("one", 0, (16, 18, 20))
    settings = config(epochs=60, val_fraction=0, augmentation="none", learning_rate=0.03, seed=1)

    list(train([sample], tmp_path, settings))

    with torch.no_grad():
        image = torch.from_numpy(normalise(sample.image, Normalisation.Z_SCORE))[None, None]
        answer = load_checkpoint(tmp_path).network()(image)[0, 0].numpy()
    assert score((answer > 0).astype(np.uint8), GroundTruth(sample.labels), "one").dice > 0.95


def test_same_seed_same_bits_in_the_model(samples: list[Sample], tmp_path: Path) -> None:
    settings = config(dropout=0.2, augmentation="heavy", batch_size=2)

    for name in ("first", "again"):
        torch.rand(3)  # what others draw must not matter
        list(train(samples, tmp_path / name, settings))

    for file in ("model.safetensors", "last.safetensors"):
        first, again = (load_checkpoint(tmp_path / name / file) for name in ("first", "again"))
        assert first.history == again.history
        assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)


@pytest.mark.parametrize("n_events", [2, 4, 5, 6, 9])
def test_stopping_keeps_a_model_and_its_history(samples: list[Sample], tmp_path: Path, n_events: int) -> None:
    events = train(samples, tmp_path, config())
    for _ in range(n_events):  # a start, then two steps, a validation, the end of an epoch and what it keeps
        next(events)
    events.close()

    n_epochs = n_events // 5
    assert load_checkpoint(tmp_path / "last.safetensors").epoch == n_epochs
    assert len(load_checkpoint(tmp_path).history) == n_epochs
    assert len(rows(tmp_path)) == n_epochs
    state = {"resume.safetensors"} if n_epochs else set()
    assert {path.name for path in tmp_path.iterdir()} == FILES | state | {"snapshots"}


def test_an_interrupt_in_the_first_epoch_keeps_the_steps_so_far(samples: list[Sample], tmp_path: Path) -> None:
    events = train(samples, tmp_path, config())
    next(events), next(events)
    untrained = load_checkpoint_weights(samples, tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        events.throw(KeyboardInterrupt())

    kept = load_checkpoint(tmp_path).weights
    assert any(not torch.equal(kept[name], untrained[name]) for name in kept)


def load_checkpoint_weights(samples: list[Sample], folder: Path) -> dict[str, torch.Tensor]:
    """Weights that hardly moved from those of the seed."""
    list(train(samples, folder, config(epochs=1, learning_rate=1e-8)))
    return load_checkpoint(folder).weights


def test_stopping_before_the_first_step_leaves_no_untrained_model(samples: list[Sample], tmp_path: Path) -> None:
    events = train(samples, tmp_path, config())
    next(events)
    events.close()

    assert not list(tmp_path.glob("*.safetensors"))


def test_the_rest_of_the_process_finds_its_own_settings_at_every_event(samples: list[Sample], tmp_path: Path) -> None:
    def settings() -> tuple[Any, ...]:
        backends = torch.backends.cudnn
        return torch.get_num_threads(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), backends.benchmark

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    before = settings()
    for _ in train(samples, tmp_path, config(dropout=0.1, augmentation="moderate")):
        assert settings() == before
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_an_existing_run_is_kept_unless_it_may_be_overwritten(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path, config()))
    before = contents(tmp_path)

    with pytest.raises(UserError, match="already holds a run"):
        next(train(samples, tmp_path, config(seed=1)))
    assert contents(tmp_path) == before

    list(train(samples, tmp_path, config(seed=1), overwrite=True))
    assert load_checkpoint(tmp_path).config.seed == 1
    assert load_run_state(tmp_path / "resume.safetensors").header.config.seed == 1


@pytest.mark.parametrize("settings", [{"kernel_size": 4}, {"device": "mps" if torch.cuda.is_available() else "cuda"}])
def test_a_run_that_cannot_start_leaves_the_older_one_as_it_was(
    samples: list[Sample], tmp_path: Path, settings: dict[str, Any]
) -> None:
    list(train(samples, tmp_path, config()))
    before = contents(tmp_path)

    with pytest.raises(UserError):
        next(train(samples, tmp_path, config(**settings), overwrite=True))

    assert contents(tmp_path) == before


def test_a_file_in_the_place_of_the_run_folder_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        next(train(samples, tmp_path / "run", config()))


def test_a_dataset_folder_is_trained_on(samples: list[Sample], tmp_path: Path) -> None:
    for sample in samples:
        add_sample(tmp_path / "data", sample, Subset.TRAIN)

    started, *_ = train(tmp_path / "data", tmp_path / "run", config())

    assert isinstance(started, RunStarted)
    assert len(started.train_names) == 2
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["dataset"] == str(tmp_path / "data")
    assert environment["validation"] == list(started.val_names)
    assert load_checkpoint(tmp_path / "run").voxel_size_um == pytest.approx((2, 1, 1))


def test_without_validation_the_training_loss_decides(samples: list[Sample], tmp_path: Path) -> None:
    events = list(train(samples, tmp_path, config(val_fraction=0, epochs=3)))

    assert any(isinstance(event, Notice) and "no validation" in event.message for event in events)
    finished = events[-1]
    assert isinstance(finished, TrainingFinished)
    assert finished.best_val_loss is None
    best = min(rows(tmp_path), key=lambda row: float(row["train_loss"]))
    assert finished.best_epoch == int(best["epoch"])
    assert {row["val_loss"] for row in rows(tmp_path)} == {""}


def test_validation_without_foreground_keeps_the_last_epoch(samples: list[Sample], tmp_path: Path) -> None:
    """Its loss falls and rises with the learning rate, and would take an early epoch for the best."""
    empty = [samples[0], *(replace(sample, labels=0 * sample.labels) for sample in samples[1:])]
    settings = config(epochs=6, patience=2, seed=0, save_snapshots=False)
    started, *events = train(empty, tmp_path, settings)

    assert set(started.val_names) < {"2", "3"}
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert sum("last epoch is saved" in notice for notice in notices) == 1
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    assert all(epoch.is_best for epoch in epochs)
    assert min(epochs, key=lambda epoch: epoch.val_loss).epoch < 6  # else it would not show which rule holds
    assert len(epochs) == 6  # nothing tells that it stalls
    assert events[-1].best_epoch == 6
    assert load_checkpoint(tmp_path / "model.safetensors").epoch == 6
    assert best_record(read_history(tmp_path / "history.csv")).epoch == 6  # as docks and reports read it


def test_a_single_volume_validates_on_a_block_of_it(sample_of: Any, tmp_path: Path) -> None:
    long, short = sample_of("one", 0, (64, 18, 20)), sample_of("one", 0, (17, 18, 20))
    long.labels[40:] = 1

    started, *_ = train([long], tmp_path / "long", config(val_fraction=0.2))
    assert (started.train_names, started.val_names) == (("one [training]",), ("one [validation]",))
    environment = json.loads((tmp_path / "long" / "environment.json").read_text())
    for block, written, shape in zip(started.blocks, environment["blocks"], [(38, 18, 20), (13, 18, 20)], strict=True):
        assert (block.name, block.role.value, list(block.start_zyx)) == ("one", written["role"], written["start_zyx"])
        assert tuple(np.subtract(block.stop_zyx, block.start_zyx)) == shape

    _, *events = train([short], tmp_path / "short", config(val_fraction=0.2))
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert any("'one' of 17 × 18 × 20 voxels is too small for a validation block" in notice for notice in notices)
    assert events[-1].best_val_loss is None


def test_validation_comes_every_so_many_epochs_and_at_the_end(samples: list[Sample], tmp_path: Path) -> None:
    epochs = [
        event
        for event in train(samples, tmp_path, config(epochs=5, validate_every=2))
        if isinstance(event, EpochFinished)
    ]

    assert [event.val_loss is not None for event in epochs] == [False, True, False, True, True]
    assert epochs[0].is_best  # there is a model from the first epoch on
    assert epochs[1].is_best  # a validated one goes before one that is not
    assert not epochs[2].is_best


def test_validation_loss_is_that_of_the_saved_model(samples: list[Sample], tmp_path: Path) -> None:
    from monai.losses import DiceCELoss

    started, *events = train(samples, tmp_path, config(resize_mode="crop", preset="small"))
    last = load_checkpoint(tmp_path / "last.safetensors")
    [sample] = [sample for sample in samples if sample.name in started.val_names]

    image = torch.from_numpy(normalise(sample.image, Normalisation.Z_SCORE)[:16, 1:17])[None, None]
    truth = torch.from_numpy((sample.labels[:16, 1:17] > 0).astype(np.float32))[None, None]
    with torch.no_grad():
        logits = last.network()(image)

    [*_, epoch] = (event for event in events if isinstance(event, EpochFinished))
    assert epoch.val_loss == pytest.approx(DiceCELoss(sigmoid=True)(logits, truth).item(), abs=1e-5)
    assert epoch.val_dice == pytest.approx(score((logits > 0).numpy()[0, 0], GroundTruth(truth.numpy()[0, 0]), "").dice)


def far_too_bright(sample: Sample) -> Sample:
    """Finite intensities whose first convolution is not finite."""
    image = np.where(sample.labels > 0, 3e38, -3e38).astype(np.float32)
    return Sample(sample.name, image, sample.labels)


def test_steps_into_nan_are_left_out_and_said_once(samples: list[Sample], tmp_path: Path) -> None:
    mixed = [samples[0], far_too_bright(samples[1])]

    events = list(train(mixed, tmp_path, config(val_fraction=0, normalisation="none", epochs=4)))

    assert sum(isinstance(event, Notice) and "was skipped" in event.message for event in events) == 1
    assert sum(isinstance(event, StepFinished) and not np.isfinite(event.loss) for event in events) == 4
    assert all(np.isfinite(float(row["train_loss"])) for row in rows(tmp_path))
    assert isinstance(events[-1], TrainingFinished)
    load_checkpoint(tmp_path)  # which refuses weights that are not finite


def test_events_and_weights_are_the_same_when_steps_run_ahead(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the next step is queued before the last one is heard of; one step of each epoch is left out."""
    mixed = [*samples, far_too_bright(samples[1])]
    settings = config(val_fraction=0, normalisation="none", epochs=3, ema_decay=0.9)

    def told(folder: Path) -> list[str]:
        events = train(mixed, folder, settings)
        return [repr(event) for event in events if isinstance(event, StepFinished | EpochFinished | Notice)]

    at_once = told(tmp_path / "at_once")
    monkeypatch.setitem(MAX_QUEUED_STEPS, "cpu", 1)
    ahead = told(tmp_path / "ahead")

    def numbers(lines: list[str]) -> list[str]:
        return [re.sub("seconds_left=.*", "", line) for line in lines]

    assert len(ahead) == 3 * 5 + 2  # a notice of the missing validation, and one of the first step left out
    assert numbers(ahead) == numbers(at_once)
    first, second = (load_run_state(tmp_path / name / "resume.safetensors") for name in ("at_once", "ahead"))
    assert (first.header.n_steps, second.header.n_steps) == (9, 9)
    for name in ("weights", "ema", "moments"):
        expected = getattr(first, name)
        assert all(torch.equal(tensor, expected[key]) for key, tensor in getattr(second, name).items())


def test_one_step_at_most_runs_ahead(samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAX_QUEUED_STEPS, "cpu", 1)
    n_made, heard = 0, []

    def count(module: torch.nn.Module, *_: object) -> None:
        nonlocal n_made
        n_made += isinstance(module, UNet)

    events = train(samples, tmp_path, config(val_fraction=0, steps_per_epoch=4, patch=(8, 8, 8), epochs=1))
    next(events)
    with torch.nn.modules.module.register_module_forward_hook(count):
        for event in events:
            if isinstance(event, StepFinished):
                heard.append((event.step, n_made))
    assert heard == [(1, 2), (2, 3), (3, 4), (4, 4)]


def test_a_run_that_diverges_in_its_first_epoch_leaves_no_model(samples: list[Sample], tmp_path: Path) -> None:
    """Some steps were made, but a model of them would look like a trained one."""
    mixed = [samples[0], *(replace(far_too_bright(samples[1]), name=f"bright {number}") for number in range(20))]
    heard: list[Any] = []
    with pytest.raises(UserError, match="lower learning rate"):
        heard.extend(train(mixed, tmp_path, config(val_fraction=0, normalisation="none", steps_per_epoch=63)))

    assert any(isinstance(event, StepFinished) and np.isfinite(event.loss) for event in heard)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_loss_that_is_never_a_number_ends_the_run(samples: list[Sample], tmp_path: Path) -> None:
    settings = config(val_fraction=0, normalisation="none", epochs=30)
    with pytest.raises(UserError, match="lower learning rate"):
        list(train([far_too_bright(sample) for sample in samples], tmp_path, settings))


def test_no_volumes_no_labels_no_foreground_are_refused(samples: list[Sample], tmp_path: Path) -> None:
    image_only = Sample("image", samples[0].image)
    nothing = Sample("nothing", samples[0].image, np.zeros_like(samples[0].labels))
    for data, message in [
        ([], "no volume"),
        ([samples[0], image_only], "'image' has no labels"),
        ([nothing, nothing], "no foreground"),
    ]:
        with pytest.raises(UserError, match=message):
            next(train(data, tmp_path, config()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("label", "ignore_label", "message"), [(255, 255, "are 0 or 255"), (1, 0, "are 0 or 1"), (0, None, "are 0:")]
)
def test_what_is_labelled_instead_of_foreground_is_said(
    samples: list[Sample], tmp_path: Path, label: int, ignore_label: int | None, message: str
) -> None:
    unfit = [replace(sample, labels=np.full_like(sample.labels, label)) for sample in samples]
    with pytest.raises(UserError, match=message):
        next(train(unfit, tmp_path, config(ignore_label=ignore_label)))


def test_the_gap_between_blocks_is_that_of_the_volume_which_is_cut(sample_of: Any) -> None:
    """Not that of a corrected volume, which may have other voxels."""
    cut = sample_of("one", 0, (64, 18, 20)).at(Geometry((1.0, 1.0, 1.0)))
    cut.labels[40:] = 1
    corrected = replace(sample_of("a", 1).at(Geometry((4.0, 1.0, 1.0))), provenance=Provenance(volume="other"))

    *_, expected = finish(split_volumes([cut], config(val_fraction=0.2)))
    *_, found = finish(split_volumes([corrected, cut], config(val_fraction=0.2)))

    assert len(found.blocks) == 2
    assert found.blocks == expected.blocks


def finish(steps: Generator[Any, None, T]) -> Iterator[Any]:
    """Yield the events of a generator, then its result."""
    yield (yield from steps)


def test_one_volume_without_foreground_is_mentioned(samples: list[Sample], tmp_path: Path) -> None:
    nothing = Sample("nothing", samples[0].image, np.zeros_like(samples[0].labels))

    events = list(train([*samples, nothing], tmp_path, config(momentum=0.9, batch_size=8)))

    notices = " ".join(event.message for event in events if isinstance(event, Notice))
    assert "'nothing' have no foreground" in notices
    assert "Adam does not use the momentum" in notices
    assert "batch size is 8, but there are only 3 training volumes" in notices
