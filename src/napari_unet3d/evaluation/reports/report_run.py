"""The parts of a report that come from the run folder: curves, settings, data and command."""

from __future__ import annotations

import io
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from napari_unet3d.configs import Config, EvaluationConfig, TrainingConfig
from napari_unet3d.configs.snippets import changed_settings, evaluation_snippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.figure import history_figure
from napari_unet3d.evaluation.reports.html_parts import Html, paragraph, picture, section, table, text
from napari_unet3d.formatting import format_duration
from napari_unet3d.runs.run_files import EvaluationFiles, RunFiles

_MOST_NAMES = 30


def curves_section(run: RunFiles) -> str:
    """Show losses and Dice over the epochs."""
    if not run.history:
        return section("Training", paragraph("No epoch was finished.", "soft")) if not run.problems else ""
    drawing = io.BytesIO()
    history_figure(run.history).savefig(drawing, format="svg", metadata={"Date": None})
    words = "Training and validation loss, and validation Dice, over the epochs"
    return section("Training", picture(drawing.getvalue(), ".svg", words))


def settings_section(run: RunFiles) -> str:
    """List the settings: those that differ from their defaults, then the rest."""
    if run.config is None:
        return ""
    changed, defaults = changed_settings(run.config), TrainingConfig()
    differing = [
        [_label(run.config, name), _value(value), _value(getattr(defaults, name))] for name, value in changed.items()
    ]
    rest = [
        [_label(run.config, name), _value(getattr(run.config, name))]
        for name in type(run.config).model_fields
        if name not in changed
    ]
    parts = (
        [table(["Setting", "Value", "Default"], differing)] if differing else [paragraph("All are at the defaults.")]
    )
    parts.append(f"<details><summary>{len(rest)} settings at their defaults</summary>{table([], rest)}</details>")
    return section("Settings", *parts)


def data_section(run: RunFiles) -> str:
    """Tell what was learnt from, on what, with which versions."""
    environment = run.environment
    if not environment:
        return ""
    rows: list[tuple[str, Any]] = [("Dataset", environment.get("dataset"))]
    rows.append(("Started from", environment.get("start_from")))
    for key, what in (("train", "Training volumes"), ("validation", "Validation volumes")):
        if isinstance(names := environment.get(key), list):
            rows.append((what, _names(names)))
    if environment.get("blocks"):
        rows.append(("Split", "one block of the single volume trained, another validated"))
    rows += [("Device", environment.get("device")), ("System", environment.get("platform"))]
    if run.seconds:
        rows.append(("Time of all epochs", format_duration(run.seconds)))
    rows.append(("Started", environment.get("started")))
    if isinstance(versions := environment.get("versions"), dict):
        rows.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    rows += _plan_rows(environment.get("plan"))
    return section("Data and machine", table([], [row for row in rows if row[1]]))


def command_section(run: RunFiles, evaluation: EvaluationFiles | None) -> str:
    """Return the commands that do the same again."""
    if run.config is None:
        return ""
    if run.dataset is None:
        words = "It learnt from layers of the viewer, so no command repeats it."
        return section("Do it again", paragraph(words)) if run.environment else ""
    again = run.folder.with_name(f"{run.folder.absolute().name}-again")
    model = run.environment.get("start_from")
    start_from = Path(model) if isinstance(model, str) and model else None
    commands = [training_snippet(run.dataset, again, run.config, start_from=start_from).command]
    if (dataset := _text(evaluation, "dataset")) and evaluation is not None:
        config = _evaluation_config(evaluation)
        commands.append(evaluation_snippet(again, Path(dataset), again / "evaluation", config).command)
    words = "The paths are those of the computer that it was made on."
    return section("Do it again", f"<pre>{text(chr(10).join(commands))}</pre>", paragraph(words, "soft"))


def _evaluation_config(evaluation: EvaluationFiles) -> EvaluationConfig:
    settings = evaluation.about.get("settings")
    try:
        return EvaluationConfig(**settings) if isinstance(settings, dict) else EvaluationConfig()
    except (UserError, TypeError):  # of another version
        return EvaluationConfig()


def _text(evaluation: EvaluationFiles | None, key: str) -> str:
    value = evaluation.about.get(key) if evaluation is not None else None
    return value if isinstance(value, str) else ""


def _plan_rows(plan: Any) -> list[tuple[str, Any]]:
    if not isinstance(plan, dict):
        return []
    patch, spacing = plan.get("patch_zyx"), plan.get("spacing_um")
    rows: list[tuple[str, Any]] = [("A step saw", _times(patch, "voxels") if patch else "whole volumes")]
    if spacing:
        rows.append(("Voxel size of the network", f"{_times(spacing, 'µm')} (z × y × x)"))
    if isinstance(classes := plan.get("classes"), list) and classes:
        rows.append(("Classes", ", ".join(f"{each.get('value')} {each.get('name')}" for each in classes)))
    return rows


def _times(numbers: Iterable[Any], unit: str) -> str:
    return f"{' × '.join(f'{number:g}' for number in numbers)} {unit}"


def _names(names: list[Any]) -> str:
    shown = ", ".join(map(str, names[:_MOST_NAMES]))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{len(names)}: {shown}{more}" if names else "none"


def _label(config: Config, name: str) -> Html:
    words = type(config).label_of(name)
    return Html(f'<span title="{text(type(config).model_fields[name].description or "")}">{text(words)}</span>')


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value.value if isinstance(value, Enum) else value)
