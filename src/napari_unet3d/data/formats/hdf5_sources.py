"""Other files that an HDF5 file names: in links, as storage of an array, and as sources of a virtual array."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_unet3d.data.formats.beside import file_beside
from napari_unet3d.text_files import check_is_regular

_ITSELF = "."


def check_links(path: Path, file: Any) -> None:
    """Check that no link in a file leads to a pipe or a device, which HDF5 would wait for.

    Raises
    ------
    UserError
        If one does.
    """
    import h5py

    named: list[str] = []

    def visit(_: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            named.append(link.filename)

    file.visititems_links(visit)  # h5py passes on no exceptions of the function
    for name in dict.fromkeys(named):
        for place in (path.parent / name, Path(name)):  # where HDF5 looks for it
            if os.path.exists(place):
                check_is_regular(place)


def check_storage(path: Path, dataset: Any) -> None:
    """Check that the values of an array are in its file, or in files in the folder of that file.

    Raises
    ------
    UserError
        If they are elsewhere.
    """
    names = [str(name) for name, _, _ in dataset.external or ()]
    if dataset.is_virtual:
        names += [source.file_name for source in dataset.virtual_sources() if source.file_name != _ITSELF]
    for name in dict.fromkeys(names):
        file_beside(path, name)
