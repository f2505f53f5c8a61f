"""Time the import of the package and the first opening of each dock, in fresh processes.

tools/with-display python benchmarks/startup.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median

from table import Row, spread, table

_DOCKS = ("Generate data", "Dataset", "Annotate", "Train", "Predict", "Inspect")

_IMPORT = """
import json, time
started = time.perf_counter()
import napari_unet3d
from napari_unet3d import TrainingConfig
print("RESULT" + json.dumps([time.perf_counter() - started, False]))
"""

_OPEN = """
import json, sys, time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
QApplication.processEvents()
started = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-unet3d", sys.argv[1])
QApplication.processEvents()
seconds = time.perf_counter() - started
print("RESULT" + json.dumps([seconds, "torch" in sys.modules]))
viewer.close()
"""


def measure(repeats: int, code: str, *arguments: str) -> tuple[list[float], bool]:
    """Run code in fresh processes; return the seconds it took, and whether torch was imported."""
    results = []
    for _ in range(repeats):
        child = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        line = next(line for line in child.stdout.splitlines() if line.startswith("RESULT"))
        results.append(json.loads(line.removeprefix("RESULT")))
    return [seconds for seconds, _ in results], any(has_torch for _, has_torch in results)


def rows(repeats: int = 5) -> list[Row]:
    """Measure the import and all docks."""
    seconds, _ = measure(repeats, _IMPORT)
    found = [Row("import of the package", "–", spread(seconds), "–", None, "< 0.2 s", median(seconds) < 0.2)]
    for dock in _DOCKS:
        seconds, has_torch = measure(repeats, _OPEN, dock)
        is_reached = median(seconds) < 0.5 and not has_torch
        words = "with torch" if has_torch else "without torch"
        found.append(
            Row(f"first opening of *{dock}*, {words}", "–", spread(seconds), "–", None, "< 0.5 s, no torch", is_reached)
        )
    return found


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    sys.stdout.write(table(rows(parser.parse_args().repeats)))


if __name__ == "__main__":
    main()
