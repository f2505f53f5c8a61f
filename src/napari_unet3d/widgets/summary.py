"""The window with the summary of a network: layers, shapes, parameters and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QFontMetrics
from qtpy.QtWidgets import QDialog, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Part, list_pairs, read_pair
from napari_unet3d.data.sample import Sample, Shape3D

if TYPE_CHECKING:
    from napari_unet3d.model.network import ModelSummary


def summarise_for(data: Path | Sequence[Sample] | None, config: TrainingConfig) -> Iterator[ModelSummary]:
    """Summarise the network for the first training volume; it imports torch, so run it in a job.

    Parameters
    ----------
    data : Path, sequence of Sample or None
        A dataset folder, volumes, or None for the summary's own size.
    config : TrainingConfig
        The network.

    Raises
    ------
    UserError
        When the dataset cannot be read or the network cannot be built.
    """
    from napari_unet3d.model.network import summarise

    yield summarise(config, _first_shape(data))


def _first_shape(data: Path | Sequence[Sample] | None) -> Shape3D | None:
    if isinstance(data, Path):
        pair = next((pair for pair in list_pairs(data, Part.TRAIN) if None not in (pair.image, pair.labels)), None)
        return None if pair is None else read_pair(pair).shape
    return data[0].shape if data else None


class SummaryWindow(QDialog):
    """Shows a `ModelSummary` in a font whose columns stand in line, beside the viewer.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    text : str
        What to show.
    """

    def __init__(self, parent: QWidget, text: str) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Model summary")
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSize(10)
        # napari's style sheet would replace a font that is only set
        self.text.setStyleSheet(f"QPlainTextEdit {{ font-family: '{font.family()}'; font-size: 10pt; }}")
        close_button = QPushButton("Close")
        close_button.clicked.connect(self.close)
        column = QVBoxLayout(self)
        column.addWidget(self.text)
        column.addWidget(close_button, alignment=Qt.AlignmentFlag.AlignRight)
        widest = max((len(line) for line in text.splitlines()), default=0)
        self.resize(min(1100, 80 + QFontMetrics(font).horizontalAdvance("0" * widest)), 560)
