"""The file ``dataset.json`` of a dataset of nnU-Net: its channels, its labels and the format of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from napari_unet3d.data.formats.registry import readable_suffixes
from napari_unet3d.errors import UserError
from napari_unet3d.text_files import read_json_object

DESCRIPTION_FILE = "dataset.json"
BACKGROUND, IGNORE = "background", "ignore"
"""The names of the two labels that nnU-Net knows by their names."""
TIFF_READER = "Tiff3DIO"
"""The class of nnU-Net that reads 3D TIFF; by the file ending alone it would try one for 2D images first."""
WRITER = "napari-unet3d"
"""What `Description.converted_by` is in datasets that this package has written."""


class Description(BaseModel):
    """The part of ``dataset.json`` that says what the files are.

    Attributes
    ----------
    channel_names : dict of str to str
        Names of the channels by their numbers from 0, as text.
    labels : dict of str to int
        Label values by their names: background is 0, the classes follow without gaps, and ``ignore``, if there is
        one, is the highest.
    n_train : int
        Number of training cases.
    file_ending : str
        The suffix of all images and labels.
    reader : str or None
        Name of the class with which nnU-Net reads and writes the files.
    name, converted_by : str
        For people.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    channel_names: dict[str, str]
    labels: dict[str, StrictInt]
    n_train: StrictInt = Field(alias="numTraining")
    file_ending: str
    reader: str | None = Field(default=None, alias="overwrite_image_reader_writer")
    name: str = ""
    converted_by: str = ""

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels in their order."""
        return tuple(self.channel_names[str(number)] for number in range(len(self.channel_names)))

    @property
    def classes(self) -> dict[int, str]:
        """The names of the classes by their values."""
        return {value: name for name, value in self.labels.items() if name not in (BACKGROUND, IGNORE)}

    @property
    def ignore_label(self) -> int | None:
        """The label value of voxels that are not annotated."""
        return self.labels.get(IGNORE)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return self.model_dump(by_alias=True, exclude_none=True)


def read_description(dataset: Path) -> Description:
    """Read the ``dataset.json`` of a dataset of nnU-Net.

    Parameters
    ----------
    dataset : Path
        The folder, such as ``Dataset501_cells``.

    Raises
    ------
    UserError
        If it is missing or damaged, or describes something that cannot be read: regions, files that are listed one by
        one, the format of nnU-Net 1, or a file format that is not known.
    """
    file = dataset / DESCRIPTION_FILE
    content = read_json_object(file)
    _check_kind(file, content)
    try:
        found = Description.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise UserError(f"{file} is no description of a dataset of nnU-Net: {field}: {first['msg']}.") from None
    if sorted(found.channel_names) != sorted(map(str, range(len(found.channel_names)))) or not found.channel_names:
        raise UserError(f"{file} numbers its channels {', '.join(found.channel_names)}; number them from 0 on.")
    _check_labels(file, found)
    if found.file_ending.lower() not in readable_suffixes():
        raise UserError(
            f"{file} says that the files end in '{found.file_ending}'. 3D volumes that end in "
            f"{' '.join(readable_suffixes())} can be read; convert them first."
        )
    return found


def _check_kind(file: Path, content: dict[str, Any]) -> None:
    if "modality" in content and "channel_names" not in content:
        raise UserError(
            f"{file} is of nnU-Net 1 or of the Medical Segmentation Decathlon. Convert the dataset with "
            "nnUNetv2_convert_old_nnUNet_dataset or nnUNetv2_convert_MSD_dataset first."
        )
    if "dataset" in content:
        raise UserError(
            f"{file} lists the file of each case, which can be anywhere. Copy the files to imagesTr and labelsTr, and "
            "remove the entry dataset."
        )
    labels = content.get("labels")
    values = labels if isinstance(labels, dict) else {}
    if regions := [str(name) for name, value in values.items() if isinstance(value, list)]:
        raise UserError(
            f"{file} describes regions that are made of several labels ({', '.join(regions)}), and a voxel has one "
            "class here. Give each class a label of its own, and write one number for each."
        )


def _check_labels(file: Path, found: Description) -> None:
    values = sorted(found.labels.values())
    if found.labels.get(BACKGROUND) != 0 or values != list(range(len(values))):
        listed = ", ".join(f"{name}: {value}" for name, value in found.labels.items())
        raise UserError(
            f"{file} has the labels {listed}. Background must be 0 and the others 1, 2, … without gaps, as nnU-Net "
            "demands it, too."
        )
    if found.ignore_label not in (None, values[-1]):
        raise UserError(
            f"{file} has the ignore label {found.ignore_label}, which must be the highest, {values[-1]}, as nnU-Net "
            "demands it, too."
        )
