"""Volumes that do not fit into memory train from their files as they would from memory, bit by bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet3d import Sample, TrainingConfig, UserError, train
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.lazy_array import is_lazy
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.pairs import list_pairs
from napari_unet3d.data.seen_content import SeenIn, seen_in
from napari_unet3d.data.series import read_pair, read_time_points
from napari_unet3d.data.statistics import compute_statistics
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.events import EpochFinished, StepFinished
from napari_unet3d.training.preflight import check_then_train, preflight

SHAPE = (21, 34, 39)
PATCH = (16, 32, 32)
QUICK: dict[str, Any] = {"preset": "xxsmall", "patch": PATCH, "epochs": 2, "device": "cpu", "steps_per_epoch": 3}


def make_labels(n_values: int = 2) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(1, n_values + 1):
        labels[2:19, 8 * number - 4 : 8 * number + 2, 3:36] = number
    return labels


def make_image(dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = make_labels() * 40.0 + rng.integers(0, 50, SHAPE)
    image[3, 4, 5] = 250  # an outlier, which is clipped
    return image.astype(dtype)


def write_dataset(folder: Path, suffix: str, image: np.ndarray, names: str = "a", **kwargs: Any) -> Path:
    train_folder = create_dataset(folder) / "train"
    for name in names:
        write_volume(train_folder / "images" / f"{name}{suffix}", image, voxel_size_um=(2.0, 1.0, 1.0))
        write_volume(train_folder / "labels" / f"{name}{suffix}", make_labels(), voxel_size_um=(2.0, 1.0, 1.0))
        image = image[:, ::-1].copy()
    return folder


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were hardly any memory: no volume fits, and the cache holds a few chunks."""
    monkeypatch.setattr("napari_unet3d.data.memmap.available_memory", lambda: 100)
    monkeypatch.setattr("napari_unet3d.data.chunk_cache._LEAST_BYTES", 2**16)
    monkeypatch.setattr("napari_unet3d.data.chunk_cache.available_memory", lambda: 100)
    monkeypatch.setattr("napari_unet3d.data.lazy_array._MOST_BYTES", 20_000)  # less than any volume
    monkeypatch.setattr("napari_unet3d.data.box_hashes._TILE", 8)


def weights_of(run: Path) -> dict[str, np.ndarray]:
    return {name: each.numpy() for name, each in load_checkpoint(run / "last.safetensors").weights.items()}


def assert_same_weights(run: Path, other: Path) -> None:
    one, two = weights_of(run), weights_of(other)
    assert one.keys() == two.keys()
    for name, weights in one.items():
        np.testing.assert_array_equal(weights, two[name], name)


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[MemmapStore]:
    with MemmapStore(tmp_path / "store", 0) as store:
        yield store


def stream(folder: Path, store: MemmapStore) -> Sample:
    (sample,) = read_time_points(list_pairs(folder)[0], store=store)
    assert is_lazy(sample.image)
    assert is_lazy(sample.labels)
    return sample


CASES = [
    (".ome.zarr", "uint8", {}),
    (".h5", "float32", {"normalisation": "percentile"}),
    (".tif", "uint16", {"task": "semantic", "augmentation": "none"}),
    (".npy", "int32", {"patch": (32, 48, 32), "ignore_label": 2}),  # larger than the volume: it is padded
]


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(("suffix", "dtype", "settings"), CASES)
def test_weights_are_those_of_volumes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, dtype: str, settings: dict[str, Any]
) -> None:
    data = write_dataset(tmp_path / "data", suffix, make_image(dtype), "abc")
    config = TrainingConfig(**(QUICK | settings))
    events = list(check_then_train(data, tmp_path / "streamed", config))
    messages = [event.message for event in events if type(event).__name__ == "Notice"]
    assert any("are read in parts from their files" in each for each in messages)
    assert not any("temporary files" in each for each in messages)
    monkeypatch.undo()
    expected = list(check_then_train(data, tmp_path / "memory", config))
    assert_same_weights(tmp_path / "streamed", tmp_path / "memory")
    scores, others = ([e.val_dice for e in each if isinstance(e, EpochFinished)] for each in (events, expected))
    assert scores == others
    names = (tmp_path / "streamed").iterdir(), (tmp_path / "memory").iterdir()
    assert sorted(path.name for path in names[0]) == sorted(path.name for path in names[1])


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("settings", [{"task": "instance"}, {"spacing": (2.0, 2.0, 2.0)}, {"patch": "whole"}])
def test_what_needs_the_whole_volume_is_copied_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    data = write_dataset(tmp_path / "data", ".ome.zarr", make_image(), "ab")
    config = TrainingConfig(**(QUICK | {"epochs": 1} | settings))
    events = list(train(data, tmp_path / "streamed", config))
    messages = [event.message for event in events if type(event).__name__ == "Notice"]
    assert any("temporary files" in each for each in messages)
    monkeypatch.undo()
    list(train(data, tmp_path / "memory", config))
    assert_same_weights(tmp_path / "streamed", tmp_path / "memory")
    assert {path.name for path in (tmp_path / "streamed").iterdir()} == {
        path.name for path in (tmp_path / "memory").iterdir()
    }


