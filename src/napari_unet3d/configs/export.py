"""Settings of the export of a model for other programs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from napari_unet3d.configs.base import LabelledEnum, as_tuple, setting
from napari_unet3d.configs.prediction import PostProcessing
from napari_unet3d.errors import UserError

ABOUT = "About the model"
"""The group of what is written about the model."""


class ExportFormat(LabelledEnum):
    """Which other programs a model is written for, with its name in menus."""

    ONNX = ("onnx", "ONNX")
    TORCH_EXPORT = ("torch-export", "PyTorch (torch.export)")
    MONAI_BUNDLE = ("monai-bundle", "MONAI bundle")
    BIOIMAGEIO = ("bioimageio", "bioimage.io")


class ExportConfig(PostProcessing):
    """What is written about an exported model; the post-processing goes into its documentation."""

    name: str = setting("", "Name of the model; without it, that of the run folder.", group=ABOUT)
    description: str = setting("", "What it segments, in which images; one or two sentences.", group=ABOUT)
    authors: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = setting(
        (), "Names of the people who made the model.", group=ABOUT
    )
    license: str = setting(
        "",
        "Licence under which the model is passed on, as an SPDX identifier such as CC-BY-4.0; it is yours to choose, "
        "and without one nothing is written about it.",
        group=ABOUT,
    )
    citation: str = setting("", "Publication to cite, with its DOI if it has one.", group=ABOUT)

    def check_for(self, to: ExportFormat) -> None:
        """Raise a `UserError` if the format needs something to be written about the model that is not given."""
        missing = [name for name in ("license", "authors") if not getattr(self, name)]
        if to is ExportFormat.BIOIMAGEIO and missing:
            raise UserError(
                f"bioimage.io needs {' and '.join(missing)} of the model, which are yours to give. A usual license is "
                "CC-BY-4.0."
            )
