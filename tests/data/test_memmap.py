"""Volumes that do not fit into memory together are the same volumes, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.dataset import Subset, add_sample, read_samples
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError

BYTES = 3 * 4 * 5  # of an image or labels in uint8


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for seed in (1, 2, 3):
        image = np.random.default_rng(seed).integers(0, 255, (3, 4, 5), dtype=np.uint8)
        add_sample(tmp_path / "data", Sample(str(seed), image, image > 99, (2.0, 0.5, 0.25)), Subset.TRAIN)
    return tmp_path / "data"


def is_on_disk(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)


@pytest.mark.parametrize(
    ("budget", "on_disk"),
    [(6 * BYTES, []), (6 * BYTES - 1, ["3 image"]), (3 * BYTES, ["2 image", "3 labels", "3 image"]), (0, "all")],
)
def test_what_is_too_much_lies_on_disk(dataset: Path, tmp_path: Path, budget: int, on_disk: list[str] | str) -> None:
    whole = read_samples(dataset)
    with MemmapStore(tmp_path / "run", budget) as store:
        kept = read_samples(dataset, Subset.TRAIN, store)
        arrays = {f"{sample.name} {kind}": getattr(sample, kind) for sample in kept for kind in ("labels", "image")}
        found = [name for name, array in arrays.items() if is_on_disk(array)]
        assert found == (on_disk if on_disk != "all" else list(arrays))
        assert store.n_bytes_on_disk == BYTES * len(found)
        assert (store.notice is None) is (not found)
        for sample, same in zip(kept, whole, strict=True):
            assert (sample.name, sample.voxel_size_um, sample.image.dtype) == (same.name, same.voxel_size_um, np.uint8)
            np.testing.assert_array_equal(sample.image, same.image)
            np.testing.assert_array_equal(sample.labels, same.labels)
            assert sample.labels.dtype == np.uint8
    assert not (tmp_path / "run").exists(), "temporary files are left"


def test_nothing_is_made_when_all_fits(dataset: Path, tmp_path: Path) -> None:
    with MemmapStore(tmp_path / "run") as store:
        assert len(read_samples(dataset, Subset.TRAIN, store)) == 3
    assert not (tmp_path / "run").exists()


def test_the_files_go_when_reading_fails(dataset: Path, tmp_path: Path) -> None:
    (dataset / "train/images/3.tif").write_bytes(b"no volume")
    with pytest.raises(UserError, match=r"3\.tif"), MemmapStore(tmp_path / "run", 0) as store:
        read_samples(dataset, Subset.TRAIN, store)
    assert not (tmp_path / "run").exists()


def test_a_store_that_nobody_holds_empties_itself_and_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    store = MemmapStore(tmp_path, 0)
    store.store(np.ones(9))
    assert len(list(tmp_path.iterdir())) == 2
    del store
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_notice_says_how_much_and_where(tmp_path: Path) -> None:
    with MemmapStore(tmp_path, 0) as store:
        store.store(np.zeros((40, 50, 60), np.uint8))
        store.n_bytes_on_disk = 12_345_678_901
        assert store.notice.startswith(
            "12.3 GB of the volumes do not fit into memory and are read from temporary files"
        )
        assert str(tmp_path) in store.notice


def test_a_view_that_is_kept_has_its_own_values(tmp_path: Path) -> None:
    image = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    with MemmapStore(tmp_path, 0) as store:
        np.testing.assert_array_equal(store.store(image[:, ::-1, 1:]), image[:, ::-1, 1:])


FULL_DISK = """
import sys, pathlib, numpy as np
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.errors import UserError
with MemmapStore(pathlib.Path(sys.argv[1]), 0) as store:
    store.store(np.ones(90_000, np.uint8))
    try:
        store.store(np.ones(200_000, np.uint8))
    except UserError as error:
        print(error)
"""
KILLED = """
import os, sys, pathlib, numpy as np
from napari_unet3d.data.memmap import MemmapStore
kept = MemmapStore(pathlib.Path(sys.argv[1]), 0).store(np.ones(90_000, np.uint8))
assert kept.sum() == 90_000
os.kill(os.getpid(), 9)
"""


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX systems do")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "run")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Cannot write volumes that do not fit into memory to {tmp_path / 'run'}: ")
    assert "no space is left on the disk. Free some space or choose another folder." in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix", reason="files in use keep their names elsewhere")
def test_a_process_that_is_killed_leaves_no_volumes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
