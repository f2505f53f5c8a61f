"""Generation of a dataset of synthetic volumes, as in the tutorial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset, list_pairs
from napari_unet3d.data.events import DatasetEvent, DatasetWritten, VolumeGenerated, VolumeWritten
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.layout import kind_folder
from napari_unet3d.data.pairs import volumes_in
from napari_unet3d.data.synthetic.generate import Position, check_request, generate_volume
from napari_unet3d.errors import UserError


def generate(  # noqa: PLR0913 - one argument per input
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

    Volume number i has the seed ``config.seed + i - 1``; training volumes are first. Image and labels of a volume are
    written before its event is yielded, and stay when the generator is closed. A volume is replaced as a whole: a
    process that is killed leaves the old image with the old labels, or the new ones.

    Parameters
    ----------
    folder : Path or str
        The dataset folder; it is created if it does not exist.
    config : SyntheticConfig, optional
        The settings; without them, those of the tutorial.
    n_train : int
        Number of training volumes.
    n_test : int
        Number of test volumes.
    objects, positions : sequence, optional
        Objects and positions; see `generate_volume`.
    overwrite : bool
        Replace volumes with the name of a new one, in both subsets; others stay.

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
        If the dataset has volumes and `overwrite` is false, no volume is requested, the files cannot be written, or
        `generate_volume` raises.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> small = SyntheticConfig(shape=(16, 16, 16), objects=2, object_shape_min=(4, 4, 4), object_shape_max=(6, 6, 6))
    >>> with TemporaryDirectory() as folder:
    ...     *_, written = generate(folder, small, n_train=2, n_test=1)
    >>> written.n_train, written.n_test
    (2, 1)
    """
    config = config or SyntheticConfig()
    folder = Path(folder)
    if n_train < 0 or n_test < 0 or n_train + n_test == 0:
        raise UserError(f"{n_train} training and {n_test} test volumes cannot be generated; request at least one.")
    check_request(config, objects, positions)  # before a folder is made
    create_dataset(folder)
    existing = list_pairs(folder)
    if existing and not overwrite:
        raise UserError(f"{folder} already has {len(existing)} volumes. Choose an empty folder, or allow overwriting.")
    subsets = [Subset.TRAIN] * n_train + [Subset.TEST] * n_test
    for number, subset in enumerate(subsets, start=1):
        seeded = config.model_copy(update={"seed": config.seed + number - 1})
        for event in generate_volume(seeded, name=str(number), objects=objects, positions=positions):
            if not isinstance(event, VolumeGenerated):
                yield event
                continue
            replaces = _in_other_subset(folder, event.sample.name, subset)
            pair = add_sample(folder, event.sample, subset, overwrite=overwrite, replaces=replaces)
            if pair.image and pair.labels:  # always true; for the type checker
                yield VolumeWritten(pair.image, pair.labels, number, len(subsets), event.shortfall)
    yield DatasetWritten(folder, n_train, n_test)


def _in_other_subset(folder: Path, name: str, subset: Subset) -> list[Path]:
    """Return the files of that name in the other subset, since they may have the same seed and content."""
    other = Subset.TEST if subset is Subset.TRAIN else Subset.TRAIN
    folders = (kind_folder(folder, other, kind) for kind in ("images", "labels"))
    return [path for each in folders for path in volumes_in(each) if volume_name(path) == name]
