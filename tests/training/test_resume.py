"""A run that is left and taken up again ends like one that never stopped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import Device, Precision, TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import split_samples
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.events import EndReason, EpochFinished, RunStarted, TrainEvent, TrainingFinished
from napari_unet3d.training.loop import train
from napari_unet3d.training.resume_state import load_run_state, save_run_state


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 4, "device": "cpu", "val_fraction": 0.34, **values})


def leave_after(events: Iterator[TrainEvent], n_epochs: int, n_more_events: int = 0) -> None:
    """Go through some epochs and some events more, then close."""
    while n_epochs:
        n_epochs -= isinstance(next(events), EpochFinished)
    for _ in range(n_more_events):
        next(events)
    events.close()  # type: ignore[attr-defined]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same_end(found: Path, expected: Path) -> None:
    """All that a run leaves is the same, to the last bit, but for times."""
    for name in ("model.safetensors", "last.safetensors"):
        one, other = load_checkpoint(found / name), load_checkpoint(expected / name)
        assert replace(one, weights={}) == replace(other, weights={})
        assert_same_tensors(one.weights, other.weights)
    assert rows(found) == rows(expected)
    ours, theirs = (load_run_state(folder / "resume.safetensors") for folder in (found, expected))
    times = {"seconds": (), "seconds_spent": 0.0}
    assert ours.header.model_copy(update=times) == theirs.header.model_copy(update=times)
    assert torch.equal(ours.random_state, theirs.random_state)
    assert_same_tensors(ours.weights, theirs.weights)
    assert_same_tensors(ours.ema, theirs.ema)
    assert_same_tensors(ours.moments, theirs.moments)


def assert_same_tensors(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


RUNS: dict[str, dict[str, Any]] = {
    "whole volumes": {"patch": "whole", "dropout": 0.2, "augmentation": "heavy"},
    "patches": {"patch": (8, 6, 10), "steps_per_epoch": 3, "dropout": 0.2, "augmentation": "moderate"},
    "averaged": {"patch": "whole", "ema_decay": 0.9, "lr_schedule": "one-cycle", "optimizer": "adamw"},
    "momentum": {"patch": "whole", "optimizer": "sgd", "momentum": 0.9, "lr_schedule": "poly"},
    "objects": {"patch": (8, 6, 10), "steps_per_epoch": 2, "task": "instance", "optimizer": "rmsprop"},
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_resumed_run_ends_with_the_same_bits(kind: str, samples: list[Sample], tmp_path: Path) -> None:
    settings = config(**RUNS[kind])
    list(train(samples, tmp_path / "whole", settings))

    leave_after(train(samples, tmp_path / "parts", settings), 1, n_more_events=1)
    torch.rand(3)  # what others draw in between must not matter
    started, *rest = train(samples, tmp_path / "parts", resume=True)

    assert isinstance(started, RunStarted)
    assert [record.epoch for record in started.history] == [1]
    assert [event.epoch for event in rest if isinstance(event, EpochFinished)] == [2, 3, 4]
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


def with_inverted_validation(samples: list[Sample], settings: TrainingConfig) -> list[Sample]:
    """What training learns is wrong for the validation volume, so that its loss is lowest in the first epochs."""
    [judge] = split_samples(samples, settings.val_fraction, settings.seed, gap_zyx=(0, 0, 0)).val
    return [replace(s, labels=(s.labels == 0).astype(np.uint8)) if s is judge else s for s in samples]


def test_stalled_schedules_go_on_from_where_they_were(samples: list[Sample], tmp_path: Path) -> None:
    settings = config(epochs=14, lr_schedule="plateau", patch="whole")
    samples = with_inverted_validation(samples, settings)
    list(train(samples, tmp_path / "whole", settings))
    leave_after(train(samples, tmp_path / "parts", settings), 8)
    list(train(samples, tmp_path / "parts", resume=True))

    assert_same_end(tmp_path / "parts", tmp_path / "whole")
    best = load_checkpoint(tmp_path / "whole").epoch
    assert best <= 2
    rates = [row["learning_rate"] for row in rows(tmp_path / "parts")]
    assert rates == ["0.01"] * (best + 10) + ["0.005"] * (4 - best)


def test_a_finished_run_trains_on_with_more_epochs(samples: list[Sample], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"lr_schedule": "constant", "optimizer": "sgd"}
    list(train(samples, tmp_path / "whole", config(epochs=5, **settings)))
    list(train(samples, tmp_path / "parts", config(epochs=2, **settings)))

    finished = list(train(samples, tmp_path / "parts", TrainingConfig(epochs=5), resume=True))[-1]

    assert isinstance(finished, TrainingFinished)
    assert finished.reason is EndReason.EPOCHS
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["epochs"] == 5
    assert json.loads((tmp_path / "parts" / "environment.json").read_text())["resumed_after_epoch"] == 2
    assert len(rows(tmp_path / "parts")) == 5
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


def test_a_finished_run_resumed_as_it_is_says_so_and_changes_nothing(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path, config(epochs=2)))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}

    events = list(train(samples, tmp_path, resume=True))

    assert [type(event) for event in events] == [RunStarted, TrainingFinished]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == before


def test_only_the_length_of_a_run_may_change(samples: list[Sample], tmp_path: Path) -> None:
    leave_after(train(samples, tmp_path, config(seed=3)), 1)
    before = contents(tmp_path)

    given = TrainingConfig(learning_rate=0.5, preset="xsmall", epochs=9, patience=3, max_minutes=5.5, seed=3)
    with pytest.raises(UserError, match=r"learning_rate 0\.01, not 0\.5, preset xxsmall, not xsmall\. Resume without"):
        next(train(samples, tmp_path, given, resume=True))

    assert contents(tmp_path) == before
    longer = given.model_copy(update={"learning_rate": 0.01, "preset": config().preset})
    started = next(train(samples, tmp_path, longer, resume=True))
    assert isinstance(started, RunStarted)
    assert started.n_epochs == 9


class TestOtherHardware:
    """A run of a GPU goes on without one."""

    def of_a_gpu(self, samples: list[Sample], folder: Path, **values: Any) -> None:
        """Make a run look as if a GPU had trained its first epoch."""
        leave_after(train(samples, folder, config(**values)), 1)
        state = load_run_state(folder / "resume.safetensors")
        given = state.header.config.model_copy(update={"device": Device.CUDA, "precision": Precision.BF16})
        header = state.header.model_copy(update={"config": given, "device_type": "cuda", "number_type": "bf16"})
        random_state = torch.zeros(16, dtype=torch.uint8)
        save_run_state(folder / "resume.safetensors", replace(state, header=header, random_state=random_state))

    def test_it_continues_on_the_cpu_and_says_that_bits_differ(self, samples: list[Sample], tmp_path: Path) -> None:
        self.of_a_gpu(samples, tmp_path, **RUNS["patches"])
        given = TrainingConfig(device="cpu", precision="auto", num_workers=0)
        started, *events = train(samples, tmp_path, given, resume=True)
        assert isinstance(started, RunStarted)
        assert started.device.startswith("CPU")
        notices = [event.message for event in events if isinstance(event, Notice)]
        assert notices == [
            "The run was trained on cuda with bf16 and is continued on cpu with fp32; its result will not be "
            "bit-identical to that of an uninterrupted run."
        ]
        assert len(rows(tmp_path)) == 4
        state = load_run_state(tmp_path / "resume.safetensors").header
        assert (state.device_type, state.number_type, state.config.device) == ("cpu", "fp32", Device.CPU)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
    def test_without_the_option_the_message_names_the_choice(self, samples: list[Sample], tmp_path: Path) -> None:
        self.of_a_gpu(samples, tmp_path)
        with pytest.raises(UserError, match="finds none on this machine; choose auto or cpu"):
            next(train(samples, tmp_path, resume=True))

    def test_another_precision_on_the_same_device_is_said_too(self, samples: list[Sample], tmp_path: Path) -> None:
        leave_after(train(samples, tmp_path, config()), 1)
        state = load_run_state(tmp_path / "resume.safetensors")
        header = state.header.model_copy(update={"number_type": "fp16"})
        save_run_state(tmp_path / "resume.safetensors", replace(state, header=header))
        notices = [event.message for event in train(samples, tmp_path, resume=True) if isinstance(event, Notice)]
        assert "trained on cpu with fp16 and is continued on cpu with fp32" in notices[0]

    def test_the_number_of_workers_may_change_and_the_bits_stay(self, samples: list[Sample], tmp_path: Path) -> None:
        settings = config(epochs=2, **RUNS["patches"])
        list(train(samples, tmp_path / "whole", settings))
        leave_after(train(samples, tmp_path / "parts", settings), 1)
        list(train(samples, tmp_path / "parts", TrainingConfig(num_workers=1), resume=True))
        for name in ("model.safetensors", "last.safetensors"):
            one, other = (load_checkpoint(tmp_path / run / name) for run in ("parts", "whole"))
            assert_same_tensors(one.weights, other.weights)


def test_other_data_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    leave_after(train(samples, tmp_path, config()), 1)

    with pytest.raises(UserError, match=r"was trained on .* but now there are"):
        next(train(samples[:2], tmp_path, resume=True))
    finer = [sample.at(Geometry((1.0, 1.0, 4.0))) for sample in samples]
    with pytest.raises(UserError, match="voxel sizes of the volumes differ from those that the run was started with"):
        next(train(finer, tmp_path, resume=True))


def test_a_single_volume_keeps_its_blocks(tmp_path: Path) -> None:
    """Other labels can move the block that validates, onto voxels that have trained."""
    labels = np.zeros((12, 96, 14), np.uint8)
    for start in range(2, 90, 12):
        labels[3:9, start : start + 7, 4:10] = 1
    noise = np.random.default_rng(0).normal(0, 10, labels.shape)
    sample = Sample("one", (100 * labels + noise).astype(np.float32), labels, (2.0, 1.0, 0.5))
    settings = config(epochs=2, val_fraction=0.2, steps_per_epoch=2)
    list(train([sample], tmp_path / "whole", settings))
    leave_after(train([sample], tmp_path / "parts", settings), 1)
    started, *_ = train([sample], tmp_path / "parts", resume=True)
    assert isinstance(started, RunStarted)
    assert_same_end(tmp_path / "parts", tmp_path / "whole")

    [judge] = [block for block in started.blocks if block.role == "validation"]
    place = tuple(slice(start, stop) for start, stop in zip(judge.start_zyx, judge.stop_zyx, strict=True))
    elsewhere = labels.copy()
    elsewhere[place] = 0
    with pytest.raises(UserError, match="The split, the classes or the voxel sizes"):
        next(train([replace(sample, labels=elsewhere)], tmp_path / "parts", TrainingConfig(epochs=3), resume=True))


def test_labels_with_new_classes_are_refused(samples: list[Sample], tmp_path: Path) -> None:
    leave_after(train(samples, tmp_path, config(task="semantic")), 1)
    painted = samples[0].labels.copy()
    painted[:3] = 7
    with pytest.raises(UserError, match="the classes or the voxel sizes"):
        next(train([replace(samples[0], labels=painted), *samples[1:]], tmp_path, resume=True))


def test_a_run_killed_in_its_first_epoch_begins_anew(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path / "whole", config(seed=5)))
    leave_after(train(samples, tmp_path / "run", config(seed=5)), 0, n_more_events=2)

    events = list(train(samples, tmp_path / "run", resume=True))

    assert any(isinstance(event, Notice) and "a new run starts" in event.message for event in events)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_a_run_that_never_was_begins(samples: list[Sample], tmp_path: Path) -> None:
    """So that a cluster's script can be the same the first time and after each interruption."""
    *_, finished = train(samples, tmp_path / "run", config(epochs=1), resume=True)
    assert isinstance(finished, TrainingFinished)


