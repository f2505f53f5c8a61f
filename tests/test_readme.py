"""The README does what it says: its Python runs, its commands parse, and its options, controls and files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from napari_unet3d.cli.app import app
from napari_unet3d.data.formats.registry import formats_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Examples that need more than the engine are run by tests of their own, which find them by these markers.
RUN_ELSEWHERE = {"docks": "tests/gui", "correction round": "tests/session", "network in PyTorch": "tests/export"}
MARKED_BLOCK = re.compile(r"<!-- example: (.+?) -->\s*(?:```python\n(.*?)```)?", re.DOTALL)

# What the tutorial is reduced to, so that it takes seconds: smaller volumes with fewer objects, and fewer epochs.
REDUCED = {"objects=10": "objects=3", "shape=(128, 128, 128)": "shape=(48, 64, 56)", "epochs=30": "epochs=1"}
REDUCED_RESUME = {"epochs=60": "epochs=2"}


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, without those that are run elsewhere."""
    return re.findall(rf"```{language}\n(.*?)```", MARKED_BLOCK.sub("", README), re.DOTALL)


def commands() -> list[str]:
    """Return the `napari-unet3d …` lines of the shell blocks, with continued lines joined and comments removed."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("napari-unet3d ")]


def test_the_python_of_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (script,) = blocks("python")
    for written, reduced in (REDUCED | REDUCED_RESUME).items():
        assert script.count(written) == 1, f"{written} is not in the tutorial any more; reduce it in another way"
        script = script.replace(written, reduced)
    monkeypatch.chdir(tmp_path)

    exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})

    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"test Dice [01]\.\d{3}", lines[-2])
    assert lines[-1].startswith("(48, 64, 56) ")
    assert len(list((tmp_path / "dataset" / "train" / "images").iterdir())) == 5
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 2  # the second training has continued the first


@pytest.mark.parametrize("command", commands())
def test_every_command_parses(command: str) -> None:
    _, bound, unused = app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)[:3]

    assert bound.arguments
    assert not unused


def test_commands_are_found() -> None:
    expected = {"generate", "train", "predict", "evaluate", "report", "export", "meshes", "rois", "dataset"}
    assert {command.split()[1] for command in commands()} == expected


def test_an_unknown_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--watch"):
        app.parse_args(["train", "DATASET", "--run", "RUN", "--watch"], exit_on_error=False, print_error=False)


def options_of(command: str) -> set[str]:
    found = app
    for name in command.split():
        found = found[name]
    return {name for argument in found.assemble_argument_collection() for name in argument.names}


def test_every_option_in_the_text_exists() -> None:
    commands = (
        *("generate", "train", "predict", "evaluate", "report", "export", "meshes", "rois"),
        *("dataset export", "dataset import"),
    )
    known = {name for command in commands for name in options_of(command)}
    mentioned = set(re.findall(r"(?<=[ `(])--[a-z][a-z0-9-]*", README))

    assert mentioned - known - {"--help"} == set()
    assert len(mentioned) > 20


def test_every_picture_and_page_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    files = re.findall(r"`((?:benchmarks|tools)/[\w./-]+)`", README)

    assert [link for link in links + files if not (ROOT / link).exists()] == []
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == {
        Path(link).name for link in links if link.startswith("docs/images/")
    }


def test_the_table_of_formats_is_that_of_the_registry() -> None:
    assert f"\n{formats_table()}\n" in README


def test_marked_examples_are_run_by_tests_of_their_own() -> None:
    found = dict(MARKED_BLOCK.findall(README))

    assert found.keys() == RUN_ELSEWHERE.keys()
    for example in [example for example, code in found.items() if code]:
        marker = f"example: {example}"
        tests = [path.read_text(encoding="utf-8") for path in (ROOT / RUN_ELSEWHERE[example]).rglob("test_*.py")]
        assert any(marker in test for test in tests), f"no test in {RUN_ELSEWHERE[example]} runs '{marker}'"
