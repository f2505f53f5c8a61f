"""Use the viewer and the engine in one process for hours, and record whether anything grows.

A round trains, predicts and evaluates without the viewer, then does what `tools/stress_viewer` does with the viewer:
random actions with layers, docks and jobs, until all is closed again. After each round memory, threads, open files,
layers, Qt's objects and Python's objects are counted and written to ``soak.csv``; ``soak.png`` shows them at the end.
It fails if one of them has grown by more than a tenth since the end of the first third, in which everything is loaded.

    tools/with-display .venv/bin/python tools/soak.py --minutes 480 --out soak
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence as Rows
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "stress_viewer"))
_MOST_GROWTH = 1.1
_MOST_MORE = 3  # of things of which there are few


@dataclass(frozen=True)
class Count:
    """What there is after a round."""

    minutes: float
    rounds: int
    memory_mib: float
    threads: int
    open_files: int
    layers: int
    qt_objects: int
    python_objects: int


def main() -> int:
    """Use it for as long as the options say, and return whether something has grown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=480, help="how long")
    parser.add_argument("--actions", type=int, default=15, help="actions in the viewer, each round")
    parser.add_argument("--seed", type=int, default=0, help="decides on the actions")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder of the table and the plot")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        prepare_environment(Path(folder))
        counts, problems = soak(options, Path(folder))
    draw(counts, options.out / "soak.png")
    grown = find_growth(counts)
    lines = [*problems, *grown] or [f"Nothing has grown in {len(counts)} rounds."]
    print("\n".join(lines))  # noqa: T201
    return int(bool(problems or grown))


def prepare_environment(folder: Path) -> None:
    """Keep settings and temporary files of the user out of it."""
    for name in ("tmp", "config", "data", "cache"):
        (folder / name).mkdir()
    os.environ |= {
        "TMPDIR": str(folder / "tmp"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NAPARI_CONFIG": str(folder / "napari.yaml"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
    }
    tempfile.tempdir = None


def soak(options: argparse.Namespace, folder: Path) -> tuple[list[Count], list[str]]:
    """Do rounds until the time is over; return what was counted, and what went wrong."""
    from sequence import Problems, make_template, new_viewer, run_sequence

    problems, found, counts = Problems(), [], []
    template = folder / "template"
    make_template(template)
    viewer = new_viewer()
    began = time.monotonic()
    with (options.out / "soak.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([field.name for field in fields(Count)])
        while time.monotonic() - began < 60 * options.minutes:
            n_rounds = len(counts)
            use_engine(template, folder / "engine")
            viewer, left = run_sequence(viewer, options.seed + n_rounds, options.actions, template, lambda _: None)
            found += [f"round {n_rounds}: {each}" for each in (*dict.fromkeys(problems.found), *left)]
            problems.found.clear()
            counts.append(count(viewer, (time.monotonic() - began) / 60, n_rounds + 1))
            table.writerow([f"{value:g}" for value in astuple(counts[-1])])
            file.flush()
    viewer.close()
    return counts, found


def use_engine(template: Path, folder: Path) -> None:
    """Train, predict and evaluate."""
    from sequence import CONFIG

    from napari_unet3d import evaluate, predict, train

    run = folder / "run"
    for event in train(template / "dataset", run, CONFIG.model_copy(update={"epochs": 2})):
        del event
    images = sorted((template / "dataset" / "test" / "images").iterdir())
    for event in predict(run, images[0]):
        del event
    for event in evaluate(run, template / "dataset", out=folder / "evaluation"):
        del event
    shutil.rmtree(folder)


def count(viewer: Any, minutes: float, n_rounds: int) -> Count:
    """Count what there is."""
    import psutil
    from qtpy.QtCore import QObject
    from qtpy.QtWidgets import QApplication

    gc.collect()
    process = psutil.Process()
    return Count(
        minutes=minutes,
        rounds=n_rounds,
        memory_mib=process.memory_info().rss / 2**20,
        threads=process.num_threads(),
        open_files=process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
        layers=len(viewer.layers),
        qt_objects=sum(1 + len(widget.findChildren(QObject)) for widget in QApplication.topLevelWidgets()),
        python_objects=len(gc.get_objects()),
    )


def find_growth(counts: Rows[Count]) -> list[str]:
    """Return a sentence on each number whose median over the last third exceeds that over the second one."""
    third = len(counts) // 3
    if not third:
        return ["There were fewer than three rounds. Give it more time."]
    found = []
    for field in fields(Count)[2:]:
        values = [float(getattr(each, field.name)) for each in counts]
        before, after = (statistics.median(part) for part in (values[third : 2 * third], values[2 * third :]))
        if after > before * _MOST_GROWTH and after > before + _MOST_MORE:
            found.append(f"{field.name} has grown from {before:g} to {after:g} in the last third.")
    return found


def draw(counts: Rows[Count], path: Path) -> None:
    """Draw each number over the time."""
    from matplotlib.figure import Figure

    names = [field.name for field in fields(Count)[2:]]
    figure = Figure(figsize=(8, 9), layout="constrained")
    minutes = [each.minutes for each in counts]
    for axes, name in zip(figure.subplots(len(names), sharex=True), names, strict=True):
        axes.plot(minutes, [getattr(each, name) for each in counts], color="#3d6fb0")
        axes.set_ylabel(name.replace("_mib", " (MiB)").replace("_", " "))
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"minutes, {len(counts)} rounds")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
