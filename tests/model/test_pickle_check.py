"""The pickle of a model is checked before torch reads it: what weights do not need is refused at once."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.model.pickle_check import UnexpectedContentError, check_weights_pickle

START = b"\x80\x02}q\x00"  # protocol 2, an empty dictionary
TEXT = b"X\x01\x00\x00\x00a"  # the text "a"


def pickle_of(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    with zipfile.ZipFile(file) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def doubled(n: int) -> bytes:
    """A tuple of twice a tuple of twice …, of few bytes and 2ⁿ parts."""
    return b"X\x01\x00\x00\x00aq\x01" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(1, n + 1))


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Conv3d(1, 2, 3).state_dict(),
        torch.nn.Conv3d(1, 2, 3).double().state_dict(),
        {"model_state_dict": torch.nn.PReLU().state_dict(), "epoch": 3, "loss": 0.5, "betas": [(0.9, 0.99)] * 2},
        OrderedDict(a=torch.nn.Parameter(torch.ones(2)), b=torch.zeros((), dtype=torch.int64)),
        {"optimizer": torch.optim.Adam(torch.nn.PReLU().parameters()).state_dict()},
    ],
)
def test_what_torch_saves_of_weights_is_allowed(value: Any) -> None:
    check_weights_pickle(pickle_of(value))


@pytest.mark.parametrize(
    "content",
    [
        START + doubled(60) + b"K\x01s.",  # as a key, it would be hashed for ever
        START + b"(" + doubled(60) + TEXT + b"u.",
        START + TEXT + doubled(60) + b"Q" + b"s.",  # as the name of a storage, too
        START + TEXT + b"cos\nsystem\n" + TEXT + b"\x85Rs.",
        START + TEXT + b"ccollections\nCounter\n)Rs.",
        START + TEXT + b"c_codecs\nencode\n" + TEXT + b"\x85Rs.",
        START + TEXT + b"ctorch.nn.parameter\nParameter\n)\x81s.",
        START + b"\x8fs.",
        START + b"h\x07s.",
        START + b"u.",
        START + TEXT + b"R.",
        b"\x80\x02.",
        b"\x80\x02K\x01Ks",
        b"",
    ],
)
def test_everything_else_is_refused(content: bytes) -> None:
    with pytest.raises(UnexpectedContentError):
        check_weights_pickle(content)


@given(st.binary(max_size=60))
def test_bytes_are_checked_or_refused(content: bytes) -> None:
    with suppress(UnexpectedContentError):
        check_weights_pickle(START + content)


def test_a_model_of_few_bytes_that_would_be_hashed_for_ever_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", START + doubled(60) + b"K\x01s.")
        archive.writestr("model/byteorder", "little")
        archive.writestr("model/version", "3\n")
    with pytest.raises(UserError, match="contains more than weights"):
        load_checkpoint(path)


def test_an_archive_behind_something_else_is_refused(tmp_path: Path) -> None:
    """Python finds an archive by its end, torch by its beginning: they would read different things."""
    path = tmp_path / "model.pth"
    torch.save(torch.nn.PReLU().state_dict(), path)
    path.write_bytes(pickle.dumps({}, 2) + path.read_bytes())
    with pytest.raises(UserError, match="not a model saved by torch"):
        load_checkpoint(path)
