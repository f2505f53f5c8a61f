from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet3d.cli.app import app
from napari_unet3d.configs import (
    ChoiceEnum,
    Config,
    EvaluationConfig,
    PredictionConfig,
    SyntheticConfig,
    TrainingConfig,
)
from napari_unet3d.configs.snippets import (
    changed_settings,
    evaluation_snippet,
    generation_snippet,
    prediction_snippet,
    training_snippet,
)
from napari_unet3d.errors import UserError

# What a shell, a Python string or the command could take for something else.
_NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12),
    st.sampled_from(
        ["--epochs", "-1", "-x", "a b", "it's", '"', "$HOME", "[1, 2]", "{}", "none", "\\", "a=b", "*", "#"]
    ),
)


def _values(annotation: Any, extra: dict[str, Any]) -> st.SearchStrategy[Any]:
    low, high = extra.get("minimum"), extra.get("maximum")
    if isinstance(annotation, type) and issubclass(annotation, ChoiceEnum):
        return st.sampled_from(list(annotation))
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(int(low), int(high))
    if annotation in (int | None, float | None):
        return st.none() | _values(get_args(annotation)[0], extra)
    if annotation is float:
        return st.floats(low, high)
    if annotation is str:
        return st.permutations("NDA").map("".join)
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    if get_args(annotation)[-1] is not Ellipsis:
        return st.tuples(*(_values(each, extra) for each in inner))
    if inner == [str]:
        return st.lists(_NAMES, max_size=3).map(tuple)
    kinds = get_args(inner[0]) or inner
    if len(kinds) == 2:  # a word or three numbers
        word, number = (_values(kind, extra) for kind in kinds)
        return st.one_of(st.tuples(word), st.tuples(number, number, number))
    return st.lists(_values(inner[0], extra), min_size=1, max_size=3).map(tuple)


@st.composite
def configs(draw: st.DrawFn, of: type[Config]) -> Any:
    """Draw settings that go together, most of them at their default."""
    values: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(sorted(of.model_fields)), unique=True, max_size=8)):
        extra = of.model_fields[name].json_schema_extra
        drawn = draw(_values(of.model_fields[name].annotation, extra if isinstance(extra, dict) else {}))
        for_it = {"task": "semantic"} if name in ("class_names", "class_weights") else {}
        try:
            of(**{**values, **for_it, name: drawn})
        except UserError:  # no form would let it be started
            continue
        values |= {**for_it, name: drawn}
    return of(**values)


def parsed(words: tuple[str, ...]) -> dict[str, Any]:
    """Read words with the real command, as a shell would hand them over."""
    program, *tokens = shlex.split(shlex.join(words))
    assert program == "napari-unet3d"
    command, bound, *_ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return {"command": command.__name__, **bound.arguments}


