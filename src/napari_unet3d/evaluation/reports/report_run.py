"""What a report shows of a run folder: curves, settings, data and commands."""

from __future__ import annotations

import io
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from napari_unet3d.configs import EvaluationConfig, TrainingConfig
from napari_unet3d.configs.snippets import changed_settings, evaluation_snippet, predictions_command, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.figure import history_figure
from napari_unet3d.evaluation.reports.report_evaluation import data_uri
from napari_unet3d.formatting import format_duration
from napari_unet3d.runs.run_files import EvaluationFiles, RunFiles

_MOST_NAMES = 30


def describe_run(run: RunFiles) -> dict[str, Any]:
    """Return what `report.html.j2` shows of a run."""
    return {
        "started": str(run.environment.get("started", ""))[:10],
        "curves": _curves(run) if run.history else None,
        "settings": None if run.config is None else _settings(run.config),
        "data": [(label, str(value)) for label, value in _data(run) if value] if run.environment else [],
        "is_from_layers": run.config is not None and bool(run.environment) and run.dataset is None,
        "problems": run.problems,
    }


def reproducing_commands(run: RunFiles | None, evaluation: EvaluationFiles | None) -> list[str]:
    """Return the commands that train and evaluate again in the same way; none if the run was trained on layers.

    Without a run, return the command that evaluates the predictions of another tool again.
    """
    if run is None:
        return [] if evaluation is None else _commands_of_predictions(evaluation)
    if run.config is None or run.dataset is None:
        return []
    again = run.folder.with_name(f"{run.folder.absolute().name}-again")
    model = run.environment.get("start_from")
    start_from = Path(model) if isinstance(model, str) and model else None
    commands = [training_snippet(run.dataset, again, run.config, start_from=start_from).command]
    dataset = None if evaluation is None else evaluation.about.get("dataset")
    if evaluation is not None and isinstance(dataset, str) and dataset:
        config = _evaluation_config(evaluation)
        commands.append(evaluation_snippet(again, Path(dataset), again / "evaluation", config).command)
    return commands


def _commands_of_predictions(evaluation: EvaluationFiles) -> list[str]:
    predictions, dataset = evaluation.about.get("predictions"), evaluation.about.get("dataset")
    labels = evaluation.about.get("labels")
    if not (isinstance(predictions, str) and predictions and isinstance(dataset, str) and isinstance(labels, dict)):
        return []
    again = evaluation.folder.with_name(f"{evaluation.folder.absolute().name}-again")
    config = _evaluation_config(evaluation)
    return [predictions_command(Path(predictions), Path(dataset), again, labels, config)]


def _curves(run: RunFiles) -> str:
    drawing = io.BytesIO()
    history_figure(run.history).savefig(drawing, format="svg", metadata={"Date": None})
    return data_uri(drawing.getvalue(), "image/svg+xml")


def _settings(config: TrainingConfig) -> dict[str, list[dict[str, Any]]]:
    """Return the settings that differ from their defaults, and the others."""
    changed, defaults = changed_settings(config), TrainingConfig()

    def row(name: str, default: str | None) -> dict[str, Any]:
        description = TrainingConfig.model_fields[name].description or ""
        value = _text(getattr(config, name))
        return {"label": TrainingConfig.label_of(name), "description": description, "value": value, "default": default}

    return {
        "changed": [row(name, _text(getattr(defaults, name))) for name in changed],
        "unchanged": [row(name, None) for name in TrainingConfig.model_fields if name not in changed],
    }


def _data(run: RunFiles) -> list[tuple[str, Any]]:
    environment, versions = run.environment, run.environment.get("versions")
    return [
        ("Dataset", environment.get("dataset")),
        ("Started from", environment.get("start_from")),
        ("Training volumes", _names(environment.get("train"))),
        ("Validation volumes", _names(environment.get("validation"))),
        ("Split", environment.get("blocks") and "one block of the single volume for training, another for validation"),
        ("Device", environment.get("device")),
        ("System", environment.get("platform")),
        ("Time of all epochs", run.seconds and format_duration(run.seconds)),
        ("Started", environment.get("started")),
        (
            "Versions",
            isinstance(versions, dict) and ", ".join(f"{name} {version}" for name, version in versions.items()),
        ),
        *_plan(environment.get("plan")),
    ]


def _plan(plan: Any) -> list[tuple[str, Any]]:
    if not isinstance(plan, dict):
        return []
    patch, spacing, classes = plan.get("patch_zyx"), plan.get("spacing_um"), plan.get("classes")
    return [
        ("Patch", _times(patch, "voxels") if patch else "whole volumes"),
        ("Voxel size of the network", spacing and f"{_times(spacing, 'µm')} (z × y × x)"),
        (
            "Classes",
            isinstance(classes, list) and ", ".join(f"{each.get('value')} {each.get('name')}" for each in classes),
        ),
    ]


def _evaluation_config(evaluation: EvaluationFiles) -> EvaluationConfig:
    settings = evaluation.about.get("settings")
    try:
        return EvaluationConfig(**settings) if isinstance(settings, dict) else EvaluationConfig()
    except (UserError, TypeError):  # of another version
        return EvaluationConfig()


def _times(numbers: Iterable[Any], unit: str) -> str:
    return f"{' × '.join(f'{number:g}' for number in numbers)} {unit}"


def _names(names: Any) -> str:
    if not isinstance(names, list):
        return ""
    shown = ", ".join(map(str, names[:_MOST_NAMES]))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{len(names)}: {shown}{more}" if names else "none"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value.value if isinstance(value, Enum) else value)
