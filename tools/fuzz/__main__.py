"""Change sound files at random, read them as docks and commands do, and report each crash, hang and exception.

Files are those of `seeds`: volumes in all formats, models, run folders, settings, notes, preferences. A mutant differs
from one of them in one to three places of which `mutations` and `structures` know what they mean. It is read in a
process with limits of 30 seconds and 2 GB, which stays alive until a mutant ends it. The only outcomes allowed are
that it is read, and a `UserError`.

    nice .venv/bin/python tools/fuzz --count 20000
    .venv/bin/python tools/fuzz --first 123 --count 1 --verbose

The second line repeats mutant 123. Mutants that were found are kept in the folder of ``--keep``.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from mutations import mutate_bytes, mutate_file
from seeds import Tree, make_seeds
from structures import mutation_of

_SECONDS = 30
_SECONDS_BETWEEN_LOOKS = 5
_MOST_SECONDS = 600
_MAX_BYTES = 2**30  # more than this is reported, of the 2 GB that a mutant may take
_ALLOWED = ("read", "refused")
_WEIGHTS = {
    "predict": 30,
    "labels": 20,
    "check": 2,
    "model": 14,
    "pth": 10,
    "resume": 4,
    "report": 3,
    "snapshots": 4,
    "settings": 8,
    "notes": 3,
    "preferences": 3,
    "annotation": 4,
    "evaluate_predictions": 0.3,
}
"""How often each reader is tried; the slow ones less."""


def main() -> int:
    """Parse the options and read the mutants; return 1 if one of them was a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="number of mutants")
    parser.add_argument("--first", type=int, default=0, help="number of the first one; it is the seed of its mutations")
    parser.add_argument("--reader", help="try only this reader")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this time")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for the mutants that were found"
    )
    parser.add_argument("--verbose", action="store_true", help="print every outcome")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
        return _run(options, Path(folder))


def _run(options: argparse.Namespace, folder: Path) -> int:
    os.environ.update(
        {
            "OMP_NUM_THREADS": "1",
            "XDG_CONFIG_HOME": str(folder / "home"),
            "XDG_DATA_HOME": str(folder / "home"),
            "TMPDIR": str(folder),
        }
    )
    seeds = make_seeds(folder / "seeds")
    began, outcomes, found = time.monotonic(), Counter[str](), dict[str, list[int]]()
    worker = Worker(folder)
    for number in range(options.first, options.first + options.count):
        if time.monotonic() - began > 60 * options.minutes:
            break
        mutant = folder / "mutant"
        reader, changed = make_mutant(mutant, number, seeds, options.reader)
        answer = worker.read(reader, mutant)
        outcomes[answer["outcome"]] += 1
        if options.verbose:
            _print(f"{number} {reader} {changed}: {answer['outcome']} {answer['seconds']:.1f} s {answer['text'][:300]}")
        if answer["outcome"] not in _ALLOWED:
            numbers = found.setdefault(f"{answer['outcome']} in {reader}: {answer['signature']}", [])
            if not numbers:
                _report(number, reader, changed, answer)
                shutil.copytree(
                    mutant, options.keep / str(number), symlinks=True, copy_function=_copy, dirs_exist_ok=True
                )
            numbers.append(number)
        _remove(mutant)
        if number % 500 == 499:
            _print(f"{number + 1 - options.first} mutants: {_words(outcomes)}")
    worker.close()
    minutes, n = (time.monotonic() - began) / 60, outcomes.total()
    _print(f"{n} mutants in {minutes:.1f} minutes ({n / minutes / 60:.1f} per second): {_words(outcomes)}")
    for signature, numbers in sorted(found.items()):
        _print(f"{len(numbers)} × {signature}: {', '.join(map(str, numbers[:8]))}")
    return 1 if found else 0


def make_mutant(folder: Path, number: int, seeds: dict[str, list[Tree]], only: str | None) -> tuple[str, str]:
    """Write the mutant with a number; return its reader and what was changed."""
    rng = Random(number)
    readers = [only] if only else list(seeds)
    reader = rng.choices(readers, [_WEIGHTS[each] for each in readers])[0]
    tree = dict(rng.choice(seeds[reader]))
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    changed = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice([each for each in tree if _is_file(folder / each)] or [""])
        if not name:
            break
        changed.append(name)
        if rng.randrange(25) == 0:
            mutate_file(folder / name, rng)
        else:
            (folder / name).write_bytes(_mutated(name, (folder / name).read_bytes(), rng))
    return reader, ", ".join(changed)


def _mutated(name: str, content: bytes, rng: Random) -> bytes:
    if rng.randrange(5):
        try:
            return mutation_of(name)(content, rng)
        except Exception:  # noqa: BLE001 - a second mutation of what a first one has broken
            pass
    return mutate_bytes(content, rng)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size < 2**28


class Worker:
    """The process that reads mutants; a new one after each that died or was too slow.

    Parameters
    ----------
    folder : Path
        Where its messages go.
    """

    def __init__(self, folder: Path) -> None:
        self._errors = folder / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, reader: str, folder: Path) -> dict[str, Any]:
        """Return the outcome of reading a mutant."""
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"reader": reader, "folder": str(folder)}).encode() + b"\n")
        process.stdin.flush()
        answer = self._answer(process, _SECONDS)
        if answer is None:
            is_alive = process.poll() is None
            self.close()
            kind, sign = ("hang", "") if is_alive else ("crash", f"exit {process.returncode}")
            text = self._errors.read_text(errors="replace")[-3000:]
            return {"outcome": kind, "signature": sign, "text": text, "seconds": _SECONDS, "bytes": 0}
        if answer["bytes"] > _MAX_BYTES and answer["outcome"] in _ALLOWED:
            answer |= {"outcome": "memory", "signature": f"{answer['bytes'] / 1e9:.1f} GB"}
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        if self._answer(self._process, 120) is None:
            raise RuntimeError(f"the worker does not start: {self._errors.read_text()[-2000:]}")
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
        """Return the next answer; None if the process has died, or has worked or waited for too long."""
        assert process.stdout is not None
        began, used_before, used = time.monotonic(), _processor_seconds(process), 0.0
        while not select.select([process.stdout], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
            before, used = used, _processor_seconds(process) - used_before
            # On a busy machine it may have had no processor for a while, which is not its fault.
            is_waiting = used == before and time.monotonic() - began > seconds
            if used > seconds or is_waiting or time.monotonic() - began > _MOST_SECONDS:
                return None
        line = process.stdout.readline()
        if not line:
            process.wait()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer


def _processor_seconds(process: subprocess.Popen[bytes]) -> float:
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _copy(source: str, target: str) -> None:
    if os.path.isfile(source) and os.path.getsize(source) < 2**28:
        shutil.copyfile(source, target)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _report(number: int, reader: str, changed: str, answer: dict[str, Any]) -> None:
    _print(f"mutant {number} of {reader} ({changed}): {answer['outcome']} {answer['signature']}\n{answer['text']}")


def _words(outcomes: Counter[str]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))


def _print(text: str) -> None:
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
