"""Text files from outside: whatever they hold, reading ends soon with a value or with a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_unet3d.errors import UserError, printable
from napari_unet3d.files import read_settings
from napari_unet3d.text_files import (
    csv_cell,
    parse_csv,
    parse_json,
    read_csv,
    read_json,
    read_json_object,
    read_limited,
)

DEEP = 100_000
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # No NUL and no halves of surrogate pairs, which are refused.
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), inside, max_size=3
        )
    ),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_values_are_those_of_json(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * DEEP + "]" * DEEP, "nested too deeply"),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "nested too deeply"),
        ("[" * 33 + "]" * 33, "deeper than 32 levels"),
        ("9" * 400, "more than 64 bits"),
        ("9" * 5000, "digits"),
        ("-9223372036854775809", "more than 64 bits"),
        ("NaN", "number nan"),
        ("[1e999]", "number inf"),
        ('{"a\\u0000": 1}', "NUL"),
        ('"\\ud800"', "surrogate"),
        ("", "Expecting value"),
    ],
)
def test_what_json_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_the_limits_themselves_are_allowed() -> None:
    assert parse_json("[" * 31 + "]" * 31)
    assert parse_json("9223372036854775807") == 2**63 - 1
    assert parse_json("[NaN, -Infinity]", allow_nan=True)[1] < 0


@pytest.mark.parametrize("content", ["a." * DEEP + "b = 1", "[" + "a." * 3000 + "b]", "a = " + "[" * 5000 + "]" * 5000])
def test_nested_toml_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(content)
    with pytest.raises(UserError, match="Cannot read the settings in"):
        read_settings(tmp_path / "settings.toml")


def test_names_that_are_python_words_are_no_settings(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"self": 1, "learning-rate": 0.1}')
    assert read_settings(tmp_path / "settings.json") == {"self": 1, "learning_rate": 0.1}


def test_a_row_of_csv_has_all_columns_and_no_others() -> None:
    assert parse_csv("\ufeffa,b\n1\n2,3,4,5\n".encode()) == [{"a": "1", "b": ""}, {"a": "2", "b": "3"}]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1))
@example("=cmd|' calc'!A0")
@example("@SUM(A1)")
@example("-1+1")
@example("'=1")
def test_names_are_no_formulas_and_come_back(name: str) -> None:
    cell = csv_cell(name)
    assert cell[0] not in "=+-@\t"
    assert parse_csv(f'a\n"{cell.replace(chr(34), 2 * chr(34))}"\n'.encode()) == [{"a": name}]


@pytest.mark.parametrize("content", [b"a\n" + b"1" * 200_000, b"a\n\xff"])
def test_what_is_no_table_is_explained(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.csv cannot be read as a table"):
        read_csv(tmp_path / "t.csv")


def test_an_object_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    assert read_json(tmp_path / "a.json") == [1]
    with pytest.raises(UserError, match="no JSON object"):
        read_json_object(tmp_path / "a.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(2**40)  # takes no space
    with pytest.raises(UserError, match="larger than 64 MiB"):
        read_limited(tmp_path / "large.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of Unix")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match="a pipe or a device"):
        read_json(tmp_path / "pipe.json")


def test_a_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it is a folder"):
        read_json(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        read_json(tmp_path / "none.json")


def test_messages_do_nothing_on_a_terminal() -> None:
    assert str(UserError("no '\x1b[31mcells\x07\udcff'.\nTry é 细胞")) == "no '\\x1b[31mcells\\x07\\udcff'.\nTry é 细胞"
    assert printable("plain µm text") == "plain µm text"
