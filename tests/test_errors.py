"""Messages that a user can act on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError, explain_os_errors, explain_validation


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space is left on the disk. Free some space"),
        (errno.EDQUOT, "no space is left on the disk. Free some space"),
        (errno.EFBIG, "does not support files of that size. Choose"),
        (errno.EACCES, "permission denied. Choose"),
        (errno.EPERM, "permission denied. Choose"),
        (errno.EROFS, "the disk is read-only. Choose"),
        (errno.EISDIR, "it is a folder. Give"),
        (errno.ENOTDIR, "is a file, not a folder. Choose"),
        (errno.ENAMETOOLONG, "the name is too long. Choose"),
        (errno.EIO, "Input/output error. Check"),
    ],
)
def test_each_reason_comes_with_what_to_do(number, words):
    with pytest.raises(UserError) as raised, explain_os_errors(Path("folder/a.tif"), "write"):
        raise OSError(number, os.strerror(number))
    assert str(raised.value).startswith(f"Cannot write {Path('folder/a.tif')}: ")
    assert words in str(raised.value)


def test_a_missing_file():
    with (
        pytest.raises(UserError, match=r"^Cannot read gone: it does not exist. Check the path.$"),
        explain_os_errors(Path("gone"), "read"),
    ):
        Path("gone").read_text()


def test_numpy_s_short_write_means_a_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no device that is always full")
    with pytest.raises(UserError, match="no space is left on the disk"), explain_os_errors(tmp_path, "write"):
        np.zeros(10**5).tofile("/dev/full")
    with pytest.raises(UserError, match="no space is left on the disk"), explain_os_errors(tmp_path, "write"):
        Path("/dev/full").write_text("text")


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), explain_os_errors(Path("a"), "read"):
        _ = 1 / 0


class Tool(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(3, ge=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sise": 3}, "There is no setting called 'sise'. Check the spelling."),
        ({"size": "big"}, "The setting 'size' cannot be 'big': input should be a valid integer"),
        ({"size": 0}, "The setting 'size' cannot be 0: input should be greater than or equal to 1."),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(values, message):
    with pytest.raises(ValidationError) as raised:
        Tool(**values)
    assert explain_validation(raised.value).startswith(message)


def test_a_value_of_many_digits_does_not_fill_the_screen():
    for values in ({"epochs": "9" * 5000}, {"x" * 5000: 1}):
        with pytest.raises(UserError) as error:
            TrainingConfig(**values)
        assert len(str(error.value)) < 500
