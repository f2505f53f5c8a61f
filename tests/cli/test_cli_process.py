"""The command in a separate process: signals, terminals, pipes and what it loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from napari_unet3d.cli import main
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.events import RunStarted
from napari_unet3d.training.loop import train
from napari_unet3d.training.run_lock import LOCK_FILE

LONG_RUN = ("--epochs", "100000", "--val-fraction", "0.4")


def start(*tokens: object, stderr: int, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "napari_unet3d", *map(str, tokens)]
    # A process that is started in the background ignores SIGINT, and so would the one that it starts.
    heed = None if sys.platform == "win32" else partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(words, text=True, stdout=stdout, stderr=stderr, preexec_fn=heed)


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stderr is not None
    while not (line := process.stderr.readline()).startswith(beginning):
        assert line, "the run ended by itself"


class TestProcess:
    """What only a separate process shows."""

    @pytest.mark.parametrize("tokens", [["--help"], ["train", "--help"], ["--version"], ["train", "D", "--nonsense"]])
    def test_help_and_wrong_options_load_neither_torch_nor_napari(self, tokens: list[str]) -> None:
        program = (
            "import sys; from napari_unet3d.cli import main; main(sys.argv[1:]); "
            "heavy = {'torch', 'monai', 'napari', 'scipy', 'qtpy'} & set(sys.modules)\n"
            "sys.exit(str(heavy) if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", program, *tokens], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_stopped_run_keeps_its_model(self, number: signal.Signals, code: int, dataset: Path) -> None:
        folder = dataset.parent / "run"
        process = start("train", dataset, "--run", folder, *LONG_RUN, stderr=subprocess.PIPE)
        read_until(process, "epoch 2/")
        process.send_signal(number)
        _, rest = process.communicate()
        assert process.returncode == code
        assert "Traceback" not in rest
        last = rest.splitlines()[-1]
        assert last.startswith("napari-unet3d: Stopped after ")
        assert str(folder / "model.safetensors") in last
        assert load_checkpoint(folder).epoch >= 1

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
    def test_a_second_run_into_the_folder_is_refused_and_the_first_goes_on(
        self, dataset: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = dataset.parent / "run"
        first = start("train", dataset, "--run", folder, *LONG_RUN, stderr=subprocess.PIPE)
        read_until(first, "epoch 1/")
        for option in ("--resume", "--overwrite"):
            assert main(["train", str(dataset), "--run", str(folder), *LONG_RUN, option]) == 1
            told = capsys.readouterr().err
            [line] = [line for line in told.splitlines() if line.startswith("napari-unet3d: ")]
            assert f"The run folder {folder} is in use by another training (process {first.pid})." in line
            assert "Traceback" not in told
        n_epochs = load_checkpoint(folder / "last.safetensors").epoch
        read_until(first, f"epoch {n_epochs + 1}/")
        first.send_signal(signal.SIGTERM)
        first.communicate()
        assert first.returncode == 143
        losses = [row.split(",")[0] for row in (folder / "history.csv").read_text().splitlines()[1:]]
        assert losses == [str(epoch + 1) for epoch in range(len(losses))]
        assert len(losses) > n_epochs
        assert not list(folder.glob(".*"))

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
    def test_a_killed_run_does_not_keep_its_folder(self, dataset: Path) -> None:
        folder = dataset.parent / "run"
        process = start("train", dataset, "--run", folder, *LONG_RUN, stderr=subprocess.PIPE)
        read_until(process, "epoch 1/")
        process.kill()
        process.communicate()
        assert (folder / LOCK_FILE).exists()
        events = train(dataset, folder, resume=True)
        assert isinstance(next(events), RunStarted)
        events.close()  # type: ignore[attr-defined]
        assert not (folder / LOCK_FILE).exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
    def test_a_bar_on_a_terminal_only(self, dataset: Path) -> None:
        import pty
        import termios

        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        process = start("train", dataset, "--run", dataset.parent / "run", "--epochs", 3, stderr=theirs)
        os.close(theirs)
        told = bytearray()
        try:
            while part := os.read(ours, 65536):
                told += part
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        assert process.wait() == 0
        assert b"\r" in told
        assert b"3/3" in told
        assert b"epoch 3/3: training loss" not in told

    def test_a_reader_that_leaves_early_is_no_error_with_a_traceback(self, dataset: Path) -> None:
        process = start("train", "--help", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        process.stderr.close()
        process.wait()
        assert "Traceback" not in told
