"""A volume is replaced as a whole, whenever the process is killed or the disk fails."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet3d import SyntheticConfig, generate
from napari_unet3d.data.dataset import Subset, add_sample, list_pairs, read_pair, read_samples
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write

SHAPE = (3, 4, 5)
OPERATIONS = ("replace", "rename", "mkdir", "rmdir", "unlink")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


def sample(value: int, name: str = "1", origin: tuple[float, float, float] | None = None) -> Sample:
    image = np.full(SHAPE, value, np.uint8)
    return Sample(name, image, image, geometry=Geometry((2.0, 1.0, 0.5), origin=origin))


def failing_at(number: int, fail: Callable[[], Any]) -> None:
    """Patch the operations on files of this process; call `fail` instead of the one with a number, from 1."""
    count = 0

    def patch(name: str) -> None:
        original = getattr(os, name)

        def operation(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            return fail() if count == number else original(*args, **options)

        setattr(os, name, operation)

    for name in OPERATIONS:
        patch(name)


def killed_at(number: int, work: Callable[[], Any]) -> bool:
    """Do something in a forked process that ends without any clean-up at an operation; return whether it came to it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            failing_at(number, lambda: os._exit(9))
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


def all_kills(tmp_path: Path, work: Callable[[Path], Any], make: Callable[[Path], Any]) -> Iterator[Path]:
    """Yield a dataset for each operation at which its process was killed."""
    number = 1
    while True:
        folder = tmp_path / str(number)
        make(folder)
        if not killed_at(number, lambda folder=folder: work(folder)):
            break
        yield folder
        number += 1
    assert number > 5


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


@pytest.mark.parametrize(("suffix", "origin"), [(".tif", None), (".nii.gz", None), (".ome.zarr", (1.0, 2.0, 3.0))])
def test_a_volume_is_old_or_new_whenever_the_process_is_killed(tmp_path, suffix, origin):
    def make(folder: Path) -> None:
        add_sample(folder, sample(1, "2"), Subset.TEST)
        for kind in ("images", "labels"):
            write_volume(
                folder / f"train/{kind}/1{suffix}", sample(1).image, geometry=sample(1, origin=origin).geometry
            )

    def work(folder: Path) -> None:
        other = [folder / "test" / kind / "2.tif" for kind in ("images", "labels")]
        add_sample(folder, sample(2, origin=origin), Subset.TRAIN, overwrite=True, replaces=other)

    seen = set()
    for folder in all_kills(tmp_path, work, make):
        pairs = {pair.name: pair for pair in list_pairs(folder)}
        found = read_pair(pairs["1"])
        values = int(found.image.max()), int(found.labels.max())
        assert values in ((1, 1), (2, 2)), "old image with new labels"
        assert ("2" in pairs) == (values == (1, 1)), "what a new volume replaces is removed with it"
        seen.add(values)
        add_sample(folder, sample(3, origin=origin), Subset.TRAIN, overwrite=True)
        assert int(read_samples(folder)[0].labels.max()) == 3
        assert not hidden(folder), "the next one removes leftovers"
    assert seen == {(1, 1), (2, 2)}


def test_generate_that_replaces_volumes_leaves_whole_ones(tmp_path):
    settings = {"objects": 1, "shape": (8, 9, 10), "object_shape_min": (3,) * 3, "object_shape_max": (4,) * 3}

    def make(folder: Path, seed: int = 0) -> None:
        config = SyntheticConfig(seed=seed, **settings)
        list(generate(folder, config, n_train=1, n_test=0, overwrite=True))

    make(tmp_path / "old")
    make(tmp_path / "new", seed=9)
    whole = [read_samples(tmp_path / name)[0] for name in ("old", "new")]
    for folder in all_kills(tmp_path, lambda folder: make(folder, seed=9), make):
        (found,) = read_samples(folder)
        same = [np.array_equal(found.image, each.image) and np.array_equal(found.labels, each.labels) for each in whole]
        assert any(same)


