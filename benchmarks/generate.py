"""Compare the time of the synthetic generator with that of qim3d, on the same machine and with the same task.

    python benchmarks/generate.py --qim3d-python qim3d-venv/bin/python

Each generator runs in a separate process with one thread, after one warm-up. Seconds are processor time, which other
work on the machine affects least; medians and spreads are printed as Markdown. Memory is the peak in addition to the
imported libraries (Linux only). Without ``--qim3d-python`` only ours is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from table import Row, ratio, spread, table

# Volume edge, objects and repetitions; objects of 30 to 40 voxels as in the tutorial, at the same density.
TASKS = {"128³, 10 objects": (128, 10, 7), "384³, 270 objects": (384, 270, 5)}
LARGE_TASKS = {
    "256³, 80 objects": (256, 80, 3),
    "512³, 640 objects": (512, 640, 3),
    "1024³, 5120 objects": (1024, 5120, 1),
}
GOALS = {128: 10, 384: 100}  # how many times faster than qim3d

OURS = """
from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.synthetic.generate import generate_volume

def run(edge, objects, seed):
    *_, event = generate_volume(SyntheticConfig(shape=(edge,) * 3, objects=objects, seed=seed))
    return event.sample.labels
"""

QIM3D = """
import qim3d

def run(edge, objects, seed):
    return qim3d.generate.volume_collection(
        n_volumes=objects, collection_shape=(edge,) * 3, shape_range=((30,) * 3, (40,) * 3), noise_range=(0.04, 0.08),
        seed=seed,
    )[1]
"""

CHILD = """
import json, sys, time
import numpy as np
{generator}
def peak():
    # getrusage would include the memory that the parent process had when it started this one
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

edge, objects, times, warm = map(int, sys.argv[1:])
before = peak()
for seed in range(warm):
    run(edge, objects, seed)
seconds = []
for seed in range(times):
    start = time.process_time()
    labels = run(edge, objects, seed)
    seconds.append(time.process_time() - start)
memory = peak() - before
ids = np.flatnonzero(np.bincount(labels.ravel())).size - 1 if labels.size <= 512**3 else int(labels.max())
print("RESULT" + json.dumps([seconds, memory / 1e6, int(ids)]))
"""


@dataclass(frozen=True)
class Timing:
    """Seconds of each repetition, peak GB without the imported libraries, and distinct ids in the last volume."""

    seconds: list[float]
    memory_gb: float
    ids: int


def timed(python: str, generator: str, task: tuple[int, int, int], *, warm: int = 1) -> Timing:
    """Run one generator in a fresh process with one thread."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    child = subprocess.run(
        [python, "-c", CHILD.format(generator=generator), *map(str, task), str(warm)],
        env={**os.environ, **single},
        capture_output=True,
        text=True,
        check=False,
    )
    results = [line for line in child.stdout.splitlines() if line.startswith("RESULT")]
    if not results:
        raise SystemExit(f"{python} failed:\n{child.stderr[-2000:]}")
    return Timing(*json.loads(results[-1].removeprefix("RESULT")))


def rows(qim3d_python: str | None, *, large: bool = True) -> list[Row]:
    """Measure each task, with qim3d where that is feasible, and how time and memory scale with the volume."""
    found, of_edge = [], {}
    for name, (edge, objects, times) in {**TASKS, **(LARGE_TASKS if large else {})}.items():
        ours = of_edge[edge] = timed(sys.executable, OURS, (edge, objects, times))
        words = f"{spread(ours.seconds)}, {ours.ids} ids, {ours.memory_gb:.2f} GB"
        if qim3d_python is None or edge not in GOALS or (edge > 128 and not large):
            found.append(Row(f"generate {name}", "–", words, "–"))
            continue
        peer_times = times if edge == 128 else 1
        peer = timed(qim3d_python, QIM3D, (edge, objects, peer_times), warm=1 if edge == 128 else 0)
        times_faster = ratio(peer.seconds, ours.seconds)
        goal, is_reached = GOALS[edge], times_faster >= GOALS[edge] and ours.ids == objects
        theirs = f"{spread(peer.seconds)}, {peer.ids} ids"
        found.append(Row(f"generate {name}", "qim3d", words, theirs, times_faster, f"≥ {goal} ×", is_reached))
    if large:
        big = of_edge[1024]
        seconds = ratio(big.seconds, of_edge[128].seconds) / 8**3
        memory = (
            big.memory_gb / of_edge[512].memory_gb / 2**3
        )  # 128³ fits into memory that the libraries have allocated already
        words = f"per voxel {seconds:.2f} × the seconds of 128³ and {memory:.2f} × the memory of 512³"
        is_linear = max(seconds, memory) <= 1.3
        found.append(Row("generate 1024³ relative to 128³", "ours", words, "1 ×", None, "linear", is_linear))
    return found


def main() -> None:
    """Print one row per task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qim3d-python", help="the Python of an environment with qim3d[synthetic-data]==1.5.3")
    parser.add_argument("--large", action="store_true", help="also up to 1024³, and qim3d at 384³, once: minutes")
    arguments = parser.parse_args()
    sys.stdout.write(table(rows(arguments.qim3d_python, large=arguments.large)))


if __name__ == "__main__":
    main()
