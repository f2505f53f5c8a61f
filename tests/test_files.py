"""No reader ever meets half a file, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write, not_created, put_back, write_json, write_text


def test_the_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "model.v2.ome.tif"
    with atomic_write(path) as beside:
        assert beside.parent == path.parent
        assert beside.name.startswith(".model-")
        assert beside.name.endswith(".v2.ome.tif")
        beside.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as beside:
        _ = beside.write_text("half") / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_closing_a_generator_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.txt"
    path.write_text("old")

    def save():
        with atomic_write(path) as beside:
            beside.write_text("half")
            yield

    events = save()
    next(events)
    events.close()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "a.zarr"
    (path / "old").mkdir(parents=True)
    with atomic_write(path) as beside:
        (beside / "new").mkdir(parents=True)
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_folder(tmp_path):
    path = tmp_path / "a.zarr"
    (path / "old").mkdir(parents=True)
    write_half = pytest.raises(ZeroDivisionError)
    with write_half, atomic_write(path) as beside:
        (beside / "new").mkdir(parents=True)
        _ = 1 / 0
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_errors_about_files_of_a_folder_name_its_final_path(tmp_path):
    def write(folder: Path) -> None:
        with atomic_write(folder) as beside:
            (beside / "a").mkdir(parents=True)
            write_text(beside / "a", "a file where a folder is")

    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path / 'dataset' / 'a'))}: it is a folder"):
        write(tmp_path / "dataset")


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match=r"Cannot write .*data: it is a folder"):
        write_text(tmp_path / "data", "text")
    assert (tmp_path / "data").is_dir()


def test_a_link_to_a_folder_is_replaced_and_the_folder_kept(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept", target_is_directory=True)
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").read_text() == "text"
    assert (tmp_path / "kept" / "file").exists()


def test_a_file_on_the_way_to_the_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write .*a\.txt: a part of that path is a file, not a folder"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(UserError, match=r"the name is too long. Choose a shorter one"):
        write_text(tmp_path / ("n" * 300), "text")


WRITE = """
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from pathlib import Path
from napari_unet3d.errors import UserError
from napari_unet3d.files import write_text
try:
    write_text(Path(sys.argv[1]), "new" * 100_000)
except UserError as error:
    print(error)
"""


@contextmanager
def without_privileges():
    """Act as a user for whom permissions hold, which they do not for root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="sets permissions as POSIX systems have them")
def test_a_folder_that_may_not_be_written_to():
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with without_privileges(), pytest.raises(UserError, match=r"a\.txt: permission denied. Choose another place"):
            write_text(Path(folder) / "a.txt", "text")
        assert not list(Path(folder).iterdir())
        Path(folder).chmod(0o755)


def test_no_space_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX systems do")
    path = tmp_path / "a.txt"
    path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    message = f"Cannot write {path}: the disk does not support files of that size. Choose another folder."
    assert done.stdout.startswith(message)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_indented_and_keeps_letters(tmp_path):
    write_json(tmp_path / "a.json", {"unit": "µm"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "unit": "µm"\n}\n'
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"unit": "µm"}


def test_a_folder_is_replaced_in_two_steps_where_the_system_cannot_exchange(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet3d.files._system_exchange", lambda: None)
    test_a_folder_replaces_a_folder(tmp_path)


KILLED_BETWEEN_TWO_STEPS = """
import os, sys
from pathlib import Path
from napari_unet3d import files
files._system_exchange = lambda: None
path = Path(sys.argv[1])
with files.atomic_write(path) as temporary:
    temporary.mkdir()
    (temporary / "new").touch()
    rename = Path.rename
    def rename_once(self, target):
        rename(self, target)
        os._exit(9)
    Path.rename = rename_once
"""


def test_a_folder_whose_replacement_was_interrupted_is_put_back(tmp_path):
    path = tmp_path / "a.zarr"
    (path / "old").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", KILLED_BETWEEN_TWO_STEPS, str(path)], check=False)
    assert done.returncode == 9
    assert not path.exists()
    put_back(path)
    assert [entry.name for entry in path.iterdir()] == ["old"]
    with atomic_write(tmp_path / "other.txt") as beside:
        beside.touch()
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.zarr", "other.txt"}, "the new one is a leftover"


def test_a_folder_that_must_not_be_created_is_not(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with not_created(run):
        write_text(run / "snapshots" / "a.txt", "text")
        run.rename(tmp_path / "renamed")
        for path in (run / "a.txt", run / "snapshots" / "a.txt"):
            with pytest.raises(UserError, match=r"a\.txt: it does not exist"):
                write_text(path, "text")
        write_text(tmp_path / "new" / "a.txt", "text")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["new", "renamed"]
    write_text(run / "a.txt", "text")
    assert (run / "a.txt").exists()


@pytest.mark.parametrize("name", ["n" * 250, "µ" * 120 + ".ome.tif", "a." + "b" * 240 + ".tif"])
def test_the_longest_names_that_the_disk_allows_are_written(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
