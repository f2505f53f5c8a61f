"""Pieces of a page: all text is escaped, all pictures are in the page itself."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBER = '<span class="number"'
_RIGHT = ' class="right"'
_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup; anything else is text and becomes escaped."""

    markup: str


def text(words: Any) -> str:
    """Escape anything that shall be read as it is."""
    return words.markup if isinstance(words, Html) else html.escape(str(words))


def section(title: str, *parts: str) -> str:
    """Put parts below a heading."""
    return f"<section>\n<h2>{text(title)}</h2>\n{chr(10).join(part for part in parts if part)}\n</section>\n"


def paragraph(words: Any, kind: str = "") -> str:
    """Write a paragraph; `kind` is its class in the style sheet."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def table(heading: Sequence[Any], rows: Iterable[Sequence[Any]], kinds: Sequence[str] = ()) -> str:
    """Write a table that scrolls to the side when it is too wide.

    Parameters
    ----------
    heading : sequence
        The words above the columns; empty for none.
    rows : iterable of sequence
        The cells.
    kinds : sequence of str
        The class of each row in the style sheet, where it has one.
    """
    rows, lines = list(rows), []
    if heading:
        of_numbers = [_is_number(cell) for cell in rows[0]] if rows else [False] * len(heading)
        cells = [f"<th{_RIGHT * right}>{text(words)}</th>" for words, right in zip(heading, of_numbers, strict=True)]
        lines.append(f"<thead><tr>{''.join(cells)}</tr></thead>")
    lines.append("<tbody>")
    for number, row in enumerate(rows):
        kind = f' class="{kinds[number]}"' if number < len(kinds) and kinds[number] else ""
        lines.append(f"<tr{kind}>{''.join(_cell(cell) for cell in row)}</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</tbody></table></div>'


def number(value: float | None, form: str = ".4f") -> Html:
    """Write a number as it is read; the exact one is shown under the pointer."""
    if value is None:
        return Html(f"{_NUMBER}>–</span>")
    return Html(f'{_NUMBER} title="{html.escape(repr(value))}">{html.escape(format(value, form))}</span>')


def picture(content: bytes, suffix: str, words: str, caption: Any = "", kind: str = "") -> str:
    """Put a picture into the page.

    Parameters
    ----------
    content : bytes
        The file.
    suffix : {".png", ".svg"}
        What it is.
    words : str
        What it shows, for those who do not see it.
    caption : str or Html
        What stands below it.
    kind : str
        Its class in the style sheet.
    """
    source = f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode('ascii')}"
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure class="{kind}"><img src="{source}" alt="{text(words)}">{below}</figure>'


def _cell(cell: Any) -> str:
    return f"<td{_RIGHT * _is_number(cell)}>{text(cell)}</td>"


def _is_number(cell: Any) -> bool:
    return isinstance(cell, Html) and cell.markup.startswith(_NUMBER)