def test_a_run_without_a_state_is_not_overwritten_by_resuming(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path, config(epochs=2)))
    (tmp_path / "resume.safetensors").unlink()
    with pytest.raises(UserError, match=r"has 2 epochs, but no resume\.safetensors"):
        next(train(samples, tmp_path, resume=True))
    assert load_checkpoint(tmp_path).epoch


def test_a_run_that_has_lost_its_model_is_not_resumed(samples: list[Sample], tmp_path: Path) -> None:
    leave_after(train(samples, tmp_path, config()), 2)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        next(train(samples, tmp_path, resume=True))


@pytest.mark.parametrize("text", ["{", "[]", '{"epochs": 0}', '{"flavour": 1}'])
def test_unreadable_settings_of_a_run_are_named(text: str, samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"epochs|flavour|Cannot read the settings in .*config\.json"):
        next(train(samples, tmp_path, resume=True))


class TestStartingFromAModel:
    """`start_from`: weights of one run, everything else new."""

    def test_weights_and_network_are_taken_over(self, samples: list[Sample], tmp_path: Path) -> None:
        list(train(samples, tmp_path / "first", config(epochs=2, preset="xsmall", normalisation="percentile")))
        given = TrainingConfig(epochs=1, device="cpu", learning_rate=1e-8, val_fraction=0, lr_schedule="constant")

        events = list(train(samples, tmp_path / "second", given, start_from=tmp_path / "first"))

        assert not any(isinstance(event, Notice) and "start from" in event.message for event in events)
        before, after = load_checkpoint(tmp_path / "first"), load_checkpoint(tmp_path / "second")
        assert (after.config.preset.value, after.config.normalisation.value) == ("xsmall", "percentile")
        for name, tensor in before.weights.items():
            torch.testing.assert_close(after.weights[name], tensor, atol=1e-6, rtol=0)
        assert load_run_state(tmp_path / "second" / "resume.safetensors").header.epoch == 1

    def test_the_average_starts_from_the_model_too(self, samples: list[Sample], tmp_path: Path) -> None:
        list(train(samples, tmp_path / "first", config(epochs=1)))
        given = config(epochs=1, learning_rate=1e-8, ema_decay=0.99)
        list(train(samples, tmp_path / "second", given, start_from=load_checkpoint(tmp_path / "first")))
        before, after = load_checkpoint(tmp_path / "first"), load_checkpoint(tmp_path / "second")
        for name, tensor in before.weights.items():
            torch.testing.assert_close(after.weights[name], tensor, atol=1e-6, rtol=0)

    def test_the_last_layers_for_other_classes_begin_anew(self, samples: list[Sample], tmp_path: Path) -> None:
        list(train(samples, tmp_path / "first", config(epochs=1)))
        given = config(epochs=1, learning_rate=1e-8, task="semantic")

        events = list(train(samples, tmp_path / "second", given, start_from=tmp_path / "first"))

        assert any(isinstance(event, Notice) and "last layers are initialised" in event.message for event in events)
        before, after = load_checkpoint(tmp_path / "first").weights, load_checkpoint(tmp_path / "second").weights
        same = {name for name in before if torch.allclose(before[name], after[name], atol=1e-6)} if before else set()
        assert {name for name in before if not name.startswith("model.2.")} <= same

    def test_another_network_is_refused_by_its_settings(self, samples: list[Sample], tmp_path: Path) -> None:
        list(train(samples, tmp_path / "first", config(epochs=1)))
        with pytest.raises(UserError, match="has another network: kernel_size 3, not 5, preset xxsmall, not xsmall"):
            next(
                train(
                    samples, tmp_path / "second", config(preset="xsmall", kernel_size=5), start_from=tmp_path / "first"
                )
            )
        assert not (tmp_path / "second").exists()

    def test_a_resumed_run_keeps_its_own_weights(self, samples: list[Sample], tmp_path: Path) -> None:
        list(train(samples, tmp_path / "first", config(epochs=1, seed=9)))
        list(train(samples, tmp_path / "whole", config(), start_from=tmp_path / "first"))
        leave_after(train(samples, tmp_path / "parts", config(), start_from=tmp_path / "first"), 2)
        list(train(samples, tmp_path / "parts", resume=True, start_from=tmp_path / "first"))
        for name in ("whole", "parts"):
            environment = json.loads((tmp_path / name / "environment.json").read_text())
            assert environment["start_from"] == str(tmp_path / "first")
        assert_same_end(tmp_path / "parts", tmp_path / "whole")


