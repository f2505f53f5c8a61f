"""Disturb each command at each moment, and check that nothing is lost and one sentence is said.

    python tools/faults files --per-scenario 60
    python tools/faults disk
    python tools/faults kills --count 200
    python tools/faults limits

``files`` lets operations on files fail: with a full disk, an error of the disk, a permission that is refused, or a
write that writes only a part. ``disk`` fills a real disk, a small one in memory, which root can mount. ``kills`` ends
commands with SIGKILL at random moments. ``limits`` runs them with 64 open files, little memory, a clock that jumps, a
run folder that is read-only, full paths, and one that is removed or renamed.

After each disturbance every file that exists must load, image and labels of a volume must be both old or both new, an
exit code of 1 comes with exactly one sentence and never with a traceback, and the command must succeed when it is
given again (a training with --resume, which must end with the same bits). All runs in forked processes, on Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from checks import TRACEBACK, check_files, check_said, leftovers, volumes_of
from disturbances import limits, mounted
from failing_files import KINDS, FailingFiles
from scenarios import SCENARIOS, Scenario, make_base

from napari_unet3d.model.checkpoint import load_checkpoint


class Trials:
    """Runs scenarios in forked processes, each in a fresh copy of the same files, and counts what went wrong.

    Parameters
    ----------
    root : Path
        A temporary folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.base = root, root / "base"
        self.outcomes: Counter[str] = Counter()
        self.problems: list[str] = []
        code, said = self.fork(lambda folder: make_base(self.base), root)
        assert code == 0, said
        self.old = volumes_of(self.base / "data")
        self.whole: dict[str, dict[str, torch.Tensor]] = {}

    def fork(
        self, work: Callable[[Path], object], folder: Path, before: Callable[[], object] = int, kill_after: float = 0.0
    ) -> tuple[int, str]:
        """Run a function in a forked process; return its exit code, and what it has written."""
        output = self.root / "output.txt"
        pid = os.fork()
        if pid == 0:
            _child(work, folder, before, output)
        if kill_after:
            time.sleep(kill_after)
            os.kill(pid, 9)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, output.read_text(encoding="utf-8", errors="replace")

    def copy(self, place: Path | None = None) -> Path:
        """Return a fresh copy of the files that scenarios start from."""
        folder = place or self.root / "work"
        if place is None:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.base, folder, dirs_exist_ok=True)
        return folder

    def count(self, scenario: Scenario) -> tuple[int, float]:
        """Return how many operations on files a scenario makes, and its duration in seconds; it must succeed."""
        folder, counter = self.copy(), self.root / "count.txt"

        def work(folder: Path) -> int:
            faults = FailingFiles(str(folder))
            code = scenario.work(folder)
            os.write(os.open(counter, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), str(faults.count).encode())
            return code

        began = time.monotonic()
        code, said = self.fork(work, folder)
        seconds = time.monotonic() - began
        assert code == 0, f"{scenario.name}: {said}"
        self.whole[scenario.name] = _weights(folder)
        return int(counter.read_text()), seconds

    def judge(self, scenario: Scenario, what: str, folder: Path, code: int, said: str, *, again: bool = True) -> None:
        """Check files and words after a disturbance, and that the command succeeds when it is given again."""
        problems = check_said(code, said) + check_files(folder, self.old)
        if again:
            code_again, said_again = self.fork(scenario.again, folder)
            if code_again != 0:
                problems.append(f"again: exit code {code_again}: {said_again.strip()[-300:]}")
            problems += check_files(folder, None) + [f"left: {name}" for name in leftovers(folder)]
            whole, found = self.whole.get(scenario.name, {}), _weights(folder)
            if code_again == 0 and not _same(whole, found):
                problems.append("the weights differ from those of an undisturbed run")
        self.outcomes[f"exit {code}"] += 1
        for problem in problems:
            self.problems.append(f"{scenario.name}, {what}: {problem}")
            print(f"PROBLEM {self.problems[-1]}", flush=True)  # noqa: T201


