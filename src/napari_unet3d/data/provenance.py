"""Where a corrected volume comes from: written beside its mask, so that it can be told later and never validates."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_unet3d.errors import UserError, explain_os_errors


class CorrectionRecord(BaseModel):
    """One place that was corrected.

    Attributes
    ----------
    kind : str
        Kind of the error, such as ``missed``; empty where a place was chosen by hand.
    number : int
        Number of the error in the list that it was found in; 0 for a place chosen by hand.
    taken : str
        Whose labels hold there: ``truth``, ``prediction`` or ``painted``.
    position_zyx : tuple of int
        A voxel of it, in voxels of the volume it was found in.
    volume_um3 : float
        Size of the error in µm³.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = ""
    number: int = 0
    source: str = ""
    position_zyx: tuple[int, int, int] = (0, 0, 0)
    volume_um3: float = 0.0


class Provenance(BaseModel):
    """The volume that a corrected one was cut from, and what was corrected in it.

    Attributes
    ----------
    volume : str
        Name of the volume that was predicted.
    part : str
        Part of the dataset that this volume belongs to, ``train`` or ``test``; empty when it belongs to none.
    start_zyx : tuple of int
        First voxel (z, y, x) of the corrected volume in it.
    run : str
        Folder of the run whose model had made the errors; empty when that is not known.
    made : str
        When, in ISO 8601.
    elsewhere : str
        What the prediction counts as away from the corrected places: ``ignore`` or ``accept``.
    places : tuple of CorrectionRecord
        What was corrected.
    """

    model_config = ConfigDict(frozen=True)

    volume: str
    subset: str = ""
    start_zyx: tuple[int, int, int] = (0, 0, 0)
    run: str = ""
    made: str = ""
    unedited_regions: str = ""
    corrections: tuple[CorrectionRecord, ...] = ()


def read_provenance(file: Path) -> Provenance | None:
    """Read where a corrected volume comes from; None when there is no such file.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    with explain_os_errors(file, "read"):
        if not file.exists():
            return None
        content = file.read_bytes()
    try:
        return Provenance(**json.loads(content))
    except (ValidationError, ValueError, TypeError, RecursionError):
        raise UserError(
            f"{file} does not say which volume was corrected: it is damaged. Add the corrections again, or remove the "
            "file to train on the volume like any other."
        ) from None
