"""What the Train dock offers before a training: Check, model summary, and the run as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QFontMetrics
from qtpy.QtWidgets import QGridLayout, QLabel, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.slurm import SlurmConfig, slurm_script
from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.errors import UserError
from napari_unet3d.session.launchers import program
from napari_unet3d.session.training_job import TrainingRequest, check, summarise_for
from napari_unet3d.training.events import Preflight
from napari_unet3d.widgets.components.action_menu import ActionMenu
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.copy_run import CopyMenu
from napari_unet3d.widgets.components.dialogs import PluginWindow
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.train.augmentation_preview import SHOW_TOOLTIP, AugmentationPreview
from napari_unet3d.widgets.train.remedy_buttons import RemedyButton

_CHIP = "QLabel {{ border-radius: 3px; padding: 2px 6px; color: white; background-color: {background}; }}"
# White text on each of them can be read in every theme.
_BACKGROUNDS = {Severity.ERROR: "#8c1d18", Severity.WARNING: "#6b4e00", Severity.INFO: "#4a5563"}
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_CHECK, _SUMMARY = "Check", "Model summary"


class IssuesWindow(PluginWindow):
    """Shows the issues of a `Preflight`: errors first, then warnings, then information.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    preflight : Preflight
        The result of the check.
    settings : ConfigForm of TrainingConfig, optional
        The settings, to apply remedies to; without them, none is offered.
    """

    def __init__(
        self, parent: QWidget, preflight: Preflight, settings: ConfigForm[TrainingConfig] | None = None
    ) -> None:
        self.verdict = QLabel(verdict(preflight))
        self.verdict.setWordWrap(True)
        self.verdict.setStyleSheet("QLabel { font-weight: bold; padding: 2px; }")
        self.issues = [issue for severity in _ORDER for issue in preflight.of(severity)]
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(_table(self.issues, settings))
        super().__init__(parent, "Check before training", self.verdict, scroll)
        self.resize(680, min(560, 140 + 52 * len(self.issues)))


def verdict(preflight: Preflight) -> str:
    """Return in one sentence whether a training can start."""
    n_errors, n_warnings = (len(preflight.of(severity)) for severity in (Severity.ERROR, Severity.WARNING))
    if n_errors:
        return f"Training cannot start: {_count(n_errors, 'error')}, {_count(n_warnings, 'warning')}."
    return f"Training can start, with {_count(n_warnings, 'warning')}." if n_warnings else "Training can start."


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _table(issues: Sequence[Issue], settings: ConfigForm[TrainingConfig] | None) -> QWidget:
    table = QWidget()
    grid = QGridLayout(table)
    grid.setVerticalSpacing(10)
    grid.setColumnStretch(1, 1)
    for line, issue in enumerate(issues):
        chip, message = QLabel(issue.severity.label), QLabel(issue.message)
        chip.setStyleSheet(_CHIP.format(background=_BACKGROUNDS[issue.severity]))
        chip.setAlignment(Qt.AlignmentFlag.AlignCenter)
        message.setWordWrap(True)
        message.setTextFormat(Qt.TextFormat.PlainText)  # a name may look like markup
        message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid.addWidget(chip, line, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(message, line, 1, Qt.AlignmentFlag.AlignTop)
        if settings is not None and issue.remedies:
            buttons = QVBoxLayout()
            for remedy in issue.remedies:
                buttons.addWidget(RemedyButton(remedy, settings, is_only=len(issue.remedies) == 1))
            buttons.addStretch(1)
            grid.addLayout(buttons, line, 2)
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


class PreRunActions:
    """Entries of the menu of the dock: a check, the summary of the network, augmented patches, and the run as text.

    Parameters
    ----------
    context : Context
        Jobs and message line.
    menu : ActionMenu
        The menu.
    request : callable
        Returns what would be trained; it raises a `UserError` when something is missing.
    draft : callable
        Returns the same, but without data where there is none.
    settings : ConfigForm of TrainingConfig
        The settings, to apply remedies to.
    slurm : ConfigForm of SlurmConfig
        What a job of Slurm is given.

    Attributes
    ----------
    check_action, summary_action, patches_action : QAction
    copy_menu : CopyMenu
    augmented : AugmentationPreview
        Buttons that are shown with the augmented patches.
    """

    def __init__(
        self,
        context: Context,
        menu: ActionMenu,
        request: Callable[[], TrainingRequest],
        draft: Callable[[], TrainingRequest],
        settings: ConfigForm[TrainingConfig],
        slurm: ConfigForm[SlurmConfig],
    ) -> None:
        self._slurm = slurm
        self._message, self._request, self._draft, self._settings = context.message, request, draft, settings
        self._parent, self._busy_text = menu.native, ""
        self.augmented = AugmentationPreview(context, request)
        tooltip = "What is wrong or could be better, what a step sees, and how long it takes."
        self.check_action = menu.add(_CHECK, tooltip, self.check)
        tooltip = "Layers, shapes, parameters and memory of this network."
        self.summary_action = menu.add(_SUMMARY, tooltip, self.summarise)
        self.patches_action = menu.add("Show augmented patches", SHOW_TOOLTIP, self.augmented.show_patches)
        self.copy_menu = CopyMenu(menu.menu, context.message, self._snippet, self._slurm_script)
        menu.menu.addMenu(self.copy_menu)
        self._check, self._summary = (context.latest_only(self._parent, kind) for kind in ("check", "summary"))
        for work in (self._check, self._summary):
            work.settled.connect(self._show_state)

    def check(self) -> None:
        """Check data and settings, and show what was found in a window."""
        with self._message.explaining():
            self._check.request(_CHECK, partial(check, self._request()), self._on_checked)
            self._show_state("Checking data and settings …")

    def summarise(self) -> None:
        """Show layers, parameters and memory of the network in a window."""
        with self._message.explaining():
            self._summary.request(_SUMMARY, partial(summarise_for, self._draft()), self._on_summary)
            self._show_state("Setting up the network …")

    def _snippet(self) -> RunSnippet:
        request = self._request()
        data = _folder_of(request)
        return training_snippet(data, request.run_folder, request.config, start_from=request.start_from)

    def _slurm_script(self) -> str:
        request, job = self._request(), self._slurm.value
        data = _folder_of(request)
        return slurm_script(
            data, request.run_folder, request.config, job, start_from=request.start_from, program=program()
        )

    def _on_checked(self, event: Any) -> None:
        if isinstance(event, Preflight):
            IssuesWindow(self._parent, event, self._settings).show()

    def _on_summary(self, summary: Any) -> None:
        SummaryWindow(self._parent, summary.text).show()

    def _show_state(self, busy: str = "") -> None:
        """Disable what is being done; say so, since the menu is closed, and take it back when it is done."""
        works = ((self._check, self.check_action), (self._summary, self.summary_action))
        for work, action in works:
            action.setEnabled(not work.is_busy)
        if busy:
            self._busy_text = busy
            self._message.show_message(busy)
        elif self._message.text() == self._busy_text and not any(work.is_busy for work, _ in works):
            self._message.clear()


def _folder_of(request: TrainingRequest) -> Path:
    if isinstance(request.data, Path):
        return request.data
    raise UserError(
        "A command cannot refer to layers. Add them to a dataset folder (dock Dataset, 'Add to training set'), "
        "choose that folder above, and copy again."
    )
