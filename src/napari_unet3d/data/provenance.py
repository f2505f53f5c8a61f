"""The provenance of corrected volumes, saved next to their masks."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from napari_unet3d.data.intensities import WholeIntensities
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.paths import exists
from napari_unet3d.text_files import parse_json, read_limited


class CorrectionRecord(BaseModel):
    """One corrected region.

    Attributes
    ----------
    kind : str
        Kind of the error, such as ``missed``; empty if the region was chosen by hand.
    number : int
        Number of the error in the list of errors; 0 if the region was chosen by hand.
    source : str
        Where its labels come from: ``truth``, ``prediction`` or ``painted``.
    position_zyx : tuple of int
        A voxel of the region in the predicted volume.
    volume : float
        Size of the error.
    volume_unit : str
        Its unit: ``µm³``, or ``voxels`` where the voxel size is unknown; empty if the region was chosen by hand.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = ""
    number: int = 0
    source: str = ""
    position_zyx: tuple[int, int, int] = (0, 0, 0)
    volume: float = 0.0
    volume_unit: str = ""


class Provenance(BaseModel):
    """The volume that a corrected one was cropped from, and its corrections.

    Attributes
    ----------
    volume : str
        Name of the predicted volume.
    subset : str
        Subset of the dataset that this volume belongs to, ``train`` or ``test``; empty if it is in no dataset.
    start_zyx : tuple of int
        First voxel (z, y, x) of the crop.
    run : str
        Folder of the run whose model was used; empty if unknown.
    made : str
        Date and time in ISO 8601.
    unedited_regions : str
        How the prediction outside the corrected regions is used: ``ignore`` or ``accept``.
    corrections : tuple of CorrectionRecord
        The corrected regions.
    intensities : IntensityStatistics or None
        Intensities of the whole predicted volume, by which the crop is normalised; None if they are unknown, so that it
        is normalised by its own.
    """

    model_config = ConfigDict(frozen=True)

    volume: str
    subset: str = ""
    start_zyx: tuple[int, int, int] = (0, 0, 0)
    run: str = ""
    made: str = ""
    unedited_regions: str = ""
    corrections: tuple[CorrectionRecord, ...] = ()
    intensities: WholeIntensities | None = None


def read_provenance(file: Path) -> Provenance | None:
    """Read the provenance of a corrected volume; None if the file does not exist.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    with explain_os_errors(file, "read"):
        if not exists(file):
            return None
    content = read_limited(file)
    try:
        return Provenance(**parse_json(content))
    except (ValueError, TypeError):  # pydantic's errors are ValueErrors
        raise UserError(
            f"{file} does not say which volume was corrected: it is damaged. Add the corrections again, or remove the "
            "file to train on the volume like any other."
        ) from None
