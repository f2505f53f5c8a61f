"""Behind each promise of SECURITY.md stand tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import napari_unet3d

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_unet3d.__file__).parent
_NETWORK = {
    "aiohttp",
    "fsspec",
    "ftplib",
    "http",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "urllib",
    "webbrowser",
}


def promises() -> dict[str, list[str]]:
    """Return the tests of each row of the table."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(.+?)\*\*.*? \| (.+) \|$", text, re.MULTILINE)
    return {name: re.findall(r"`(tests/[^`]+)`", tests) for name, tests in rows}


@pytest.mark.parametrize("promise", promises())
def test_each_promise_has_tests_that_exist(promise: str) -> None:
    tests = promises()[promise]
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{test} is gone"


def test_all_promises_are_found() -> None:
    table = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is promised")[2].partition("## ")[0]
    assert len(promises()) == table.count("\n| ") - 2 >= 13


def test_the_package_opens_no_connections() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in _NETWORK]
    assert found == []
