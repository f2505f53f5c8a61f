"""Which of the files that are predicted are predicted block by block, and with what."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet3d.configs import Task
from napari_unet3d.configs.blocks import BlockConfig, TableFormat
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.volume_parts import exceeds_memory
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.parquet import check_parquet
from napari_unet3d.inference.blockwise.predict import predict_blocks
from napari_unet3d.inference.blockwise.request import BlockRequest, block_request, is_ome_zarr
from napari_unet3d.inference.events import BlockDone, TilesPredicted
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.workers.base import Workers
from napari_unet3d.inference.write import already_there, check_not_beside, prediction_files, without_existing
from napari_unet3d.model.plan import Plan

_BYTES_OF_OBJECTS = 60  # per voxel, to separate single objects


def needs_blocks(opened: OpenVolume, plan: Plan) -> bool:
    """Return whether a volume does not fit into memory with what a model predicts of it."""
    others = 0 if plan.task is Task.BINARY else 4 * (plan.out_channels - 1)
    objects = _BYTES_OF_OBJECTS if plan.task is Task.INSTANCE else 0
    return exceeds_memory(opened, others + objects)


@dataclass(frozen=True, slots=True)
class BlockOptions:
    """What was asked for a prediction block by block.

    Attributes
    ----------
    out : Path or None
        The output; see `block_request`.
    blocks : BlockConfig
        Blocks and region.
    probability, uncertainty : bool
        What is written beside labels.
    mask : Path or None
        The mask.
    in_place : bool
        Whether the labels go into the group of their image.
    overwrite : bool
        Whether results that exist are replaced, and unfinished ones with other settings are begun anew.
    """

    out: Path | None
    blocks: BlockConfig
    probability: bool
    uncertainty: bool
    mask: Path | None = None
    in_place: bool = False
    overwrite: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether all files are predicted block by block, whatever their size."""
        is_named = self.out is not None and is_ome_zarr(self.out)
        return self.blocks.is_asked or self.mask is not None or self.in_place or is_named

    def request(self, source: Path) -> BlockRequest:
        """Return the request for a file."""
        kinds = {"probability": self.probability, "uncertainty": self.uncertainty}
        return block_request(source, self.out, self.blocks, mask=self.mask, in_place=self.in_place, **kinds)

    def check_files(self, files: Sequence[Path]) -> None:
        """Raise a `UserError` if several files have one output, region or mask, or there is no output.

        Also if the table of objects cannot be written, which would be noticed at the end only.
        """
        if self.blocks.table_format is TableFormat.PARQUET:
            check_parquet()
        one = {
            "a region": bool(self.blocks.region),
            "a mask": self.mask is not None,
            "an output that ends in .ome.zarr": self.out is not None and is_ome_zarr(self.out),
        }
        if len(files) > 1 and (given := [what for what, is_given in one.items() if is_given]):
            raise UserError(
                f"{' and '.join(given).capitalize()} can only be given for a single volume, and {len(files)} are to be "
                "predicted. Name one of them, or leave that out."
            )
        if self.out is None and not self.in_place:
            raise UserError("No output was given. Choose a folder, or a name that ends in .ome.zarr, with --out.")
        if self.in_place and self.out is not None:
            raise UserError("The labels go either into the image (--in-place) or to --out. Choose one of the two.")

    def outputs(self, source: Path) -> list[Path]:
        """Return the images that are written for a file."""
        if not self.is_asked and self.out is not None:
            return prediction_files(source, self.out, self.probability, self.uncertainty)
        return [path for kind, path in self.request(source).files.items() if kind != "objects"]

    def without_existing(self, files: Sequence[Path], *, skip_existing: bool) -> tuple[list[Path], str]:
        """Return the files to predict, given the results that exist already; see `write.without_existing`."""
        if self.is_asked and len(files) == 1 and self.request(files[0]).unfinished.is_complete:
            return list(files), ""  # only its results have to be moved, and some may be in their places
        return without_existing(files, self.outputs, overwrite=self.overwrite, skip_existing=skip_existing)

    def applies_to(self, opened: OpenVolume, predictor: Predictor) -> bool:
        """Return whether a volume is predicted block by block: as asked, or since it does not fit into memory."""
        return self.is_asked or needs_blocks(opened, predictor.plan)

    def predict(
        self, predictor: Predictor, opened: OpenVolume, counts: tuple[int, int], workers: Workers | None = None
    ) -> Generator[TilesPredicted | BlockDone | Notice, None, list[Path]]:
        """Predict a volume block by block; see `predict_blocks`."""
        request = self.request(opened.path)
        if not self.overwrite:
            check_not_beside(opened.path, request.existing(has_objects=False))
            if problem := already_there(request.existing(has_objects=predictor.plan.task is Task.INSTANCE)):
                raise UserError(problem)
        how: Any = {"overwrite": self.overwrite, "counts": counts, "workers": workers}
        return (yield from predict_blocks(predictor, opened, request, **how))
