"""Settings of the prediction of volumes block by block."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from napari_unet3d.configs.base import ChoiceEnum, Config, as_tuple, mode_or_triple, setting

_RANGE = re.compile(r"(\d*):(\d*)")


class BlockSizeMode(ChoiceEnum):
    """How the size of blocks is chosen."""

    AUTO = "auto"


class ProbabilityType(ChoiceEnum):
    """How probabilities are stored."""

    FLOAT32 = "float32"
    UINT8 = "uint8"


class TableFormat(ChoiceEnum):
    """The file formats of tables of objects."""

    CSV = "csv"
    PARQUET = "parquet"


def parse_range(text: str) -> tuple[int | None, int | None]:
    """Return start and stop of a range of voxels such as ``0:64``; None where it is left out.

    >>> parse_range("10:64"), parse_range(":64"), parse_range(":")
    ((10, 64), (None, 64), (None, None))
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no range of voxels; write start:stop, such as 0:512, or : for all")
    start, stop = (int(number) if number else None for number in found.groups())
    if start is not None and stop is not None and start >= stop:
        raise ValueError(f"the range {text!r} is empty; its stop must be above its start")
    return start, stop


def _check_ranges(ranges: tuple[str, ...]) -> tuple[str, ...]:
    if len(ranges) not in (0, 3):
        raise ValueError("write three ranges for z, y and x, such as 0:64 0:512 100:400")
    for each in ranges:
        parse_range(each)
    return ranges


BlockSize = Annotated[tuple[BlockSizeMode | int, ...], BeforeValidator(as_tuple), AfterValidator(mode_or_triple)]
Region = Annotated[tuple[str, ...], AfterValidator(_check_ranges)]


class BlockConfig(Config):
    """How a volume is predicted block by block, which is done for volumes that do not fit into memory.

    Examples
    --------
    >>> BlockConfig(block_size=128).block_size
    (128, 128, 128)
    """

    blocks: bool = setting(
        False,
        "Predict block by block and write OME-Zarr, also if the volume fits into memory. So do the other settings of "
        "blocks, and an output whose name ends in .ome.zarr.",
    )
    block_size: BlockSize = setting(
        (BlockSizeMode.AUTO,),
        "Size of a block (z y x) in voxels, rounded up to whole chunks of the result; auto follows from the free "
        "memory. It does not change the result.",
        minimum=2,
        maximum=2**20,
    )
    region: Region = setting(
        (),
        "Predict only a part of the volume: three ranges of voxels for z, y and x, such as 0:64 0:512 100:400. The "
        "result has the shape of the volume, and is background elsewhere.",
    )
    skip_empty: bool = setting(
        False, "Leave blocks whose intensities are constant out; they are background in the result."
    )
    probability_type: ProbabilityType = setting(
        ProbabilityType.FLOAT32,
        "Type of a probability that is written block by block; as uint8, 255 is 1, and files are a quarter as large.",
    )
    table_format: TableFormat = setting(
        TableFormat.CSV,
        "Format of the table of single objects: csv for spreadsheets, or parquet, which is smaller and keeps types.",
    )

    @property
    def is_asked(self) -> bool:
        """Whether a volume is predicted block by block, whatever its size."""
        return self != BlockConfig()

    @property
    def block_zyx(self) -> tuple[int, int, int] | None:
        """The size of a block; None for auto."""
        if isinstance(self.block_size[0], BlockSizeMode):
            return None
        z, y, x = (int(side) for side in self.block_size)
        return z, y, x
