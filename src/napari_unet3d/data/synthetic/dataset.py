"""A dataset folder of synthetic volumes, as in the tutorial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.dataset import Subset, add_sample, clean_dataset, create_dataset, list_pairs
from napari_unet3d.data.events import DatasetEvent, DatasetWritten, VolumeGenerated, VolumeWritten
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.pairs import volumes_in
from napari_unet3d.data.synthetic.generate import Position, generate_volume
from napari_unet3d.errors import UserError


def generate(  # noqa: PLR0913 - what is generated, where to, and how often
    folder: Path | str,
    config: SyntheticConfig | None = None,
    *,
    n_train: int = 5,
    n_test: int = 1,
    objects: Sequence[NDArray[Any]] | None = None,
    positions: Sequence[Position] | None = None,
    overwrite: bool = False,
) -> Iterator[DatasetEvent]:
    """Write a dataset of synthetic volumes: ``train|test/images|labels/1.tif, 2.tif, …``.

    Volume number i has the seed ``config.seed + i - 1``; the training volumes come first. Each volume is on disk,
    image and labels, before its event is given, and stays there when the generator is closed.

    Parameters
    ----------
    folder : Path or str
        The dataset; it is made if it is missing.
    config : SyntheticConfig, optional
        What to generate; without it the volumes of the tutorial.
    n_train, n_test : int
        Number of training and of test volumes.
    objects, positions : sequence, optional
        Given objects and positions; see `generate_volume`.
    overwrite : bool
        Replace volumes that have the name of a new one, in either part; others stay.

    Yields
    ------
    ObjectPlaced, SlicesImaged
        While a volume is generated.
    VolumeWritten
        For every volume.
    DatasetWritten
        At the end.

    Raises
    ------
    UserError
        If the dataset holds volumes and `overwrite` is off, no volume is asked for, the files cannot be written, or
        `generate_volume` raises.
    """
    config = config or SyntheticConfig()
    folder = Path(folder)
    if n_train < 0 or n_test < 0 or n_train + n_test == 0:
        raise UserError(f"{n_train} training and {n_test} test volumes cannot be generated; ask for at least one.")
    create_dataset(folder)
    existing = list_pairs(folder)
    if existing and not overwrite:
        raise UserError(
            f"{folder} holds {len(existing)} volumes already. Choose an empty folder, or allow overwriting."
        )
    parts = [Subset.TRAIN] * n_train + [Subset.TEST] * n_test
    for number, part in enumerate(parts, start=1):
        own_seed = config.model_copy(update={"seed": config.seed + number - 1})
        for event in generate_volume(own_seed, name=str(number), objects=objects, positions=positions):
            if not isinstance(event, VolumeGenerated):
                yield event
                continue
            pair = add_sample(folder, event.sample, part, overwrite=overwrite)
            _remove_from_other_part(folder, pair.name, part)
            if pair.image and pair.labels:  # a pair may lack one in general, but not one just written
                yield VolumeWritten(pair.image, pair.labels, number, len(parts), event.shortfall)
    yield DatasetWritten(folder, n_train, n_test)


def _remove_from_other_part(folder: Path, name: str, part: Subset) -> None:
    """Remove the volume of the same name from the other part: made from the same seed, it would be the same one."""
    other = Subset.TEST if part is Subset.TRAIN else Subset.TRAIN
    folders = (folder / other / kind for kind in ("images", "labels"))
    files = [path for own in folders for path in volumes_in(own) if volume_name(path) == name]
    if files:
        clean_dataset(folder, files)