class TestEnds:
    """Why a run ends by itself."""

    def test_stalled_validation_ends_a_run(self, samples: list[Sample], tmp_path: Path) -> None:
        settings = config(epochs=50, patience=3, patch="whole")
        samples = with_inverted_validation(samples, settings)
        *_, finished = train(samples, tmp_path, settings)

        assert isinstance(finished, TrainingFinished)
        assert finished.reason is EndReason.STALLED
        losses = [float(row["val_loss"]) for row in rows(tmp_path)]
        assert len(losses) < 50
        assert np.argmin(losses) + 1 == finished.best_epoch == len(losses) - 3

        again = list(train(samples, tmp_path, resume=True))
        assert [type(event) for event in again] == [RunStarted, TrainingFinished]
        more = list(train(samples, tmp_path, TrainingConfig(patience=4), resume=True))
        assert any(isinstance(event, EpochFinished) for event in more)

    def test_stopping_early_needs_a_validation(self, samples: list[Sample], tmp_path: Path) -> None:
        events = list(train(samples, tmp_path, config(epochs=4, patience=1, val_fraction=0, learning_rate=1e-8)))
        assert any(isinstance(event, Notice) and "early stopping is not possible" in event.message for event in events)
        assert len(rows(tmp_path)) == 4

    def test_a_run_without_time_keeps_a_validated_model(self, samples: list[Sample], tmp_path: Path) -> None:
        *_, finished = train(samples, tmp_path, config(epochs=1000, max_minutes=1e-5, validate_every=7))

        assert isinstance(finished, TrainingFinished)
        assert finished.reason is EndReason.TIME
        assert finished.best_val_loss is not None
        [row] = rows(tmp_path)
        assert float(row["val_loss"]) == finished.best_val_loss
        assert load_checkpoint(tmp_path).epoch == 1

        # The time of the first session counts.
        again = list(train(samples, tmp_path, resume=True))
        assert [type(event) for event in again] == [RunStarted, TrainingFinished]
        more = train(samples, tmp_path, TrainingConfig(max_minutes=0, epochs=2), resume=True)
        assert sum(isinstance(event, EpochFinished) for event in more) == 1

    def test_a_pause_takes_no_time(self, samples: list[Sample], tmp_path: Path, monkeypatch: Any) -> None:
        """Ten hours pass between any two events, of which the run has two minutes."""
        hours = [0.0]
        monkeypatch.setattr("time.monotonic", lambda: hours[0])
        events = []
        for event in train(samples, tmp_path, config(epochs=2, max_minutes=2)):
            hours[0] += 36_000
            events.append(event)

        assert events[-1].reason is EndReason.EPOCHS
        assert all(
            event.seconds_left is None or event.seconds_left < 120
            for event in events
            if isinstance(event, EpochFinished)
        )
