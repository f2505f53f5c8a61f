"""What is predicted block by block, and where the results go."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.configs.blocks import BlockConfig, TableFormat, parse_range
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.formats.ome_levels import find_image_group
from napari_unet3d.data.formats.registry import split_path, volume_name
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.unfinished import Unfinished

IN_PLACE_NAME = "prediction"
"""The name of labels in the group of their image."""
SUFFIXES = (".ome.zarr", ".zarr")
TABLE_FORMAT = "table format"
"""Key of the settings of an unfinished result."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A volume that is predicted block by block.

    Attributes
    ----------
    source : Path
        The file of the image.
    labels : Path
        The OME-Zarr folder that the labels are written to.
    blocks : BlockConfig
        Blocks, region and type of the probability.
    probability : bool
        Whether the probability is written, too.
    uncertainty : bool
        Whether the uncertainty is written, too.
    mask : Path or None
        A volume of the same shape; voxels where it is 0 are background.
    in_place : bool
        Whether the labels go into the group of their image.
    """

    source: Path
    labels: Path
    blocks: BlockConfig
    probability: bool = False
    uncertainty: bool = False
    mask: Path | None = None
    in_place: bool = False

    def absolute(self) -> BlockRequest:
        """Return the same with absolute paths, for other processes."""
        mask = None if self.mask is None else self.mask.absolute()
        return replace(self, source=self.source.absolute(), labels=self.labels.absolute(), mask=mask)

    @property
    def unfinished(self) -> Unfinished:
        """Where the results are until they are complete; beside the image if they go into its group."""
        if self.in_place:
            image = image_folder(self.source)
            return Unfinished(image.with_name(f"{volume_name(self.source)}_{IN_PLACE_NAME}"))
        return Unfinished(self.labels)

    @property
    def files(self) -> dict[str, Path]:
        """The results by what they hold: labels, probability, uncertainty; ``objects`` for a table of objects."""
        found = {"labels": self.labels}
        suffix = next(each for each in SUFFIXES if self.labels.name.endswith(each)) if not self.in_place else ""
        base = self.labels.name.removesuffix(suffix).removesuffix("_labels")
        folder = self.labels.parent
        if self.in_place:
            base, folder = volume_name(self.source), image_folder(self.source).parent
        for kind, is_asked in (("probability", self.probability), ("uncertainty", self.uncertainty)):
            if is_asked:
                found[kind] = folder / f"{base}_{kind}{suffix}"
        return found | {"objects": folder / f"{base}_objects.{self.table_format}"}

    @property
    def table_format(self) -> TableFormat:
        """The format of the table of objects; that of an earlier start, if its results have only to be moved."""
        if self.unfinished.is_complete:
            return TableFormat(self.unfinished.settings().get(TABLE_FORMAT, self.blocks.table_format))
        return self.blocks.table_format

    @property
    def unfinished_table(self) -> Path:
        """The table of objects until it is complete."""
        return self.unfinished.path(f"objects.{self.table_format}")

    def existing(self, *, has_objects: bool) -> list[Path]:
        """Return the results that exist already, unless an earlier start was just moving them to their places."""
        if self.unfinished.is_complete:
            return []
        paths = [path for kind, path in self.files.items() if kind != "objects" or has_objects]
        return [path for path in paths if os.path.lexists(path)]


def image_folder(source: Path) -> Path:
    """Return the folder of the OME-Zarr image that a path is of: the path, or that of the image of a level.

    Raises
    ------
    UserError
        If the file is not OME-Zarr.
    """
    file, _ = split_path(source)
    if not file.name.lower().endswith(SUFFIXES):
        raise UserError(
            f"{source} is not OME-Zarr, so that the labels cannot be written into it (--in-place). Choose an output "
            "with --out instead."
        )
    return source


def check_in_place(opened: OpenVolume) -> None:
    """Raise a `UserError` if labels cannot be written into the group of an image."""
    folder = image_folder(opened.path)
    if (
        find_image_group(folder, opened.stored.shape) is None
        or not (folder / "zarr.json").exists() | (folder / ".zgroup").exists()
    ):
        raise UserError(
            f"{opened.path} is not the folder of an OME-Zarr image with a single volume, so that the labels cannot be "
            "written into it (--in-place). Name the folder that holds the image, or choose an output with --out."
        )
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written to. Change its permissions, or choose an output with --out.")


def block_request(  # noqa: PLR0913 - as many options as the command has
    source: Path,
    out: Path | None,
    blocks: BlockConfig,
    *,
    probability: bool = False,
    uncertainty: bool = False,
    mask: Path | None = None,
    in_place: bool = False,
) -> BlockRequest:
    """Return what is predicted and where results go.

    Parameters
    ----------
    source : Path
        The image.
    out : Path or None
        A name that ends in .ome.zarr, or a folder for ``NAME_labels.ome.zarr``; None for labels in place.
    blocks, probability, uncertainty, mask, in_place
        As of `BlockRequest`.

    Examples
    --------
    >>> block_request(Path("scan.tif"), Path("out"), BlockConfig(), probability=True).files["probability"].name
    'scan_probability.ome.zarr'
    >>> block_request(Path("scan.tif"), Path("out/cells.ome.zarr"), BlockConfig()).files["objects"].name
    'cells_objects.csv'
    """
    if in_place and (probability or uncertainty):
        raise UserError(
            "Only labels can be written into the image (--in-place). Leave out probability and uncertainty, or choose "
            "an output with --out."
        )
    if in_place:
        labels = image_folder(source) / "labels" / IN_PLACE_NAME
    elif out is None:
        raise UserError("No output was given. Choose a folder, or a name that ends in .ome.zarr, with --out.")
    elif is_ome_zarr(out):
        labels = out
    else:
        labels = out / f"{volume_name(source)}_labels.ome.zarr"
    return BlockRequest(source, labels, blocks, probability, uncertainty, mask, in_place)


def is_ome_zarr(out: Path) -> bool:
    """Return whether an output is the name of an OME-Zarr image rather than a folder for results."""
    return out.name.lower().endswith(SUFFIXES)


def region_box(region: tuple[str, ...], shape: Shape3D) -> Box:
    """Return the box of three ranges; all of the volume without them.

    Raises
    ------
    UserError
        If a range goes beyond the volume.

    Examples
    --------
    >>> region_box(("0:4", ":", "2:"), (8, 9, 10))
    (slice(0, 4, None), slice(0, 9, None), slice(2, 10, None))
    """
    sides = []
    for text, length in zip(region or (":", ":", ":"), shape, strict=True):
        start, stop = parse_range(text)
        first, last = start or 0, length if stop is None else stop
        if first >= length or last > length:
            raise UserError(
                f"The region {' '.join(region)} goes beyond the volume of {format_shape(shape)} voxels (z × y × x). "
                "Choose ranges inside it."
            )
        sides.append(slice(first, last))
    z, y, x = sides
    return z, y, x
