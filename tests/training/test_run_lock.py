"""Only one training at a time writes into a run folder."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.events import EpochFinished, RunStarted, TrainEvent, TrainingFinished
from napari_unet3d.training.loop import train
from napari_unet3d.training.run_lock import LOCK_FILE, locked

CONFIG = TrainingConfig(epochs=3, device="cpu", val_fraction=0.34)
SECOND: dict[str, dict[str, Any]] = {"new": {}, "resumed": {"resume": True}, "overwriting": {"overwrite": True}}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def go_until(events: Iterator[TrainEvent], kind: type) -> None:
    while not isinstance(next(events), kind):
        pass


def write_lock(folder: Path, **holder: Any) -> None:
    this = psutil.Process()
    values = {"host": platform.node(), "process": this.pid, "started": this.create_time(), **holder}
    (folder / LOCK_FILE).write_text(json.dumps(values))


class TestASecondTraining:
    """It is refused, and does nothing to the first."""

    @pytest.mark.parametrize("kind", [RunStarted, EpochFinished])
    @pytest.mark.parametrize("how", SECOND)
    def test_is_refused_while_the_first_goes_on_to_its_end(
        self, how: str, kind: type, samples: list[Sample], tmp_path: Path
    ) -> None:
        first = train(samples, tmp_path, CONFIG)
        go_until(first, kind)
        before = contents(tmp_path)

        with pytest.raises(UserError, match=rf"in use by another training \(process {os.getpid()}\)\. Wait"):
            next(train(samples, tmp_path, CONFIG, **SECOND[how]))
        assert contents(tmp_path) == before

        *_, finished = first
        assert isinstance(finished, TrainingFinished)
        assert load_checkpoint(tmp_path / "last.safetensors").epoch == 3
        assert not list(tmp_path.glob(".*"))

    def test_is_refused_in_another_thread_too(self, samples: list[Sample], tmp_path: Path) -> None:
        """Of eight that begin at once, seven are refused."""

        def begin(_: int) -> Iterator[TrainEvent] | UserError:
            events = train(samples, tmp_path, CONFIG, overwrite=True)
            try:
                next(events)
            except UserError as error:
                return error
            return events

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(begin, range(8)))
        [first] = [each for each in found if not isinstance(each, UserError)]
        go_until(first, TrainingFinished)

    def test_may_begin_when_the_first_is_closed(self, samples: list[Sample], tmp_path: Path) -> None:
        first = train(samples, tmp_path, CONFIG)
        go_until(first, EpochFinished)
        first.close()  # type: ignore[attr-defined]
        assert not list(tmp_path.glob(".*"))
        assert isinstance(next(train(samples, tmp_path, CONFIG, resume=True)), RunStarted)

    def test_may_begin_when_the_first_failed(self, samples: list[Sample], tmp_path: Path) -> None:
        first = train(samples, tmp_path, CONFIG)
        next(first)
        with pytest.raises(ZeroDivisionError):
            first.throw(ZeroDivisionError())  # type: ignore[attr-defined]
        assert isinstance(next(train(samples, tmp_path, CONFIG, overwrite=True)), RunStarted)


def test_the_time_of_the_lock_is_renewed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nothing asks for events, as in a pause."""
    monkeypatch.setattr("napari_unet3d.training.run_lock._SECONDS_BETWEEN_BEATS", 0.001)
    renewed = threading.Event()
    monkeypatch.setattr(os, "utime", lambda path: path == tmp_path / LOCK_FILE and renewed.set())
    with locked(tmp_path):
        assert renewed.wait(60)
    assert not any(thread.name == "lock of the run folder" for thread in threading.enumerate())