@pytest.mark.usefixtures("little_memory")
def test_masks_corrections_and_channels_are_those_of_volumes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    image = np.stack([make_image(), make_image(seed=1)[:, ::-1]])
    folders = [create_dataset(data) / "train" / kind for kind in ("images", "labels", "annotated")]
    folders[2].mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 3:30, 5:38] = 1
    for name in "ab":
        write_volume(folders[0] / f"{name}.ome.zarr", image, channel_names=("dapi", "membrane"))
        write_volume(folders[1] / f"{name}.ome.zarr", make_labels())
    write_volume(folders[2] / "a.ome.zarr", mask)
    box = (slice(2, 14), slice(4, 20), slice(5, 30))
    corrected = Sample("a corrected", image[(slice(None), *box)], 1 - make_labels()[box].clip(0, 1))
    add_sample(data, _with_provenance(corrected, "a", (2, 4, 5)), Subset.TRAIN)
    config = TrainingConfig(**(QUICK | {"val_volumes": ("b",)}))
    list(train(data, tmp_path / "streamed", config))
    monkeypatch.undo()
    list(train(data, tmp_path / "memory", config))
    assert_same_weights(tmp_path / "streamed", tmp_path / "memory")


def _with_provenance(sample: Sample, volume: str, start: tuple[int, int, int]) -> Sample:
    from dataclasses import replace

    from napari_unet3d.data.provenance import Provenance

    own = Provenance(volume=volume, subset="train", start_zyx=start, made="2026-01-01T00:00:00")
    mask = np.ones(sample.shape, bool)
    mask[:, :2] = False
    return replace(sample, provenance=own, label_mask=mask)


@pytest.mark.usefixtures("little_memory")
def test_checks_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_dataset(tmp_path / "data", ".ome.zarr", make_image(), "ab")
    write_volume(create_dataset(data) / "test/images/t.ome.zarr", make_image())
    write_volume(data / "test/labels/t.ome.zarr", make_labels())
    config = TrainingConfig(**QUICK)
    streamed = list(preflight(data, config, timed=False))[-1]
    monkeypatch.undo()
    whole = list(preflight(data, config, timed=False))[-1]
    assert streamed.issues == whole.issues
    assert any("same volume" in issue.message for issue in streamed.issues)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("start", [train, check_then_train])
def test_values_that_are_not_finite_are_found_before_the_training(tmp_path: Path, start: Any) -> None:
    image = make_image("float32")
    image[20, 33, 38] = np.nan
    data = write_dataset(tmp_path / "data", ".ome.zarr", image, "ab")
    with pytest.raises(UserError, match=r"'[ab]' has 1 values that are NaN or infinite"):
        list(start(data, tmp_path / "run", TrainingConfig(**QUICK)))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("little_memory")
def test_a_volume_of_few_intensities_is_recognised_by_its_slices(tmp_path: Path) -> None:
    image = (make_labels() * 100 + np.arange(SHAPE[0], dtype=np.uint8)[:, None, None]).astype(np.uint8)
    data = write_dataset(tmp_path / "data", ".ome.zarr", image, "ab")
    list(train(data, tmp_path / "run", TrainingConfig(**(QUICK | {"epochs": 1, "val_volumes": ("b",)}))))
    seen = load_checkpoint(tmp_path / "run/model.safetensors").seen
    assert seen_in(seen, image) is SeenIn.TRAINING


def test_statistics_are_those_of_the_whole(tmp_path: Path, streams: MemmapStore) -> None:
    data = write_dataset(tmp_path / "data", ".h5", make_image("float32"))
    whole = read_pair(list_pairs(data)[0])
    assert compute_statistics(stream(data, streams)) == compute_statistics(whole)


