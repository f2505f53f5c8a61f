"""What the JSON files of runs and evaluations should hold; values of other types are left out by name."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

Row = dict[str, Any]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class PlanFields(_Fields):
    """The plan of a run, as far as reports show it."""

    patch_zyx: list[int] | None = None
    spacing_um: list[float] | None = None
    classes: list[Row] = []


class EnvironmentFields(_Fields):
    """``environment.json`` of a run."""

    started: str = ""
    versions: dict[str, str] = {}
    platform: str = ""
    plan: PlanFields | None = None
    device: str = ""
    dataset: str | None = None
    start_from: str | None = None
    train: list[str] = []
    validation: list[str] = []
    blocks: list[Any] = []


class EvaluationFields(_Fields):
    """``evaluation.json`` of an evaluation."""

    versions: dict[str, str] = {}
    dataset: str | None = None
    predictions: str | None = None
    epoch: int | None = None
    settings: Row = {}
    tolerances: dict[str, float] = {}
    labels: Row | None = None
    volumes: list[str] = []


class ScoreFields(_Fields):
    """Scores of a volume, or their mean, in ``metrics.json``."""

    name: str = ""
    distance_unit: str | None = None
    classes: list[Row] = []
    instances: Row | None = None
    left_out: dict[str, int] = {}


def fitting_fields(content: Row, fields: type[BaseModel], name: str, problems: list[str]) -> Row:
    """Return the values of a JSON object without those of a wrong type, which are named in a sentence.

    Parameters
    ----------
    content : dict
        The parsed object.
    fields : type
        One of the models above; names that it does not have are kept.
    name : str
        The file, for the sentence.
    problems : list of str
        The sentence is appended to it.
    """
    try:
        fields.model_validate(content)
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors(include_url=False, include_input=False) if each["loc"]}
        problems.append(f"{name}: {', '.join(sorted(wrong))} cannot be read and is left out.")
        return {key: value for key, value in content.items() if key not in wrong}
    return content
