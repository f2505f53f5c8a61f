"""Temporary files of killed processes are removed, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_unet3d.files import write_text
from napari_unet3d.leftovers import REPLACED, TOGETHER, remove_leftovers, temporary_name

MAKE = """
import sys
from pathlib import Path
from napari_unet3d.leftovers import temporary_name
folder = Path(sys.argv[1])
names = temporary_name("model.safetensors", ".part"), temporary_name("volumes")
(folder / names[0]).write_text("half")
(folder / names[1]).mkdir()
print(*names, sep="\\n", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def of_another_process(tmp_path: Path):
    """Two temporary names that another process has made, and the process, which is running."""
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield [tmp_path / process.stdout.readline().strip() for _ in range(2)], process
        process.kill()


def make_old(path: Path) -> None:
    day_before = time.time() - 25 * 3600
    os.utime(path, (day_before, day_before))


def test_what_a_process_left_is_removed_when_it_has_ended(tmp_path, of_another_process):
    (file, folder), process = of_another_process
    (folder / "1.npy").write_text("half")
    remove_leftovers(tmp_path)
    assert file.exists()
    assert (folder / "1.npy").exists()
    process.kill()
    process.wait()
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_next_file_that_is_written_removes_leftovers(tmp_path, of_another_process):
    _, process = of_another_process
    process.kill()
    process.wait()
    write_text(tmp_path / "other.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_nothing_else_is_removed(tmp_path, of_another_process):
    (file, _), process = of_another_process
    process.kill()
    process.wait()
    number = f"{process.pid:x}"
    kept = [temporary_name("a.tif"), ".hidden", f".model-0a1b2c3d-{number}.tif", "model-0a1b2c3d-0a1b2c3d-1.tif"]
    kept += [file.name + REPLACED, file.name + TOGETHER, ".git"]
    for name in kept:
        (tmp_path / name).touch()
        make_old(tmp_path / name)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_of_another_machine_only_what_is_a_day_old_is_removed(tmp_path):
    new, old, busy = (tmp_path / f".{name}-0a1b2c3d-00000000-7f31.tif" for name in ("new", "old", "busy"))
    new.touch()
    old.touch()
    (busy / "inside").mkdir(parents=True)
    (busy / "inside" / "file").touch()
    for path in (old, busy, busy / "inside"):
        make_old(path)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, busy.name])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files to others")
def test_of_another_user_nothing_is_removed(tmp_path, of_another_process):
    (file, folder), process = of_another_process
    process.kill()
    process.wait()
    os.chown(file, 65534, 65534)
    remove_leftovers(tmp_path)
    assert file.exists()
    assert not folder.exists()


def test_links_are_removed_and_not_followed(tmp_path, of_another_process):
    (file, folder), process = of_another_process
    process.kill()
    process.wait()
    outside = tmp_path / "outside"
    (outside / "inside").mkdir(parents=True)
    file.unlink()
    file.symlink_to(outside, target_is_directory=True)
    (folder / "link").symlink_to(outside, target_is_directory=True)
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "inside").is_dir()


def test_names_of_a_machine_are_never_taken_for_those_of_another(monkeypatch):
    from napari_unet3d import leftovers

    here = leftovers._machine()
    leftovers._machine.cache_clear()
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert leftovers._machine() != here
    leftovers._machine.cache_clear()


def test_the_suffixes_by_which_writers_choose_the_format_stay_in_names_with_dots():
    assert temporary_name("scan.of-2024-11-30.left_probability.nii.gz").endswith(".nii.gz")
    assert temporary_name("scan.nii.gz").startswith(".scan-")
