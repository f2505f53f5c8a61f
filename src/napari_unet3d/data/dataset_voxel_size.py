"""The voxel size that somebody gave for the volumes of a dataset whose files have none: a small file in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import write_json
from napari_unet3d.paths import is_file
from napari_unet3d.text_files import parse_json, read_limited

VOXEL_SIZE_FILE = "voxel_size.json"
_KEY = "voxel_size_um"
_LIMITS_UM = 1e-4, 1e6  # those of the setting


def read_given_voxel_size(dataset: Path) -> VoxelSize | None:
    """Return the voxel size in µm along z, y, x that was given for a dataset, or None.

    Raises
    ------
    UserError
        If its file cannot be read or holds no voxel size.
    """
    file = dataset / VOXEL_SIZE_FILE
    with explain_os_errors(file, "read"):
        if not is_file(file):
            return None
        content = read_limited(file)
    try:
        sizes = _sizes(parse_json(content)[_KEY])
    except (ValueError, TypeError, LookupError):
        raise UserError(
            f'{file} holds no voxel size; write {{"{_KEY}": [2.0, 0.5, 0.5]}} with the sizes along z, y and x in µm, '
            "or delete the file."
        ) from None
    return sizes


def write_given_voxel_size(dataset: Path, voxel_size_um: VoxelSize | None) -> None:
    """Write the voxel size of the volumes of a dataset whose files have none; None removes it.

    Parameters
    ----------
    dataset : Path
        The dataset.
    voxel_size_um : tuple of float, or None
        Size of a voxel along z, y, x in µm.

    Raises
    ------
    UserError
        If the file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_given_voxel_size(Path(folder), (2.0, 0.5, 0.5))
    ...     read_given_voxel_size(Path(folder))
    (2.0, 0.5, 0.5)
    """
    file = dataset / VOXEL_SIZE_FILE
    if voxel_size_um is None:
        with explain_os_errors(file, "delete"):
            file.unlink(missing_ok=True)
    else:
        write_json(file, {_KEY: list(voxel_size_um)})


def _sizes(values: Any) -> VoxelSize:
    if not isinstance(values, list):
        raise TypeError("no list of sizes")
    z, y, x = (float(value) for value in values)
    if not all(_LIMITS_UM[0] <= size <= _LIMITS_UM[1] for size in (z, y, x)):
        raise ValueError("no size of a voxel")
    return z, y, x
