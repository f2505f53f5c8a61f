"""Predictions as files, in the format of the volume that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.formats.registry import volume_name, writable_suffix
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction


def prediction_files(
    source: Path | str, folder: Path | str, probability: bool = False, uncertainty: bool = False
) -> list[Path]:
    """Return the files that `write_prediction` writes for a source: labels, and the others if asked for."""
    asked = {"labels": True, "probability": probability, "uncertainty": uncertainty}
    kinds = [kind for kind, is_asked in asked.items() if is_asked]
    name, suffix = volume_name(source), writable_suffix(source)
    return [Path(folder) / f"{name}_{kind}{suffix}" for kind in kinds]


def write_prediction(
    prediction: Prediction, source: Path | str, folder: Path | str, probability: bool = False
) -> list[Path]:
    """Write ``NAME_labels``, with what goes with it, in the format of the source volume.

    A format that can only be read becomes its one-file sister (``.mha`` for ``.mhd``). An earlier
    prediction is replaced, except beside the source, where a file of that name may be the user's own.

    Parameters
    ----------
    prediction : Prediction
        What to write; its voxel size goes with it, and the source's place in space where the format has one.
    source : Path or str
        The file of the image; its name and format are taken over.
    folder : Path or str
        Where to; it is made if it is missing.
    probability : bool
        Write ``NAME_probability`` too, as float32. ``NAME_uncertainty`` is written when the prediction has one.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        If a file of that name stands beside the source, or the folder cannot be written to.
    """
    volumes: list[NDArray[Any]] = [prediction.labels]
    if probability:
        volumes.append(prediction.probability)
    if prediction.uncertainty is not None:
        volumes.append(prediction.uncertainty)
    files = prediction_files(source, folder, probability, prediction.uncertainty is not None)
    check_keeps_own_files(source, files)
    like = source if Path(source).exists() else None  # a result is not lost because its image was moved meanwhile
    for file, volume in zip(files, volumes, strict=True):
        write_volume(file, volume, prediction.voxel_size_um, like=like)
    return files


def check_keeps_own_files(source: Path | str, files: Sequence[Path]) -> None:
    """Raise a `UserError` when one of the files exists already beside the source."""
    beside = Path(source).absolute().parent.resolve()
    for path in files:
        if path.exists() and path.absolute().parent.resolve() == beside:
            raise UserError(
                f"{path} exists already beside its image and is not replaced. Choose another folder for predictions, "
                "or remove the file."
            )


def check_distinct(names: Sequence[str], what: str) -> None:
    """Raise a `UserError` when two volumes would be written under one name, on any file system."""
    seen: set[str] = set()
    for name in names:
        key = file_name(name).casefold()
        if key in seen:
            raise UserError(f"Two {what} are called '{name}', and one would replace the other. Rename one of them.")
        seen.add(key)