class TestAnotherHolder:
    """What a lock file says of who wrote it."""

    def test_a_dead_process_is_in_nobodys_way(self, tmp_path: Path) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            started = psutil.Process(process.pid).create_time()
        write_lock(tmp_path, process=process.pid, started=started)
        with locked(tmp_path):
            pass
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("text", ["", "{", '{"host": 1}', "\0" * 80])
    def test_a_file_that_was_cut_off_is_in_nobodys_way(self, text: str, tmp_path: Path) -> None:
        (tmp_path / LOCK_FILE).write_text(text)
        with locked(tmp_path):
            assert json.loads((tmp_path / LOCK_FILE).read_text())["process"] == os.getpid()

    def test_another_computer_is_named_with_the_way_out(self, tmp_path: Path) -> None:
        write_lock(tmp_path, host="elsewhere")
        before = contents(tmp_path)
        with pytest.raises(UserError) as caught, locked(tmp_path):
            pass
        place = f"{tmp_path} is in use by a training on the computer elsewhere (process {os.getpid()}), last active "
        assert place in str(caught.value)
        assert str(caught.value).endswith(f"if it is no longer running, remove {tmp_path / LOCK_FILE}.")
        assert contents(tmp_path) == before
        (tmp_path / LOCK_FILE).unlink()
        with locked(tmp_path):
            pass

    def test_another_computer_without_a_sign_of_life_has_probably_crashed(self, tmp_path: Path) -> None:
        write_lock(tmp_path, host="elsewhere", process=7)
        three_hours_ago = (tmp_path / LOCK_FILE).stat().st_mtime - 3 * 3600
        os.utime(tmp_path / LOCK_FILE, (three_hours_ago, three_hours_ago))
        with pytest.raises(UserError) as caught, locked(tmp_path):
            pass
        assert str(caught.value) == (
            f"The run folder {tmp_path} is locked by a training on the computer elsewhere (process 7), which was last "
            f"active 3 h 0 min ago and has probably crashed. Choose another run folder; if it is no longer running, "
            f"remove {tmp_path / LOCK_FILE}."
        )

    def test_another_user_is_named(self, tmp_path: Path) -> None:
        write_lock(tmp_path, host="elsewhere", process=7, user="somebody else")
        with (
            pytest.raises(UserError, match=r"computer elsewhere \(process 7 of the user somebody else\)"),
            locked(tmp_path),
        ):
            pass

    def test_a_training_says_that_an_earlier_one_was_killed(self, samples: list[Sample], tmp_path: Path) -> None:
        write_lock(tmp_path, process=2**22 + 1)  # higher than process ids are
        notices = [event.message for event in train(samples, tmp_path, CONFIG) if isinstance(event, Notice)]
        assert notices == [
            f"An earlier training in this folder (process {2**22 + 1}) has ended without releasing it, as a killed "
            "process does; its lock was removed."
        ]

    def test_the_copy_of_a_folder_in_use_is_not_in_use(self, tmp_path: Path) -> None:
        write_lock(tmp_path)
        with locked(tmp_path):
            pass

    @pytest.mark.skipif(sys.platform == "win32", reason="file systems of Windows have locks")
    def test_where_files_cannot_be_locked_a_live_process_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr("fcntl.flock", refuse)
        with locked(tmp_path), pytest.raises(UserError, match="in use by another training"), locked(tmp_path):
            pass
        write_lock(tmp_path, started=1.0)  # the number was that of another process
        with locked(tmp_path):
            pass
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_a_file_that_its_holder_removes_when_it_is_opened_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    first, flock = ExitStack(), fcntl.flock
    first.enter_context(locked(tmp_path))

    def flock_after_the_first_has_ended(*arguments: Any) -> None:
        first.close()
        flock(*arguments)

    monkeypatch.setattr("fcntl.flock", flock_after_the_first_has_ended)
    with locked(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()
        with pytest.raises(UserError, match="in use by another training"), locked(tmp_path):
            pass


class TestFolder:
    """What the lock does to the folder itself."""

    def test_new_folders_that_stay_empty_are_removed(self, tmp_path: Path) -> None:
        with locked(tmp_path / "a" / "b"):
            assert (tmp_path / "a" / "b").is_dir()
        assert not list(tmp_path.iterdir())

    def test_folders_that_were_there_or_hold_something_stay(self, tmp_path: Path) -> None:
        with locked(tmp_path):
            pass
        with locked(tmp_path / "run"):
            (tmp_path / "run" / "model").touch()
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "run").touch()
        with (
            pytest.raises(UserError, match=r"run is a file; choose the name of a new folder"),
            locked(tmp_path / "run"),
        ):
            pass
        with pytest.raises(UserError, match="a part of that path is a file"), locked(tmp_path / "run" / "run"):
            pass
        assert (tmp_path / "run").is_file()
