"""Opening of files with volumes: the volume that a path names, ready to be read, and what is wrong with the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.formats.base import Format, StoredVolume, VolumeData
from napari_unet3d.data.formats.fourth_axis import with_fourth_axis
from napari_unet3d.data.formats.registry import format_of, split_path
from napari_unet3d.data.formats.select import AxisRoles, choose, find_axes, select
from napari_unet3d.data.layout import role_of_folder
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.paths import exists
from napari_unet3d.text_files import check_is_regular


@dataclass(frozen=True, slots=True)
class OpenVolume:
    """A volume in a file that is open; its voxels are read by `read`.

    Attributes
    ----------
    path : Path
        The path, for messages.
    stored : StoredVolume
        Its description.
    roles : AxisRoles
        Which of its axes are time, channels and z, y, x.
    role : str
        ``"images"``, ``"labels"``, or empty if it is not known.
    is_file : bool
        Whether the path is that of a file; else it is only a name, and the voxels are those of arrays.
    """

    path: Path
    stored: StoredVolume
    roles: AxisRoles
    role: str
    is_file: bool = True

    @property
    def n_times(self) -> int | None:
        """Number of time points; None if there is no axis of time."""
        return None if self.roles.t is None else self.stored.shape[self.roles.t]

    def read(self, *, whole: bool = True, channel: int | str | None = None, time: int | None = None) -> VolumeData:
        """Read the volume with all its channels and time points, or with those that are chosen; see `read_image`."""
        volume = select(self.path, self.stored, whole=whole, channel=channel, time=time)
        if self.role != "labels" and (notice := self.stored.gaps()):
            volume = replace(volume, notices=(*volume.notices, notice))
        native = volume.array.dtype.newbyteorder("=")  # the only byte order of torch
        array = np.ascontiguousarray(volume.array, dtype=native)
        return replace(volume, array=array, time_step_s=self.stored.time_step_s)


@contextmanager
def open_volume(path: Path | str, role: str = "", fourth_axis: FourthAxis = FourthAxis.AUTO) -> Iterator[OpenVolume]:
    """Open a file and find a volume in it; parameters and errors are those of `read_image`."""
    path = Path(path)
    with open_stored(path, role) as stored:
        named = with_fourth_axis(path, stored, fourth_axis)
        yield OpenVolume(path, named, find_axes(path, named.shape, named.axes), _role_of(path, role))


def _role_of(path: Path, role: str) -> str:
    return role or role_of_folder(split_path(path)[0].parent.name)


@contextmanager
def open_stored(path: Path, role: str = "") -> Iterator[StoredVolume]:
    """Yield the description of the volume that a path names, while its file is open; for the errors see `read_image`.

    Parameters
    ----------
    path : Path
        A file, or a volume inside it.
    role : str
        As for `read_volume`.
    """
    file, inner = split_path(path)
    with open_file(file, inner) as volumes:
        if _is_folder_inside(file, inner):
            yield choose(path, volumes, "", _role_of(path, role))
        else:
            yield choose(file, volumes, inner, _role_of(path, role))


@contextmanager
def open_file(file: Path, inner: str = "") -> Iterator[Sequence[StoredVolume]]:
    """Yield the volumes of a file while it is open; damage to it is explained in a `UserError`.

    Parameters
    ----------
    file : Path
        The file or folder.
    inner : str
        The path inside it that was asked for; for formats whose volumes are folders, only that folder is listed.
    """
    file_format = format_of(file)
    with errors_explained(file, inner, file_format), ExitStack() as files:
        yield _stored_volumes(file, inner, file_format, files)


def _is_folder_inside(file: Path, inner: str) -> bool:
    """Return whether a path inside is a folder, too: as inside a Zarr folder, whose groups are folders."""
    return format_of(file).is_folder and exists(file / inner)


def _stored_volumes(file: Path, inner: str, file_format: Format, files: ExitStack) -> Sequence[StoredVolume]:
    if file_format.volumes is not None:
        return file_format.volumes(file / inner if _is_folder_inside(file, inner) else file, files)
    assert file_format.read is not None, f"{file_format.name} neither reads nor lists volumes"
    volume = file_format.read(file)
    return [
        StoredVolume(
            shape=volume.array.shape,
            dtype=volume.array.dtype,
            load=lambda index: volume.array[index],
            axes=volume.axes,
            geometry_of=lambda zyx: volume.geometry,
            channel_names=volume.channel_names,
            notices=volume.notices,
        )
    ]


@contextmanager
def errors_explained(file: Path, inner: str, file_format: Format) -> Iterator[None]:
    """Explain what a format raises for missing and damaged files in a `UserError`."""
    path = file / inner if file_format.is_folder else file
    damage: tuple[type[Exception], ...] = (*file_format.read_errors(), OverflowError, RecursionError)
    with explain_os_errors(path, "read"):
        check_is_regular(file)
        try:
            yield
        except MemoryError:
            raise UserError(f"{path} does not fit into memory. Close other programs or crop the volume.") from None
        except damage as error:
            raise UserError(
                f"Cannot read {path}: it is damaged or not in the format {file_format.name} ({_first_line(error)}). "
                "Copy or export it again."
            ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(".") if lines else "") or type(error).__name__
