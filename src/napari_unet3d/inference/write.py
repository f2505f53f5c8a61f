"""Write predictions in the file format of their image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.formats.holds import parts_of
from napari_unet3d.data.formats.registry import format_of, is_volume, volume_name, writable_suffix
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.series_files import holds_series, series_suffix
from napari_unet3d.data.volume_parts import exceeds_memory
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction

KINDS = ("labels", "probability", "uncertainty")
"""What may be written for a volume; the names of the files end in one of them."""

_MOST_NAMES = 5


def prediction_files(
    source: Path | str, folder: Path | str, probability: bool = False, uncertainty: bool = False
) -> list[Path]:
    """Return the files that `write_prediction` writes for an image: labels, then probability and uncertainty.

    Those of a series in a format that holds a single volume have another format, and those of a volume that is larger
    than memory are OME-Zarr, since they are written block by block.

    Examples
    --------
    >>> [path.name for path in prediction_files("scan.nii.gz", "out", probability=True)]
    ['scan_labels.nii.gz', 'scan_probability.nii.gz']
    """
    is_written = dict(zip(KINDS, (True, probability, uncertainty), strict=True))
    name, suffix = volume_name(source), writable_suffix(source)
    with suppress(UserError), open_volume(source, "images") as opened:  # an error is explained when it is read
        if opened.n_times is not None and not holds_series(f"a{suffix}"):
            suffix = series_suffix(UNKNOWN, suffix)
        elif exceeds_memory(opened):
            suffix = ".ome.zarr"
    return [Path(folder) / f"{name}_{kind}{suffix}" for kind, is_asked in is_written.items() if is_asked]


def result_suffix(geometry: Geometry, source: Path | str | None) -> tuple[str, str]:
    """Return the suffix for results: that of the image's file if its format holds where the volume lies.

    Parameters
    ----------
    geometry : Geometry
        Where the volume lies.
    source : Path, str or None
        The file of the image; None, or a file of another format than these, for TIFF where that is possible.

    Returns
    -------
    str, str
        The suffix, and a notice that says why it is not that of the file; the notice is empty if it is.

    Examples
    --------
    >>> result_suffix(Geometry((2.0, 0.5, 0.5)), "scan.nii.gz")
    ('.nii.gz', '')
    >>> result_suffix(Geometry((2.0, 0.5, 0.5), origin=(1.0, 0.0, 0.0)), "scan.tif")[0]
    '.ome.zarr'
    """
    wanted = writable_suffix(source) if source is not None and is_volume(source) else ".tif"
    suffix = suffix_for(geometry, wanted)
    if suffix == wanted:
        return suffix, ""
    missing = sorted(part.value for part in parts_of(geometry) - format_of(f"a{wanted}").holds(Path(f"a{wanted}")))
    instead = f"the format of {Path(source).name}" if source is not None else wanted
    return suffix, (
        f"Results are written as {suffix} instead of {instead}, which holds no {' and no '.join(missing)}: they would "
        "lose where the volume lies."
    )


def write_prediction(
    prediction: Prediction,
    source: Path | str,
    folder: Path | str,
    probability: bool = False,
    *,
    keep_existing: bool = False,
) -> list[Path]:
    """Write ``NAME_labels`` and, if there are any, probability and uncertainty in the format of the image.

    A format with a separate header becomes its single-file variant (``.mha`` for ``.mhd``). An earlier prediction is
    replaced, except next to the image, where a file with that name may be the user's own.

    Parameters
    ----------
    prediction : Prediction
        Written with the voxel size, orientation and origin of the image.
    source : Path or str
        The file of the image, which determines name and format.
    folder : Path or str
        Output folder; created if it does not exist.
    probability : bool
        Also write ``NAME_probability`` as float32. ``NAME_uncertainty`` is written whenever the prediction has one.
    keep_existing : bool
        Write only files that do not exist yet.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        If a file with that name exists next to the image, or the folder is not writable.
    """
    volumes: list[NDArray[Any]] = [prediction.labels]
    if probability:
        volumes.append(prediction.probability)
    if prediction.uncertainty is not None:
        volumes.append(prediction.uncertainty)
    files = prediction_files(source, folder, probability, prediction.uncertainty is not None)
    written = {
        file: volume for file, volume in zip(files, volumes, strict=True) if not (keep_existing and exists(file))
    }
    check_not_beside(source, list(written))
    for file, volume in written.items():
        write_volume(file, volume, geometry=prediction.geometry)
    return list(written)


def exists(path: Path) -> bool:
    """Return whether there is a file or folder, or a link that leads nowhere, which writing would replace."""
    return os.path.lexists(path)


def check_not_beside(source: Path | str, files: Sequence[Path]) -> None:
    """Raise a `UserError` if one of the files already exists next to the image."""
    image_folder = Path(source).absolute().parent.resolve()
    for path in files:
        if os.path.exists(path) and path.absolute().parent.resolve() == image_folder:
            raise UserError(
                f"{path} already exists next to its image and is not overwritten. Choose another folder for the "
                "predictions, or remove the file."
            )


def without_existing(
    sources: Sequence[Path], outputs: Callable[[Path], Sequence[Path]], *, overwrite: bool, skip_existing: bool
) -> tuple[list[Path], str]:
    """Return the images to predict, given the results that exist already.

    Parameters
    ----------
    sources : sequence of Path
        The images.
    outputs : callable
        Returns the files that are written for an image.
    overwrite, skip_existing : bool
        Whether results that exist may be replaced, or are kept.

    Returns
    -------
    tuple of list of Path, and str
        The images without those that have all of their results and are skipped, and a notice about these.

    Raises
    ------
    UserError
        If two results have the same name, one exists next to its image, or one exists and may not be replaced.
    """
    check_names_differ([outputs(source)[0].name for source in sources], "results")
    if skip_existing:
        skipped = [source for source in sources if all(map(exists, outputs(source)))]
        kept = [path for source in sources if source not in skipped for path in outputs(source) if exists(path)]
        notices = [f"{len(skipped)} of {len(sources)} volumes have results and are skipped: {names(skipped)}."]
        notices = [*(notices if skipped else []), *([f"Kept as they are: {names(kept)}."] if kept else [])]
        return [source for source in sources if source not in skipped], " ".join(notices)
    for source in sources:
        check_not_beside(source, outputs(source))
    if not overwrite and (problem := already_there([path for source in sources for path in outputs(source)])):
        raise UserError(problem)
    return list(sources), ""


def already_there(paths: Sequence[Path]) -> str:
    """Return the message for results that exist and would be replaced; empty if there are none."""
    present = [path for path in paths if exists(path)]
    if not present:
        return ""
    if len(present) == 1:
        which = f"{present[0]} exists already and is not replaced"
    else:
        which = f"{present[0].parent} contains {names(present)} already; they are not replaced"
    return f"{which}. Overwrite existing results (--overwrite), skip them (--skip-existing), or choose another folder."


def names(paths: Sequence[Path]) -> str:
    """Return the names of the first few files, and the number of the others.

    >>> names([Path(f"scans/{number}.tif") for number in range(7)])
    '0.tif, 1.tif, 2.tif, 3.tif, 4.tif and 2 more'
    """
    n_more = len(paths) - _MOST_NAMES
    return ", ".join(path.name for path in paths[:_MOST_NAMES]) + (f" and {n_more} more" if n_more > 0 else "")


def check_names_differ(names: Sequence[str], what: str) -> None:
    """Raise a `UserError` if two volumes would be written to files of the same name, on any file system."""
    seen: set[str] = set()
    for name in names:
        key = file_name(name).casefold()
        if key in seen:
            raise UserError(f"Two {what} are called '{name}', and one would overwrite the other. Rename one of them.")
        seen.add(key)
