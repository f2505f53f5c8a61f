"""The pages in `docs` and their code blocks, for the tests that run and check them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))

_BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block, and why it is not run, if it is not."""

    language: str
    code: str
    reason: str

    @property
    def commands(self) -> list[list[str]]:
        """The `napari-unet3d …` lines as arguments, without comments and with continued lines joined."""
        lines = [shlex.split(line, comments=True) for line in self.code.replace("\\\n", " ").splitlines()]
        lines = [line[1:] if line[:1] == ["srun"] else line for line in lines]
        return [line[1:] for line in lines if line[:1] == ["napari-unet3d"]]

    @property
    def other_lines(self) -> list[str]:
        """The lines that are neither comments nor `napari-unet3d …`."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [line for line in lines if line.strip() and not line.startswith(("#", "napari-unet3d "))]


def text_of(page: str) -> str:
    """Return the text of a page."""
    return (DOCS / page).read_text(encoding="utf-8")


def blocks_of(page: str) -> list[Block]:
    """Return the code blocks of a page, in their order."""
    found = _BLOCK.finditer(text_of(page))
    return [Block(each["language"], each["code"], each["reason"] or "") for each in found]
