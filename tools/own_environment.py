"""Environments of their own for tools that check with packages whose versions clash with ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


def python_with(name: str, *packages: str) -> Path:
    """Return the Python of an environment at the top of the checkout, which is made if it is not there yet.

    What its packages share with this package, such as torch, they take from the Python that runs this.

    Parameters
    ----------
    name : str
        Name of its folder.
    *packages : str
        What pip installs there.
    """
    environment = Path(__file__).parents[1] / name
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = environment / "ready"
    if not ready.exists():
        venv.create(environment, with_pip=True, clear=True)
        (own,) = environment.glob("**/site-packages")
        (own / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        ready.touch()
    return python
