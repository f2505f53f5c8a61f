"""A killed run is resumed; the tool does the same twenty times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "kill_and_resume.py"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_runs_lose_no_epoch_and_end_with_the_same_bits() -> None:
    done = subprocess.run([sys.executable, TOOL, "--kills", "4"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved") == 4
    assert done.stdout.endswith("bit-identical to the uninterrupted run\n")
