"""Windows of the Train dock: the issues that a check found, each with its severity, and the model summary."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QFontMetrics
from qtpy.QtWidgets import QGridLayout, QLabel, QPlainTextEdit, QScrollArea, QWidget

from napari_unet3d.data.checks import Issue, Severity
from napari_unet3d.training.events import Preflight
from napari_unet3d.widgets.components.window import PluginWindow

_CHIP = "QLabel {{ border-radius: 3px; padding: 2px 6px; color: white; background-color: {background}; }}"
# White text on each of them can be read in every theme.
_BACKGROUNDS = {Severity.ERROR: "#8c1d18", Severity.WARNING: "#6b4e00", Severity.INFO: "#4a5563"}
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


class IssuesWindow(PluginWindow):
    """Shows the issues of a `Preflight`: errors first, then warnings, then information.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    preflight : Preflight
        The result of the check.
    """

    def __init__(self, parent: QWidget, preflight: Preflight) -> None:
        self.verdict = QLabel(verdict(preflight))
        self.verdict.setWordWrap(True)
        self.verdict.setStyleSheet("QLabel { font-weight: bold; padding: 2px; }")
        self.issues = [issue for severity in _ORDER for issue in preflight.of(severity)]
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(_table(self.issues))
        super().__init__(parent, "Check before training", self.verdict, scroll)
        self.resize(620, min(560, 140 + 52 * len(self.issues)))


def verdict(preflight: Preflight) -> str:
    """Return in one sentence whether a training can start."""
    n_errors, n_warnings = (len(preflight.of(severity)) for severity in (Severity.ERROR, Severity.WARNING))
    if n_errors:
        return f"Training cannot start: {_count(n_errors, 'error')}, {_count(n_warnings, 'warning')}."
    return f"Training can start, with {_count(n_warnings, 'warning')}." if n_warnings else "Training can start."


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _table(issues: Sequence[Issue]) -> QWidget:
    table = QWidget()
    grid = QGridLayout(table)
    grid.setVerticalSpacing(10)
    grid.setColumnStretch(1, 1)
    for row, issue in enumerate(issues):
        chip, message = QLabel(issue.severity.label), QLabel(issue.message)
        chip.setStyleSheet(_CHIP.format(background=_BACKGROUNDS[issue.severity]))
        chip.setAlignment(Qt.AlignmentFlag.AlignCenter)
        message.setWordWrap(True)
        message.setTextFormat(Qt.TextFormat.PlainText)  # a name may look like markup
        message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid.addWidget(chip, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(message, row, 1, Qt.AlignmentFlag.AlignTop)
    grid.setRowStretch(len(issues), 1)
    return table


class SummaryWindow(PluginWindow):
    """Shows a `ModelSummary` in a font of fixed width.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    text : str
        The summary.
    """

    def __init__(self, parent: QWidget, text: str) -> None:
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSize(10)
        # napari's style sheet would replace a font that is only set
        self.text.setStyleSheet(f"QPlainTextEdit {{ font-family: '{font.family()}'; font-size: 10pt; }}")
        super().__init__(parent, "Model summary", self.text)
        widest = max((len(line) for line in text.splitlines()), default=0)
        self.resize(min(1100, 80 + QFontMetrics(font).horizontalAdvance("0" * widest)), 560)
