"""What a run folder and an evaluation folder tell without their models: plain text files, read as far as they go."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.files import CONFIG_FILE, ENVIRONMENT_FILE, EVALUATION_FILE, HISTORY_FILE
from napari_unet3d.runs.history import EpochRecord, records_in

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A run as its files tell it.

    Attributes
    ----------
    folder : Path
        The run folder.
    config : TrainingConfig or None
        The settings; None when they are missing or cannot be read.
    environment : dict
        Versions, device, data and plan; empty when the file is missing.
    history : tuple of EpochRecord
        Losses and Dice of the epochs.
    seconds : float
        How long all epochs took.
    gaps : tuple of str
        A sentence on each file that is missing or broken.
    """

    folder: Path
    config: TrainingConfig | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    history: tuple[EpochRecord, ...] = ()
    seconds: float = 0.0
    problems: tuple[str, ...] = ()

    @property
    def dataset(self) -> Path | None:
        """The dataset folder that it learnt from; None when it learnt from layers, or that is not known."""
        words = self.environment.get("dataset")
        return Path(words) if isinstance(words, str) and words not in ("", "layers") else None


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """An evaluation as its files tell it.

    Attributes
    ----------
    folder : Path
        The folder of the evaluation.
    about : dict
        Model, dataset, settings and versions of ``evaluation.json``.
    volumes : tuple of dict
        Scores of each volume, as in ``metrics.json``.
    mean : dict
        Their mean.
    errors : tuple of dict of str to str
        The rows of ``errors.csv``, the largest first.
    gaps : tuple of str
        A sentence on each file that is missing or broken.
    """

    folder: Path
    about: dict[str, Any]
    volumes: tuple[dict[str, Any], ...]
    mean: dict[str, Any]
    errors: tuple[dict[str, str], ...]
    problems: tuple[str, ...]


def read_run_files(folder: Path) -> RunFiles:
    """Read what a run folder tells.

    Raises
    ------
    UserError
        When nothing in it is of a run.
    """
    names = (CONFIG_FILE, ENVIRONMENT_FILE, HISTORY_FILE)
    if not any((folder / name).is_file() for name in names):
        raise UserError(f"{folder} is no run folder: it has no {', '.join(names)}. Choose the folder of a training.")
    gaps: list[str] = []
    config = _attempt(_config, folder / CONFIG_FILE, gaps)
    environment = _attempt(_json, folder / ENVIRONMENT_FILE, gaps)
    history = _attempt(_history, folder / HISTORY_FILE, gaps)
    records, seconds = history or ((), 0.0)
    return RunFiles(folder, config, environment or {}, records, seconds, tuple(gaps))


def read_evaluation_files(folder: Path) -> EvaluationFiles:
    """Read what an evaluation folder tells.

    Raises
    ------
    UserError
        When it holds no metrics.
    """
    if not (folder / "metrics.json").is_file():
        raise UserError(f"{folder} holds no evaluation: it has no metrics.json. Choose a folder that evaluate wrote.")
    gaps: list[str] = []
    metrics = _attempt(_metrics, folder / "metrics.json", gaps)
    about = _attempt(_json, folder / EVALUATION_FILE, gaps)
    errors = _attempt(_errors, folder / "errors.csv", gaps)
    volumes, mean = metrics or ((), {})
    return EvaluationFiles(folder, about or {}, volumes, mean, errors or (), tuple(gaps))


def _attempt(read: Callable[[Path], T], path: Path, gaps: list[str]) -> T | None:
    """Read a file; one that is missing or broken becomes a sentence instead of an end of the report."""
    try:
        return read(path)
    except FileNotFoundError:
        gaps.append(f"{path.name} is missing.")
    except (OSError, ValueError, TypeError, KeyError, UserError) as error:
        gaps.append(f"{path.name} cannot be read ({error}).")
    return None


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it holds no names and values")
    return content


def _config(path: Path) -> TrainingConfig:
    return TrainingConfig(**_json(path))


def _history(path: Path) -> tuple[tuple[EpochRecord, ...], float]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return records_in(rows), math.fsum(float(row.get("seconds") or 0) for row in rows)


def _metrics(path: Path) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    content = _json(path)
    volumes, mean = content["volumes"], content["mean"]
    if not isinstance(mean, dict) or not all(isinstance(each, dict) and "name" in each for each in volumes):
        raise ValueError("its volumes have no names")
    return tuple(volumes), mean


def _errors(path: Path) -> tuple[dict[str, str], ...]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(sorted(rows, key=lambda row: -float(row["volume_um3"])))
