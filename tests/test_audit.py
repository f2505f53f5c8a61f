"""What the audit of the pinned versions says, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from runpy import run_path

import pytest

summarise = run_path(str(Path(__file__).parents[1] / "tools" / "audit.py"))["summarise"]


def package(name: str, *fixed: list[str]) -> dict[str, object]:
    """Return a package with a vulnerability for each list of versions without it."""
    return {
        "name": name,
        "version": "1.0",
        "vulns": [{"id": f"CVE-{n}", "fix_versions": versions} for n, versions in enumerate(fixed)],
    }


UNKNOWN = {"name": "b", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "line", "fails"),
    [
        ([package("a"), UNKNOWN], "Audited 1 of 2 packages.", False),
        ([UNKNOWN, UNKNOWN], "Not audited: the database that can be reached knows none of the 2 packages.", False),
        ([package("a", ["1.1", "2.0"])], "a 1.0: CVE-0; update to 1.1, 2.0", True),
        ([package("a", [])], "a 1.0: CVE-0; there is no version without it yet", False),
    ],
)
def test_only_what_an_update_removes_is_a_failure(packages: list[object], line: str, fails: bool) -> None:
    assert summarise(json.dumps({"dependencies": packages}))[0][-1] == line
    assert summarise(json.dumps({"dependencies": packages}))[1] is fails


@pytest.mark.parametrize("output", ["", "Traceback", "{}"])
def test_without_a_database_it_says_so(output: str) -> None:
    assert summarise(output) == (["Not audited: the database of vulnerabilities cannot be reached."], False)
