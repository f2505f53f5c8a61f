"""The text files of a run folder and of an evaluation folder, read as far as they exist and are valid."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.files import CONFIG_FILE, ENVIRONMENT_FILE, EVALUATION_FILE, HISTORY_FILE
from napari_unet3d.paths import exists, is_file
from napari_unet3d.runs.file_fields import EnvironmentFields, EvaluationFields, ScoreFields, fitting_fields
from napari_unet3d.runs.history import EpochRecord, records_in
from napari_unet3d.text_files import parse_csv, parse_json, read_json_object, read_limited

PROGRAM = "napari-unet3d"
_MAX_SECONDS = 1e9
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The text files of a run.

    Attributes
    ----------
    folder : Path
        The run folder.
    config : TrainingConfig or None
        The settings; None if they are missing or cannot be read.
    environment : dict
        Versions, device, data and plan; empty if the file is missing.
    history : tuple of EpochRecord
        Losses and Dice of the epochs.
    seconds : float
        Duration of all epochs.
    problems : tuple of str
        A sentence on each file that is missing or damaged.
    """

    folder: Path
    config: TrainingConfig | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    history: tuple[EpochRecord, ...] = ()
    seconds: float = 0.0
    problems: tuple[str, ...] = ()

    @property
    def dataset(self) -> Path | None:
        """The dataset folder that it was trained on; None if it was trained on layers, or this is not known."""
        dataset = self.environment.get("dataset")
        return Path(dataset) if isinstance(dataset, str) and dataset not in ("", "layers") else None


def is_copy_of_layers(dataset: Path, run: Path) -> bool:
    """Return whether a dataset folder is in a run folder: layers were written there for a training process."""
    return dataset.absolute().parent == run.absolute()


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """The text files of an evaluation.

    Attributes
    ----------
    folder : Path
        The folder of the evaluation.
    about : dict
        Model, dataset, settings and versions of ``evaluation.json``.
    volumes : tuple of dict
        Scores of each volume, as in ``metrics.json``.
    mean : dict
        The mean of the scores.
    errors : tuple of dict of str to str
        The rows of ``errors.csv``, the largest first.
    problems : tuple of str
        A sentence on each file that is missing or damaged.
    """

    folder: Path
    about: dict[str, Any]
    volumes: tuple[dict[str, Any], ...]
    mean: dict[str, Any]
    errors: tuple[dict[str, str], ...]
    problems: tuple[str, ...]


def read_run_files(folder: Path) -> RunFiles:
    """Read the text files of a run folder.

    Raises
    ------
    UserError
        If it has none of the files of a run.
    """
    names = (CONFIG_FILE, ENVIRONMENT_FILE, HISTORY_FILE)
    if not any(is_file(folder / name) for name in names):
        raise UserError(f"{folder} is no run folder: it has no {', '.join(names)}. Choose the folder of a training.")
    problems: list[str] = []
    config = _attempt(_config, folder / CONFIG_FILE, problems)
    environment = _attempt(_json, folder / ENVIRONMENT_FILE, problems)
    if environment:
        environment = fitting_fields(environment, EnvironmentFields, ENVIRONMENT_FILE, problems)
    history = _attempt(_history, folder / HISTORY_FILE, problems)
    records, seconds = history or ((), 0.0)
    return RunFiles(folder, config, environment or {}, records, seconds, tuple(problems))


def is_evaluation(folder: Path) -> bool:
    """Return whether a folder contains an evaluation, complete or not."""
    try:
        versions = read_json_object(folder / EVALUATION_FILE).get("versions")
    except UserError:
        return False
    return isinstance(versions, dict) and PROGRAM in versions


def names_of_evaluation(folder: Path) -> frozenset[str]:
    """Return the names of the volumes of an evaluation, also of those that it was stopped before."""
    files: list[dict[str, Any]] = []
    for name in (EVALUATION_FILE, "metrics.json"):
        with suppress(UserError):
            files.append(read_json_object(folder / name))
    volumes = [each for file in files for each in _list(file.get("volumes"))]
    return frozenset(str(each.get("name") if isinstance(each, dict) else each) for each in volumes)


def read_evaluation_files(folder: Path) -> EvaluationFiles:
    """Read the text files of an evaluation folder.

    Raises
    ------
    UserError
        If it has no metrics.
    """
    if not is_file(folder / "metrics.json"):
        raise UserError(
            f"{folder} is no evaluation folder: it has no metrics.json. Choose a folder that evaluate wrote."
        )
    problems: list[str] = []
    metrics = _attempt(_metrics, folder / "metrics.json", problems)
    about = _attempt(_json, folder / EVALUATION_FILE, problems)
    if about:
        about = fitting_fields(about, EvaluationFields, EVALUATION_FILE, problems)
    errors = _attempt(_errors, folder / "errors.csv", problems)
    volumes, mean = metrics or ((), {})
    volumes = tuple(fitting_fields(each, ScoreFields, f"metrics.json, '{each['name']}'", problems) for each in volumes)
    mean = fitting_fields(mean, ScoreFields, "metrics.json, mean", problems)
    n_volumes = len(_list(about.get("volumes"))) if about else 0
    if n_volumes > len(volumes):
        problems.append(f"The evaluation was stopped after {len(volumes)} of {n_volumes} volumes.")
    return EvaluationFiles(folder, about or {}, volumes, mean, errors or (), tuple(problems))


def _attempt(read: Callable[[Path], T], path: Path, problems: list[str]) -> T | None:
    """Read a file; add a sentence to the problems if it is missing or damaged."""
    if not exists(path):
        problems.append(f"{path.name} is missing.")
        return None
    try:
        return read(path)
    except (ValueError, TypeError, KeyError, OverflowError, UserError) as error:
        problems.append(f"{path.name} cannot be read ({error}).")
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _json(path: Path) -> dict[str, Any]:
    content = parse_json(read_limited(path))
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content


def _config(path: Path) -> TrainingConfig:
    return TrainingConfig(**_json(path))


def _history(path: Path) -> tuple[tuple[EpochRecord, ...], float]:
    rows = parse_csv(read_limited(path))
    seconds = [float(row.get("seconds") or 0) for row in rows]
    return records_in(rows), math.fsum(each for each in seconds if 0 <= each < _MAX_SECONDS)


def _metrics(path: Path) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    content = _json(path)
    volumes, mean = _list(content["volumes"]), content["mean"]
    if not isinstance(mean, dict) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in volumes
    ):
        raise ValueError("its volumes have no names")
    return tuple(volumes), mean


def _errors(path: Path) -> tuple[dict[str, str], ...]:
    return tuple(sorted(parse_csv(read_limited(path)), key=lambda row: -float(row["error_volume"])))
