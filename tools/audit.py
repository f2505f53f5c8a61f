"""Compare the pinned versions with a database of known vulnerabilities, where it can be reached.

    .venv/bin/python tools/audit.py

It fails if there is a vulnerability and a version without it. Without a connection, or where the database does not know
the packages, it says so and succeeds, so that `make lint` does not depend on the network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PINS = Path(__file__).parents[1] / "constraints.txt"
_SECONDS = 120
_OPTIONS = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "5")


def main() -> int:
    """Audit, print the result, and return the exit code."""
    if find_spec("pip_audit") is None:
        return _say("Not audited: pip-audit is not installed.")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(_PINS), *_OPTIONS]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _say(f"Not audited: the database did not answer within {_SECONDS} s.")
    lines, is_vulnerable = summarise(done.stdout)
    _say("\n".join(lines))
    return int(is_vulnerable)


def summarise(output: str) -> tuple[list[str], bool]:
    """Return what to print, and whether a vulnerability can be removed by an update.

    Parameters
    ----------
    output : str
        What pip-audit has written to stdout; JSON, unless it failed.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        return ["Not audited: the database of vulnerabilities cannot be reached."], False
    known = [each for each in packages if "vulns" in each]
    if not known:
        return [f"Not audited: the database that can be reached knows none of the {len(packages)} packages."], False
    lines, is_vulnerable = [f"Audited {len(known)} of {len(packages)} packages."], False
    for package in known:
        for each in package["vulns"]:
            fixed = ", ".join(each["fix_versions"])
            remedy = f"update to {fixed}" if fixed else "there is no version without it yet"
            lines.append(f"{package['name']} {package['version']}: {each['id']}; {remedy}")
            is_vulnerable = is_vulnerable or bool(fixed)
    return lines, is_vulnerable


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
