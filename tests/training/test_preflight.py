"""Each thing that may go wrong in a training is said before it starts, in one sentence with what to do."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_samples import make_sample

from napari_unet3d.configs import Device, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, read_samples
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import split_samples
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.events import Preflight, VolumeChecked
from napari_unet3d.training.loop import train
from napari_unet3d.training.preflight import preflight
from napari_unet3d.training.step_checks import check_memory

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in "123":
        add_sample(tmp_path / "data", make_sample(name, int(name)), Subset.TRAIN)
    add_sample(tmp_path / "data", make_sample("4", 4), Subset.TEST)
    return tmp_path / "data"


def examined(
    data: Path | Sequence[Sample], run: Path | None = None, *, timed: bool = False, **settings: Any
) -> Preflight:
    *_, last = preflight(data, TrainingConfig(**{"device": "cpu", **settings}), run, timed=timed)
    assert isinstance(last, Preflight)
    return last


def messages(result: Preflight, severity: Severity) -> list[str]:
    return [finding.message for finding in result.of(severity)]


def test_a_sound_dataset_has_no_problems(dataset: Path, tmp_path: Path) -> None:
    result = examined(dataset, tmp_path / "run", timed=True, epochs=3)

    assert result.can_train
    assert not result.of(WARNING)
    values, several, steps, time = messages(result, INFO)
    assert values.startswith("Label values and their fraction of all voxels: 0 (")
    assert several.startswith("2 label values (1, 300) are one foreground.")
    assert steps.startswith(
        "Each step sees 1 whole volume, an epoch has 2 steps, and the receptive field of the network is 13 × 19 × 19 "
    )
    assert time.startswith("One step takes ")
    assert "GB of memory, so 3 epochs of 2 take about " in time
    assert not (tmp_path / "run").exists()


def test_events_come_volume_by_volume_and_the_result_last(dataset: Path) -> None:
    events = list(preflight(dataset, TrainingConfig(), timed=False))

    read = [event for event in events if isinstance(event, VolumeChecked)]
    assert [(event.name, event.n_checked, event.n_volumes) for event in read] == [
        (name, number, 4) for number, name in enumerate(["1", "2", "3", "test/4"], start=1)
    ]
    assert events[-1] == Preflight(tuple(event for event in events if isinstance(event, Issue)))


def test_layers_are_examined_without_a_clock(samples: list[Sample]) -> None:
    result = examined(samples, steps_per_epoch=1)
    assert result.can_train
    assert "an epoch has 1 step," in messages(result, INFO)[-1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel_size": 4}, "The kernel size is 4, which is even"),
        ({"patch": (30, 31, 32)}, "The patch has 31 voxels along y, which this network cannot halve often enough"),
        ({"preset": "small", "patch": (8, 4, 8)}, "The patch has 4 voxels along y"),
        ({"preset": "large", "resize_mode": "crop"}, "(17, 18, 20) is too small to be cropped"),
        ({"preset": "large", "resize_mode": "crop", "patch": "whole"}, "(17, 18, 20) is too small to be cropped"),
        ({"task": "semantic", "class_names": ("cell",)}, "1 class names are given (cell), but the labels hold 2"),
        (
            {"task": "semantic", "class_weights": (1, 2)},
            "2 class weights are given (1.0, 2.0), but there are 3 classes",
        ),
        ({"precision": "fp16"}, "CPU cannot train reliably in fp16"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_errors(
    samples: list[Sample], settings: dict[str, Any], words: str
) -> None:
    result = examined(samples, **settings)
    (message,) = messages(result, ERROR)
    assert words in message
    assert not result.can_train


def test_data_that_cannot_be_trained_on_is_an_error(samples: list[Sample], dataset: Path, tmp_path: Path) -> None:
    assert messages(examined([]), ERROR) == ["There is no volume to train on. Add at least one image with labels."]
    assert "does not exist" in messages(examined(tmp_path / "gone"), ERROR)[0]
    assert "has neither train/images nor test/images" in messages(examined(tmp_path), ERROR)[0]
    image_only = Sample("image", samples[0].image)
    assert messages(examined([samples[0], image_only]), ERROR) == [
        "The volume 'image' has no labels; label it, or leave it out of training."
    ]
    nothing = Sample("nothing", samples[0].image, np.zeros_like(samples[0].labels))
    assert messages(examined([nothing]), ERROR)[0].startswith("The labels of all 1 volumes are 0")


def test_each_unreadable_volume_is_named_and_the_others_are_examined(dataset: Path) -> None:
    (dataset / "train/labels/1.tif").unlink()
    (dataset / "train/images/2.tif").write_bytes(b"no volume")
    result = examined(dataset)
    first, second = messages(result, ERROR)
    assert "train/labels has no partner for 1.tif" in first
    assert "2.tif" in second
    assert "Label values" in messages(result, INFO)[0]


def test_matching_by_order_is_said(dataset: Path) -> None:
    for name in "123":
        (dataset / f"train/labels/{name}.tif").rename(dataset / f"train/labels/truth{name}.tif")
    assert "matched by sorted order" in messages(examined(dataset), WARNING)[0]


def test_a_copy_is_found_on_the_other_side_of_the_split_and_in_the_test_set(dataset: Path) -> None:
    config = TrainingConfig()
    whole = [make_sample(name, int(name)) for name in "123"]
    (validates,) = split_samples(whole, config.val_fraction, config.seed, gap_zyx=(0, 0, 0)).val
    trains = next(sample for sample in whole if sample.name != validates.name)
    write_volume(dataset / f"train/images/{trains.name}.tif", validates.image, validates.voxel_size_um)
    write_volume(dataset / "test/images/4.nii", validates.image.astype(np.float32), validates.voxel_size_um)
    (dataset / "test/images/4.tif").unlink()

    found = messages(examined(dataset), WARNING)

    pair = sorted([trains.name, validates.name], key=natural_order)
    assert len(found) == 3
    assert f"'{pair[0]}' and '{pair[1]}' are the same volume, used for" in found[0]
    assert "would be too optimistic" in found[0]
    assert all("'test/4' are the same volume, used for" in message for message in found[1:])


def test_mixed_voxel_sizes_and_grey_values_are_looked_at_in_all_volumes(dataset: Path) -> None:
    sample = make_sample("4", 4)
    add_sample(dataset, Sample("4", sample.image, sample.labels, (4, 1, 1)), Subset.TEST, overwrite=True)
    grey, voxel_sizes = messages(examined(dataset, normalisation="none"), WARNING)
    assert "'1' has 2 × 1 × 1 µm and 'test/4' has 4 × 1 × 1 µm" in voxel_sizes
    assert grey.startswith("Intensities range from ")


def test_one_volume_validates_on_a_block_of_it_or_says_why_not() -> None:
    long = make_sample("long", 0, (60, 18, 20))
    long.labels[40:] = 1
    (block,) = [message for message in messages(examined([long]), INFO) if "only volume" in message]
    gap = separating_gap(TrainingConfig(), long.geometry)
    (expected,) = [b for b in split_samples([long], 0.2, 0, gap_zyx=gap).blocks if b.role == "validation"]
    assert f"from voxel {expected.start_zyx[0]} × 0 × 0 to {expected.stop_zyx[0]} × 18 × 20. It is separated" in block

    (warning,) = messages(examined([make_sample("short", 0)]), WARNING)
    assert warning.startswith("'short' of 17 × 18 × 20 voxels is too small for a validation block")


def test_training_without_validation_is_mentioned(samples: list[Sample]) -> None:
    infos = messages(examined(samples, val_fraction=0), INFO)
    assert any(message.startswith("There is no validation, so the model with the lowest") for message in infos)


def test_a_class_that_only_validates_is_mentioned() -> None:
    long = make_sample("long", 0, (60, 18, 20))
    long.labels[:] = np.arange(18)[:, None] < 9
    (place,) = [b for b in split_samples([long], 0.2, 0, gap_zyx=(13, 19, 19)).blocks if b.role == "validation"]
    long.labels[place.start_zyx[0] : place.stop_zyx[0], 9:] = 2
    found = messages(examined([long], task="semantic", class_names=("a", "b")), WARNING)
    assert any("The label values 2" in message for message in found)


def test_a_patch_larger_than_the_volumes(samples: list[Sample]) -> None:
    (message,) = messages(examined(samples, patch=(16, 32, 20), preset="xxsmall"), WARNING)
    assert message == (
        "The patch has 32 voxels along y, but no volume has more than 18, so the rest is mirrored padding. "
        "Choose 18 along y."
    )


def test_a_patch_that_is_long_and_thin() -> None:
    samples = [make_sample(name, int(name), (40, 36, 32)) for name in "12"]  # voxels of 2 × 1 × 1 µm
    (message,) = messages(examined(samples, patch=(32, 16, 8)), WARNING)
    assert message == (
        "The patch is 64 × 16 × 8 µm large, so a step sees little along x. Set the patch to auto, or to 10 × 20 × 20 "
        "voxels, which is as long as it is wide."
    )
    assert not messages(examined(samples, patch=(8, 16, 16)), WARNING)


def test_a_run_that_ends_by_the_clock_says_so(samples: list[Sample]) -> None:
    time = messages(examined(samples, timed=True, epochs=1_000_000, max_minutes=0.5), INFO)[-1]
    assert time.endswith(" and validation, but the run ends after 0.5 min.")


def test_a_step_that_needs_more_memory_than_there_is() -> None:
    hardware = choose_device(Device.CPU)
    plan = Plan(strides=((2, 2, 2),), patch_zyx=(4096, 2048, 2048))
    by_hand, auto = TrainingConfig(patch=(4096, 2048, 2048)), TrainingConfig()
    (finding,) = check_memory(plan, [(4, 4, 4)], by_hand, hardware)
    assert finding.severity is WARNING
    assert finding.message.startswith("One step of 1 × 4096 × 2048 × 2048 voxels needs about ")
    assert finding.message.endswith("Set patch and batch size to auto, or choose a smaller preset.")
    assert not list(check_memory(plan, [(4, 4, 4)], auto, hardware))  # the run chooses something smaller by itself


def test_a_full_disk(samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(9, 8, 80_000 if place == tmp_path else 10**12))
    (message,) = messages(examined(samples, tmp_path / "new" / "run"), ERROR)
    # 3,666 weights of 4 bytes, 10 times
    assert message == (
        f"There are 0.08 MB free in {tmp_path}, but the models of the run take about 0.15 MB. "
        "Free some space, or choose another run folder."
    )


def test_the_check_can_be_stopped_between_two_volumes(dataset: Path) -> None:
    events = preflight(dataset, TrainingConfig())
    assert isinstance(next(events), VolumeChecked)
    events.close()
    assert list(events) == []


def test_a_corrected_validation_volume_is_said_by_check_and_run(dataset, tmp_path):
    config = TrainingConfig(epochs=1, steps_per_epoch=1, device="cpu", val_fraction=0.34)
    (judge,) = next(iter(train(dataset, tmp_path / "run", config))).val_names
    source = next(sample for sample in read_samples(dataset) if sample.name == judge)
    mask = np.zeros(source.shape, bool)
    mask[2:6, 3:9, 4:12] = True
    origin = Provenance(volume=judge, subset="train", made="2026")
    add_sample(dataset, replace(source, name=f"{judge} corrected", label_mask=mask, provenance=origin), Subset.TRAIN)
    words = f"'{judge} corrected' is used for training and was cropped from the validation volume '{judge}', so"
    found = examined(dataset, val_fraction=0.34).issues
    assert sum(finding.message.startswith(words) for finding in found) == 1
    events = [*train(dataset, tmp_path / "again", config)]
    assert events[0].val_names == (judge,)
    assert sum(isinstance(event, Notice) and event.message.startswith(words) for event in events) == 1


def test_a_corrected_piece_of_a_test_volume_is_found_by_its_content(dataset):
    (test,) = read_samples(dataset, Subset.TEST)
    piece = (slice(2, 12), slice(3, 16), slice(4, 19))
    mask = np.ones(test.image[piece].shape, bool)
    for name, volume, part in (("one", "another name", ""), ("two", test.name, "test")):
        origin = Provenance(volume=volume, subset=part, made="2026")
        add_sample(
            dataset,
            Sample(name, test.image[piece], test.labels[piece], label_mask=mask, provenance=origin),
            Subset.TRAIN,
        )
    found = [finding.message for finding in examined(dataset, val_fraction=0.34).issues]
    for name in ("one", "two"):
        words = f"'{name}' is used for training and was cropped from the test volume 'test/{test.name}'"
        assert sum(message.startswith(words) for message in found) == 1