def test_a_slice_of_a_volume_is_that_of_the_array(tmp_path: Path, streams: MemmapStore) -> None:
    image = np.stack([make_image(), make_image(seed=1)])
    folder = create_dataset(tmp_path / "data") / "train"
    write_volume(folder / "images/a.ome.zarr", image)
    write_volume(folder / "labels/a.ome.zarr", make_labels())
    lazy = stream(tmp_path / "data", streams).image
    for index in [
        np.s_[1], np.s_[1, 3], np.s_[:, 2:7, 3:9, 30:], np.s_[..., 4, :, :], np.s_[..., ::5, ::7, ::4], np.s_[[1]],
        np.s_[1, 5:2], np.s_[:, -4:, :-3], np.s_[0, :, 2, :],
    ]:  # fmt: skip
        np.testing.assert_array_equal(np.asarray(lazy[index]), image[index])
    np.testing.assert_array_equal(np.asarray(lazy[0, 4:9, 3:8][1:3, :, 2:]), image[0, 4:9, 3:8][1:3, :, 2:])
    np.testing.assert_array_equal(list(lazy[0, 4:19]), image[0, 4:19])
    with pytest.raises(TypeError):
        lazy == 3  # noqa: B015
    with pytest.raises(TypeError):
        lazy > image  # noqa: B015
    with pytest.raises(IndexError):
        lazy[0, 99]


@pytest.mark.usefixtures("little_memory")
def test_a_run_that_is_closed_and_resumed_is_the_undisturbed_one(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", ".ome.zarr", make_image(), "ab")
    config = TrainingConfig(**QUICK)
    list(train(data, tmp_path / "whole", config))
    with closing(train(data, tmp_path / "resumed", config)) as events:
        steps = (event for event in events if isinstance(event, StepFinished))
        assert [next(steps).epoch for _ in range(4)] == [1, 1, 1, 2]
    list(train(data, tmp_path / "resumed", resume=True))
    assert_same_weights(tmp_path / "whole", tmp_path / "resumed")


def spoil_zarr_chunks(path: Path) -> None:
    for chunk in (path / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def truncate_zarr(path: Path) -> None:
    for chunk in (path / "0" / "c").rglob("*"):
        if chunk.is_file():
            truncate(chunk)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        (".ome.zarr", shutil.rmtree),
        (".ome.zarr", spoil_zarr_chunks),  # zarr reads what is missing as zeros
        (".ome.zarr", truncate_zarr),
        (".h5", truncate),
        (".tif", truncate),
        (".npy", truncate),
        (".tif", Path.unlink),
    ],
)
def test_a_file_that_is_spoilt_ends_the_run_with_a_sentence_and_keeps_it(
    tmp_path: Path, suffix: str, spoil: Any
) -> None:
    data = write_dataset(tmp_path / "data", suffix, make_image(), "ab")
    config = TrainingConfig(**(QUICK | {"epochs": 20, "val_volumes": ("b",)}))
    image = data / "train/images" / f"a{suffix}"
    with closing(train(data, tmp_path / "run", config)) as events:
        for event in events:
            if isinstance(event, EpochFinished):
                break
        spoil(image)
        with pytest.raises(UserError, match="a" + suffix.replace(".", r"\.")) as error:
            list(events)
    assert "\n" not in str(error.value)
    model = load_checkpoint(tmp_path / "run/model.safetensors")
    assert model.epoch >= 1
    if suffix == ".ome.zarr" and image.exists():
        shutil.rmtree(image)
    write_volume(image, make_image(), voxel_size_um=(2.0, 1.0, 1.0))
    resumed = next(e for e in train(data, tmp_path / "run", resume=True) if isinstance(e, EpochFinished))
    assert resumed.epoch >= 2


def test_what_cannot_be_streamed_is_read_as_a_whole(tmp_path: Path, streams: MemmapStore) -> None:
    data = write_dataset(tmp_path / "data", ".ome.zarr", make_image(), "abcd")
    labels = data / "train/labels"
    shutil.rmtree(labels / "a.ome.zarr")
    write_volume(labels / "a.nii.gz", make_labels())  # it is compressed as a whole
    shutil.rmtree(labels / "b.ome.zarr")
    write_volume(labels / "b.ome.zarr", make_labels().astype(np.float32))  # they are rounded
    (data / "train/images/c.ome.zarr").rename(tmp_path / "c.ome.zarr")
    shutil.rmtree(tmp_path / "c.ome.zarr")
    tifffile.imwrite(data / "train/images/c.tif", make_image(), compression="zlib")
    samples = [next(iter(read_time_points(pair, store=streams))) for pair in list_pairs(data)]
    assert [is_lazy(sample.image) for sample in samples] == [False, False, False, True]
    for sample in samples[:3]:
        np.testing.assert_array_equal(sample.labels, make_labels())
