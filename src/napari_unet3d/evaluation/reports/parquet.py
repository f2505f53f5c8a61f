"""Tables as Parquet, whose columns have types, for pandas, polars, R and databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.errors import UserError

SUFFIX = ".parquet"


def check_parquet() -> None:
    """Raise a `UserError` if Parquet cannot be written, since its library is not installed."""
    _pyarrow()


def write_parquet(path: Path, batches: Iterable[Mapping[str, NDArray[Any]]]) -> None:
    """Write a table in batches of rows, of which one is in memory at a time.

    Parameters
    ----------
    path : Path
        The file.
    batches : iterable of mapping of str to ndarray, shape (row,)
        Columns by their headings; at least one batch, which may have no rows. NaN becomes null.

    Raises
    ------
    UserError
        If pyarrow is not installed.
    OSError
        If the file cannot be written.
    """
    arrow, parquet = _pyarrow()
    writer = None
    try:
        for batch in batches:
            table = arrow.table({name: arrow.array(each, from_pandas=True) for name, each in batch.items()})
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "Writing Parquet needs pyarrow. Install it with: pip install 'napari-unet3d[parquet]', or choose CSV."
        ) from None
    return pyarrow, pyarrow.parquet