def test_an_error_leaves_the_old_volume_or_is_made_good(tmp_path):
    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    originals = {name: getattr(os, name) for name in OPERATIONS}
    messages, number, n_without = [], 0, 0
    while n_without < 12:  # some errors are of removing what is not needed any more
        number += 1
        folder = tmp_path / str(number)
        add_sample(folder, sample(1), Subset.TRAIN)
        failing_at(number, fail)
        try:
            add_sample(folder, sample(2), Subset.TRAIN, overwrite=True)
            n_without += 1
        except UserError as error:
            messages.append(str(error))
            n_without = 0
        finally:
            for name, original in originals.items():
                setattr(os, name, original)
        (found,) = read_samples(folder)
        assert (int(found.image.max()), int(found.labels.max())) in ((1, 1), (2, 2))
    assert len(messages) > 5
    assert all("Input/output error" in message and ".together" not in message for message in messages)


def test_a_running_process_is_left_to_finish(tmp_path):
    """The list of a process that is running is not touched, nor are its unfinished files."""
    add_sample(tmp_path, sample(1), Subset.TRAIN)
    machine = "0a1b2c3d"
    part = tmp_path / f"train/images/.1-00000000-{machine}-1.together"
    names = tmp_path / f".volumes-00000000-{machine}-1.together"
    part.mkdir()
    (part / "1.tif").write_bytes(b"new")
    names.write_text(json.dumps({"written": {f"train/images/{part.name}/1.tif": "train/images/1.tif"}}))
    assert int(read_samples(tmp_path)[0].image.max()) == 1
    assert names.exists()
    assert part.exists()


@pytest.mark.parametrize(
    "content",
    [
        {"written": {}, "removed": ["../precious.tif"]},
        {"written": {}, "removed": ["train/images/notes.txt"]},
        {"written": {}, "removed": ["train/images"]},
        {"written": {}, "removed": ["/etc/precious.tif"]},
        {"written": {"train/labels/1.tif": "train/images/1.tif"}},
        {"written": {"train/images/.1.together/1.tif": "../1.tif"}},
        {"written": {"train/images/.1.together/../labels/1.tif": "train/images/1.tif"}},
        ["train/images/1.tif"],
        {"written": 1},
    ],
)
def test_a_list_from_a_stranger_does_nothing(tmp_path, content):
    dataset = tmp_path / "data"
    add_sample(dataset, sample(1), Subset.TRAIN)
    (tmp_path / "precious.tif").write_bytes(b"II*\0")
    (dataset / "train/images/notes.txt").write_text("precious")
    names = dataset / ".volumes-00000000-0a1b2c3d-1.together"
    names.write_text(json.dumps(content))
    os.utime(names, (0, 0))
    (found,) = read_samples(dataset)
    assert (int(found.image.max()), int(found.labels.max())) == (1, 1)
    assert (tmp_path / "precious.tif").exists()
    assert (dataset / "train/images/notes.txt").exists()


def test_an_array_never_has_the_voxel_size_of_another(tmp_path):
    old, new = Geometry((2.0, 1.0, 0.5)), Geometry((4.0, 3.0, 2.0))

    def make(folder: Path) -> None:
        write_volume(folder / "a.npy", np.full(SHAPE, 1, np.uint8), geometry=old)

    def work(folder: Path) -> None:
        write_volume(folder / "a.npy", np.full(SHAPE, 2, np.uint8), geometry=new)

    for folder in all_kills(tmp_path, work, make):
        volume = read_volume(folder / "a.npy")
        expected = {1: old, 2: new}[int(volume.array.max())]
        assert volume.voxel_size_um in (None, expected.voxel_size_um)


def test_a_folder_is_old_or_new_whenever_the_process_is_killed(tmp_path):
    def make(folder: Path, name: str = "old") -> None:
        with atomic_write(folder / "a") as temporary:
            temporary.mkdir()
            (temporary / name).touch()

    for folder in all_kills(tmp_path, lambda folder: make(folder, "new"), make):
        assert [path.name for path in (folder / "a").iterdir()] in (["old"], ["new"])