def called(python: str, function: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Run the program with the engine's function replaced by one that notes what it is called with."""
    calls = []
    line = next(line for line in python.splitlines() if line.endswith(f" {function}"))
    assert line.startswith("from napari_unet3d")
    exec(line, {})  # the name is really there

    def note(*args: Any, **kwargs: Any) -> list[str]:
        calls.append((args, kwargs))
        return ["an event"]

    before, after = python.split("\nif __name__")
    space: dict[str, Any] = {"__name__": "__main__", "print": lambda *_: None}
    exec(before, space)
    space[function] = note
    exec(f"if __name__{after}", space)
    (call,) = calls
    return call


DATA, RUN, MODEL, OUT = Path("/data/it's a set"), Path("/runs/run 1"), Path("/runs/$old.safetensors"), Path("/out put")
often = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@often
@given(config=configs(TrainingConfig), start_from=st.sampled_from([None, MODEL]), resume=st.booleans())
def test_a_training_as_text_is_the_training(config: TrainingConfig, start_from: Path | None, resume: bool) -> None:
    text = training_snippet(DATA, RUN, config, start_from=start_from, resume=resume)
    read = parsed(text.arguments)
    assert (read["command"], read["dataset"], read["run"]) == ("train", DATA, RUN)
    assert (read["start_from"], read["resume"], read["config"]) == (start_from, resume, None)
    assert read["settings"] == config
    assert read["settings"].model_fields_set == changed_settings(config).keys(), "nothing else counts as given by hand"
    args, kwargs = called(text.python, "train")
    assert args == (DATA, RUN, config)
    assert kwargs == {k: v for k, v in {"start_from": start_from, "resume": resume}.items() if v}


@often
@given(config=configs(SyntheticConfig), n_train=st.integers(0, 99))
def test_a_generation_as_text_is_the_generation(config: SyntheticConfig, n_train: int) -> None:
    text = generation_snippet(DATA, config, n_train=n_train, n_test=2)
    read = parsed(text.arguments)
    assert (read["command"], read["dataset"], read["train"], read["test"]) == ("generate", DATA, n_train, 2)
    assert read["settings"] == config
    assert called(text.python, "generate") == ((DATA, config), {"n_train": n_train, "n_test": 2})


@often
@given(config=configs(PredictionConfig), probability=st.booleans())
def test_a_prediction_as_text_is_the_prediction(config: PredictionConfig, probability: bool) -> None:
    files = (Path("/in/a b.tif"), Path("/in/c.nii.gz"))
    text = prediction_snippet(MODEL, files, OUT, config, probability=probability)
    read = parsed(text.arguments)
    assert (read["command"], read["run"], read["images"], read["out"]) == ("predict", MODEL, files, OUT)
    assert (read["settings"], read["probability"]) == (config, probability)
    args, kwargs = called(text.python, "predict_files")
    assert args == (MODEL, list(files), OUT, config)
    assert kwargs == ({"probability": True} if probability else {})


@often
@given(config=configs(EvaluationConfig))
def test_an_evaluation_as_text_is_the_evaluation(config: EvaluationConfig) -> None:
    text = evaluation_snippet(MODEL, DATA, OUT, config)
    read = parsed(text.arguments)
    assert (read["command"], read["run"], read["dataset"], read["out"]) == ("evaluate", MODEL, DATA, OUT)
    assert read["settings"] == config
    assert called(text.python, "evaluate") == ((MODEL, DATA), {"out": OUT, "config": config})


def test_only_python_evaluates_without_a_folder_for_results() -> None:
    text = evaluation_snippet(MODEL, DATA, None, EvaluationConfig(tta=True))
    assert called(text.python, "evaluate") == ((MODEL, DATA), {"config": EvaluationConfig(tta=True)})
    with pytest.raises(UserError, match="folder for its results"):
        _ = text.command


def test_only_what_is_not_the_default_is_written() -> None:
    text = training_snippet(DATA, RUN, TrainingConfig(epochs=5, bias=False, patch=(8, 16, 16)))
    options = "--patch 8 16 16 --epochs 5 --no-bias"
    assert text.command == f"""napari-unet3d train '/data/it'"'"'s a set' --run '/runs/run 1' {options}"""
    assert "TrainingConfig(patch=(8, 16, 16), epochs=5, bias=False)," in text.python


def test_names_that_look_like_options_stay_names() -> None:
    names = ("--epochs", "-x", "it's", "a b", "-1")
    config = TrainingConfig(task="semantic", class_names=names)
    assert parsed(training_snippet(DATA, RUN, config).arguments)["settings"].class_names == names
    args, _ = called(training_snippet(DATA, RUN, config).python, "train")
    assert args[2].class_names == names


def test_a_difficulty_stands_for_what_it_sets() -> None:
    easy = SyntheticConfig(difficulty="hard", blur_um=0.25)
    assert changed_settings(easy) == {"difficulty": "hard", "blur_um": 0.25}


def test_a_run_that_goes_on_keeps_its_settings() -> None:
    text = training_snippet(DATA, RUN, None, resume=True)
    assert text.arguments[-1] == "--resume"
    assert called(text.python, "train") == ((DATA, RUN), {"resume": True})


def test_a_relative_path_does_not_depend_on_where_the_text_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "d") in training_snippet(Path("d"), RUN, None).arguments
