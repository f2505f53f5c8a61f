"""Use the viewer at random, hundreds of times, and report each crash, exception and leftover with its seed.

A sequence is some 15 actions of a user: layers are added, deleted, renamed, moved and changed, docks are opened and
closed, jobs started and stopped, 2D and 3D, dark and light are switched, at moments that do not depend on what runs.
Half of the sequences begin with a training or an inspection, and do things to every layer meanwhile. After each, all
is closed: no layer, thread, timer, callback, process or temporary file of ours may be left, and no delivery of events
of a job may have run an event loop.

    tools/with-display .venv/bin/python tools/stress_viewer --count 500
    tools/with-display .venv/bin/python tools/stress_viewer --count 1 --seed 123 --verbose

The second line repeats what was done in sequence 123; at which moment of a job it is done is up to the machine.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

_SECONDS_PER_SEQUENCE = 900  # after which it hangs
_LINES_OF_STACK = 80  # of all threads


def main() -> int:
    """Parse the options and run the sequences; return how it ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="number of sequences")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first one; the others follow")
    parser.add_argument("--actions", type=int, default=15, help="actions in each")
    parser.add_argument("--per-process", type=int, default=20, help="sequences in one process")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no process after this time")
    parser.add_argument("--verbose", action="store_true", help="print every action")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    return child(options) if options.child else parent(options)


def parent(options: argparse.Namespace) -> int:
    """Run the sequences in processes, a new one after each crash."""
    began, seed, end = time.monotonic(), options.seed, options.seed + options.count
    outcomes: Counter[str] = Counter()
    while seed < end and time.monotonic() - began < 60 * options.minutes:
        with tempfile.TemporaryDirectory(prefix="stress-viewer-", ignore_cleanup_errors=True) as folder:
            done = run_child(options, seed, min(options.per_process, end - seed), Path(folder))
        outcomes.update(done)
        seed += sum(done.values())
        print(f"{seed - options.seed} sequences: {_words(outcomes)}", flush=True)  # noqa: T201
    minutes = (time.monotonic() - began) / 60
    print(f"{seed - options.seed} sequences in {minutes:.1f} minutes: {_words(outcomes)}")  # noqa: T201
    return 0 if set(outcomes) <= {"ok"} else 1


def _words(outcomes: Counter[str]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))


def run_child(options: argparse.Namespace, seed: int, count: int, folder: Path) -> Counter[str]:
    """Run some sequences in a process, and print what went wrong; return how often each outcome was."""
    (folder / "tmp").mkdir()
    environment = os.environ | {
        "TMPDIR": str(folder / "tmp"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NAPARI_CONFIG": str(folder / "napari.yaml"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    given = ("--child", folder, "--seed", seed, "--count", count, "--actions", options.actions)
    command = [sys.executable, str(Path(__file__).parent), *map(str, given), *["--verbose"] * options.verbose]
    outcomes: Counter[str] = Counter()
    log, began = [], None
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):  # napari prints, too
                continue
            event = json.loads(line)
            if "began" in event:
                began, log = event["began"], []
            elif "log" in event:
                log.append(event["log"])
                if options.verbose:
                    print(f"  {event['log']}")  # noqa: T201
            else:
                outcomes["bad" if event["problems"] else "ok"] += 1
                _report(event["ended"], event["problems"], log if event["problems"] else [])
                began = None
        process.wait()
    if process.returncode or began is not None:
        lines = (folder / "stderr").read_text().splitlines()
        tail = "\n".join([line for line in lines if not line.startswith("Extension modules")][-_LINES_OF_STACK:])
        _report(began or seed, [f"the process ended with {process.returncode}:\n{tail}"], log)
        outcomes["crashed"] += 1
    return outcomes


def _report(seed: int, problems: list[str], log: list[str]) -> None:
    for problem in problems:
        print(f"seed {seed}: {problem}")  # noqa: T201
    if log:
        print("  after " + "; ".join(log), flush=True)  # noqa: T201


def child(options: argparse.Namespace) -> int:
    """Run sequences one after the other in this process; print what happens as JSON lines."""
    faulthandler.enable()
    from sequence import Problems, make_template, new_viewer, run_sequence

    problems, template = Problems(), options.child / "template"
    make_template(template)
    viewer = new_viewer()
    gc.collect()
    gc.freeze()  # napari collects whenever a layer is removed, which would take most of the time
    for seed in range(options.seed, options.seed + options.count):
        faulthandler.dump_traceback_later(_SECONDS_PER_SEQUENCE, exit=True)
        _tell(began=seed)
        problems.found.clear()
        try:
            viewer, left = run_sequence(viewer, seed, options.actions, template, lambda text: _tell(log=text))
        except BaseException:
            traceback.print_exc()  # the hook for exceptions collects those of slots
            raise
        _tell(ended=seed, problems=[*dict.fromkeys(problems.found), *left])
    faulthandler.cancel_dump_traceback_later()
    viewer.close()
    return 0


def _tell(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
