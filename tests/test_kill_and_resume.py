"""A killed run is resumed; the tool does the same twenty times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "kill_and_resume.py"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("options", [[], ["--inside-epochs"]])
def test_killed_runs_lose_no_epoch_and_end_with_the_same_bits(options: list[str]) -> None:
    command = [sys.executable, TOOL, "--kills", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reported epoch") == 1
    assert done.stdout.endswith("bit-identical to the uninterrupted run\n")
