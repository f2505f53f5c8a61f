"""What an HDF5 file makes its library do: open other files that it names, and decompress blocks."""

from __future__ import annotations

import os
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from napari_unet3d.data.formats.beside import file_beside
from napari_unet3d.data.formats.compressed_blocks import ZLIB_TIMES, bomb, decompressed_bytes, most_bytes
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


def check_blocks(dataset: Any) -> None:
    """Check what the blocks of an array would take in memory; HDF5 decompresses to the end of their data.

    Raises
    ------
    ValueError
        If they are much larger than the array, or would be when decompressed.
    """
    if dataset.chunks is None:
        return
    most, large = most_bytes(dataset, dataset.chunks), []

    def visit(block: Any) -> None:
        if block.size * ZLIB_TIMES > most:
            large.append(block.chunk_offset)

    dataset.id.chunk_iter(visit)
    for start in large if dataset.compression == "gzip" else ():
        _, content = dataset.id.read_direct_chunk(start)
        found = decompressed_bytes(BytesIO(content), zlib.decompressobj, most)
        if found > most:
            raise bomb(found)
