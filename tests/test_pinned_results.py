"""Models, predictions, metrics and errors of a few small runs are the pinned ones, to the last bit.

This shows after moving and renaming code that nothing else has changed. When results change on purpose, write
``pinned_results.json`` anew and check with ``git diff`` that only the intended ones differ::

    python tests/test_pinned_results.py --write

When a name that a file of the evaluation holds changes, such as that of a metric, only names must differ there.

The bits of floating-point numbers depend on the instruction set of the processor and on the versions of libraries. The
runs (``pinned_runs.py``) are therefore made in a separate process, with one thread and the instructions that all x86-64
processors have. On Linux with the versions and the maker of the processor that the JSON names, all results must be
equal. On other machines the splits must be equal, and losses, metrics, norms of weights and mean intensities nearly
equal.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PINNED = Path(__file__).with_name("pinned_results.json")
RUNS = Path(__file__).with_name("pinned_runs.py")
LIBRARIES = ("torch", "monai", "numpy", "scipy", "scikit-image")
_RELATIVE, _ABSOLUTE = 0.03, 1e-3  # ten times what other instructions were seen to change


def machine() -> dict[str, str]:
    """Return what the bits of the results depend on."""
    system = {"system": f"{platform.system()} {platform.machine()}", "libc": " ".join(platform.libc_ver())}
    return {**system, "processor": processor(), **{name: version(name) for name in LIBRARIES}}


def processor() -> str:
    """Return who made the processor; approximate reciprocals (RCPPS, RSQRTPS) differ between makers."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def environment() -> dict[str, str]:
    """Return the environment variables with which the arithmetic is the same on all x86-64 processors."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    dispatched = [*extensions.get("found", []), *extensions.get("not found", [])]
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched),  # numpy warns of names that it was not built with
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-FMA,-FMA4",  # for exp, log and pow
    }


def make_results() -> dict[str, Any]:
    """Return the results of ``pinned_runs.py``, run in a new process."""
    done = subprocess.run(
        [sys.executable, "-P", RUNS], env=environment(), capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def differences(pinned: dict[str, Any], results: dict[str, Any], *, exactly: bool) -> list[str]:
    """Return a line for each result that differs from the pinned one, is missing or is not pinned."""
    found = []
    for group, expected in pinned.items():
        found += [f"{name}: missing" for name in expected if name not in results[group]]
        found += [f"{name}: not pinned" for name in results[group] if name not in expected]
        if group == "bits" and not exactly:
            continue
        is_same = is_near if group == "numbers" and not exactly else is_equal
        for name in expected.keys() & results[group].keys():
            if not is_same(expected[name], results[group][name]):
                found.append(f"{name}: {_short(expected[name])} is now {_short(results[group][name])}")
    return sorted(found)


def is_equal(expected: Any, value: Any) -> bool:
    return bool(expected == value)


def is_near(expected: Any, value: Any) -> bool:
    if isinstance(expected, list):
        return len(expected) == len(value) and all(map(is_near, expected, value))
    if expected is None or value is None:
        return expected is value
    return math.isclose(expected, value, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else f"{text[:300]} …"


def read_pinned() -> tuple[dict[str, str], dict[str, Any]]:
    content = json.loads(PINNED.read_text(encoding="utf-8"))
    return content["machine"], content["results"]


def test_results_are_the_pinned_ones() -> None:
    pinned_machine, pinned = read_pinned()
    found = differences(pinned, make_results(), exactly=pinned_machine == machine())
    assert not found, "\n".join(found)


def test_other_machines_may_differ_in_bits_and_slightly_in_numbers() -> None:
    _, pinned = read_pinned()
    norm = "patches, last model, norm"
    other = {**pinned, "bits": dict.fromkeys(pinned["bits"], "other")}
    other["numbers"] = {**pinned["numbers"], norm: 1.01 * pinned["numbers"][norm]}
    assert differences(pinned, other, exactly=False) == []
    assert len(differences(pinned, other, exactly=True)) == len(pinned["bits"]) + 1
    other["numbers"][norm] *= 1.05
    assert [each.partition(":")[0] for each in differences(pinned, other, exactly=False)] == [norm]
    other["always"] = {}
    assert len(differences(pinned, other, exactly=False)) == len(pinned["always"]) + 1


def write() -> None:
    content = {"machine": machine(), "results": make_results()}
    PINNED.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the pinned results anew.")
    parser.add_argument("--write", action="store_true", required=True, help=f"replace {PINNED.name}")
    parser.parse_args()
    write()
