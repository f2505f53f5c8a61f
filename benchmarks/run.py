"""Run all benchmarks and write RESULTS.md next to this file; ``make benchmark`` calls it.

    tools/with-display python benchmarks/run.py --qim3d-python PYTHON [--short] [--only NAME ...]

``--short`` leaves out what takes many minutes: qim3d at 384³ and its 30 epochs, volumes up to 1024³, prediction of
256³, and augmentation of more than 64³.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import augmentation
import busy_machine
import generate
import prediction
import psutil
import startup
import torch
import training_step
import tutorial
from table import Row, table

_RESULTS = Path(__file__).with_name("RESULTS.md")
_NOTES = Path(__file__).with_name("NOTES.md")
_PACKAGES = ("napari-unet3d", "torch", "monai", "numpy", "napari", "pyqt6")


def benchmarks(python: str, scratch: Path, *, short: bool) -> dict[str, Callable[[], list[Row]]]:
    """Return the functions that measure the rows of each section."""

    def on_qim3d_volumes() -> list[Row]:
        dataset = scratch / "dataset"
        tutorial.write_dataset(python, dataset)
        return tutorial.rows(python, dataset, is_long=not short)

    return {
        "Generate": lambda: generate.rows(python, large=not short),
        "Train": on_qim3d_volumes,
        "Training step": training_step.rows,
        "Busy machine": lambda: busy_machine.rows(seconds=2 if short else 5),
        "Augment": lambda: augmentation.rows((64,) if short else (64, 96, 128)),
        "Predict": lambda: prediction.rows(side=96 if short else 256, window=64 if short else 96),
        "Startup": startup.rows,
    }


def machine() -> str:
    """Describe the machine and the versions of the packages."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {psutil.cpu_count()} logical processors, "
        f"{memory:.0f} GiB, {gpu}; {platform.system()}, Python {platform.python_version()}, {versions}; "
        "compared with qim3d 1.5.3 in a separate environment and MONAI in ours."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qim3d-python", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections to measure; printed instead of written")
    arguments = parser.parse_args()
    parts = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, measure in benchmarks(arguments.qim3d_python, Path(scratch), short=arguments.short).items():
            if arguments.only and name not in arguments.only:
                continue
            parts.append(f"## {name}\n\n{table(measure())}")
            sys.stdout.write(parts[-1] + "\n")
            sys.stdout.flush()
    if not (arguments.only or arguments.short):
        head = "# Results\n\nWritten by `make benchmark`; medians, with the minimum and maximum of the repetitions.\n"
        _RESULTS.write_text("\n".join([head, machine(), "", *parts, _NOTES.read_text()]), encoding="utf-8")


if __name__ == "__main__":
    main()