def _child(work: Callable[[Path], object], folder: Path, before: Callable[[], object], output: Path) -> None:
    """Run a function and end the process, whose output goes to a file."""
    code = TRACEBACK
    try:
        target = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(target, number)
        before()
        found = work(folder)
        code = found if isinstance(found, int) else 0
    except BaseException:  # noqa: BLE001 - it is reported
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    model = folder / "new" / "last.safetensors"
    return load_checkpoint(model).weights if model.exists() else {}


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fail_files(trials: Trials, scenario: Scenario, options: argparse.Namespace, rng: random.Random) -> None:
    """Make operations on files fail, spread over all of a scenario."""
    n_operations, _ = trials.count(scenario)
    n_trials = min(options.per_scenario, n_operations * len(KINDS))
    for trial in range(n_trials):
        kind = KINDS[trial % len(KINDS)]
        number = rng.randint(1 + n_operations * trial // n_trials, 1 + n_operations * (trial + 1) // n_trials)
        folder = trials.copy()
        code, said = trials.fork(scenario.work, folder, lambda f=folder, n=number, k=kind: FailingFiles(str(f), n, k))
        trials.judge(scenario, f"{kind} at operation {number} of {n_operations}", folder, code, said)


def fill_disk(trials: Trials, scenario: Scenario, options: argparse.Namespace, rng: random.Random) -> None:
    """Run a scenario on disks of 1, 2, 3, … blocks more than what is there before."""
    del rng
    n_base = sum(path.stat().st_size // 4096 + 1 for path in trials.base.rglob("*"))
    for trial in range(options.per_scenario):
        n_free = 1 + trial * options.blocks // options.per_scenario
        with mounted(trials.root / "disk", 4096 * (n_base + n_free)) as disk:
            trials.copy(disk)
            code, said = trials.fork(scenario.work, disk)
            trials.judge(scenario, f"a disk with {4 * n_free} kB free", disk, code, said, again=False)


def kill(trials: Trials, scenario: Scenario, options: argparse.Namespace, rng: random.Random) -> None:
    """Kill a scenario at random moments, the second time within what resumes it."""
    _, seconds = trials.count(scenario)
    for _ in range(-(-options.count // len(options.chosen))):
        folder, after = trials.copy(), rng.uniform(0.001, seconds)
        code, said = trials.fork(scenario.work, folder, kill_after=after)
        if rng.random() < 0.3:
            problems = check_files(folder, trials.old)
            trials.problems += [f"{scenario.name}, first of two kills: {each}" for each in problems]
            code, said = trials.fork(scenario.again, folder, kill_after=rng.uniform(0.001, seconds))
        trials.judge(scenario, f"killed after {after:.3f} of {seconds:.3f} s", folder, code, said)


def limit(trials: Trials, scenario: Scenario, options: argparse.Namespace, rng: random.Random) -> None:
    """Run a scenario in all surroundings of `limits`."""
    del options
    trials.count(scenario)
    for name, disturbance in limits(scenario.name, rng):
        folder = trials.copy(disturbance.place(trials.root))
        with disturbance.around(folder):
            code, said = trials.fork(scenario.work, folder, lambda d=disturbance, f=folder: d.before(f))
            trials.judge(scenario, name, folder, code, said, again=False)
        if disturbance.again:
            trials.judge(scenario, f"after {name}", folder, 0, "")
        shutil.rmtree(folder, ignore_errors=True)


MODES = {"files": fail_files, "disk": fill_disk, "kills": kill, "limits": limit}


def main() -> int:
    """Parse the options and run the trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--count", type=int, default=200, help="kills in all")
    parser.add_argument("--per-scenario", type=int, default=40, help="faults, or sizes of the disk, of each scenario")
    parser.add_argument("--blocks", type=int, default=200, help="most free blocks of 4 kB of a disk")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=None, help="names of scenarios")
    options = parser.parse_args()
    options.chosen = [each for each in SCENARIOS if options.only is None or each.name in options.only]
    torch.set_num_threads(1)  # so that forked processes can compute
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        trials = Trials(Path(folder))
        for scenario in options.chosen:
            began, before = time.monotonic(), Counter(trials.outcomes)
            MODES[options.mode](trials, scenario, options, rng)
            of_this, seconds = trials.outcomes - before, time.monotonic() - began
            print(f"{scenario.name}: {sum(of_this.values())} in {seconds:.0f} s, {dict(of_this)}", flush=True)  # noqa: T201
    print(f"{options.mode}: {sum(trials.outcomes.values())} trials, {len(trials.problems)} problems")  # noqa: T201
    return 1 if trials.problems else 0


if __name__ == "__main__":
    sys.exit(main())
