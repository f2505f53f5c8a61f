"""Runs as text: the command and the Python code for the values of a form, with the settings that are not defaults."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from napari_unet3d.configs.base import Config
from napari_unet3d.configs.prediction import EvaluationConfig, PredictionConfig
from napari_unet3d.configs.synthetic import SyntheticConfig
from napari_unet3d.configs.training import TrainingConfig
from napari_unet3d.errors import UserError

_PROGRAM = "napari-unet3d"
_LINE = 100  # characters; longer calls have a line per argument


@dataclass(frozen=True, slots=True)
class RunSnippet:
    """A run as text; paths are absolute, so that it can be used anywhere.

    Attributes
    ----------
    arguments : tuple of str
        The command and its arguments; empty if no command can do it.
    python : str
        A complete program.
    """

    arguments: tuple[str, ...]
    python: str

    @property
    def command(self) -> str:
        """The command line for a POSIX shell such as bash or zsh.

        Raises
        ------
        UserError
            If no command can do it.
        """
        if not self.arguments:
            raise UserError("The command needs a folder for its results; choose one, or copy the Python code.")
        return shlex.join(self.arguments)


def changed_settings(config: Config) -> dict[str, Any]:
    """Return the settings that are not at their default.

    Values that another choice implies, such as a difficulty, are left out.

    Parameters
    ----------
    config : Config
        Any settings; ``type(config)(**changed_settings(config)) == config``.

    Examples
    --------
    >>> changed_settings(TrainingConfig(epochs=5, patch="whole"))
    {'patch': (<PatchMode.WHOLE: 'whole'>,), 'epochs': 5}
    """
    values = {name: getattr(config, name) for name in type(config).model_fields}
    bare = type(config)()
    implying = {
        name: value
        for name, value in values.items()
        if getattr(value, "settings", None) is not None and value != getattr(bare, name)
    }
    base = type(config)(**implying)
    return {name: value for name, value in values.items() if name in implying or value != getattr(base, name)}


def options(config: Config) -> list[str]:
    """Return the command line options of the settings that are not at their default.

    >>> options(TrainingConfig(epochs=5, patch="whole", shuffle=False))
    ['--patch', 'whole', '--epochs', '5', '--no-shuffle']
    """
    arguments: list[str] = []
    for name, value in changed_settings(config).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            arguments.append(option if value else f"--no-{option[2:]}")
            continue
        elements = value if isinstance(value, tuple) else (value,)
        if any(isinstance(element, str) and element.startswith("-") for element in elements):
            arguments += [f"{option}={_text(element)}" for element in elements]  # else it would be read as an option
        else:
            arguments += [option, *map(_text, elements)]
    return arguments


def generation_snippet(dataset: Path, config: SyntheticConfig, *, n_train: int, n_test: int) -> RunSnippet:
    """Return the generation of a synthetic dataset as text.

    Parameters
    ----------
    dataset : Path
        The folder of the dataset.
    config : SyntheticConfig
        The settings.
    n_train, n_test : int
        Number of training and test volumes.
    """
    counts = ["--train", str(n_train), "--test", str(n_test)]
    arguments = [_path(dataset), _call(config), f"n_train={n_train}", f"n_test={n_test}"]
    return RunSnippet(
        (_PROGRAM, "generate", _absolute(dataset), *counts, *options(config)),
        _program("generate", arguments, config),
    )


def training_snippet(
    dataset: Path,
    run_folder: Path,
    config: TrainingConfig | None,
    *,
    start_from: Path | None = None,
    resume: bool = False,
) -> RunSnippet:
    """Return the training on a dataset folder as text.

    Parameters
    ----------
    dataset, run_folder : Path
        The dataset and the folder for the run.
    config : TrainingConfig or None
        The settings; None to resume with those of the run.
    start_from : Path, optional
        The model that the run starts from; it determines the network as far as `config` has defaults there.
    resume : bool
        Whether to resume the run in the folder.
    """
    command = [_PROGRAM, "train", _absolute(dataset), "--run", _absolute(run_folder)]
    arguments = [_path(dataset), _path(run_folder)]
    if config is not None:
        arguments.append(_call(config))
    if start_from is not None:
        command += ["--start-from", _absolute(start_from)]
        arguments.append(f"start_from={_path(start_from)}")
    if resume:
        command.append("--resume")
        arguments.append("resume=True")
    return RunSnippet(
        (*command, *([] if config is None else options(config))),
        _program("train", arguments, config),
    )


def prediction_snippet(
    model: Path, files: Sequence[Path], out: Path, config: PredictionConfig, *, probability: bool = False
) -> RunSnippet:
    """Return the prediction of files as text.

    Parameters
    ----------
    model : Path
        Run folder or model file.
    files : sequence of Path
        The volumes.
    out : Path
        The folder for results.
    config : PredictionConfig
        The settings.
    probability : bool
        Whether the probability is also written.
    """
    command = [_PROGRAM, "predict", _absolute(model), *map(_absolute, files), "--out", _absolute(out)]
    arguments = [_path(model), f"[{', '.join(map(_path, files))}]", _path(out), _call(config)]
    if probability:
        command.append("--probability")
        arguments.append("probability=True")
    python = _program("predict_files", arguments, config, home="napari_unet3d.inference.predict")
    return RunSnippet((*command, *options(config)), python)


def evaluation_snippet(model: Path, dataset: Path, out: Path | None, config: EvaluationConfig) -> RunSnippet:
    """Return the evaluation of a test set as text.

    Parameters
    ----------
    model : Path
        Run folder or model file.
    dataset : Path
        The folder of the dataset.
    out : Path or None
        The folder for results; without one, only Python can do it.
    config : EvaluationConfig
        The settings.
    """
    command: tuple[str, ...] = ()
    arguments = [_path(model), _path(dataset), f"config={_call(config)}"]
    if out is not None:
        command = (
            _PROGRAM,
            "evaluate",
            _absolute(model),
            _absolute(dataset),
            "--out",
            _absolute(out),
            *options(config),
        )
        arguments.insert(2, f"out={_path(out)}")
    return RunSnippet(command, _program("evaluate", arguments, config))


def predictions_command(
    predictions: Path, dataset: Path, out: Path, labels: Mapping[str, Any], config: EvaluationConfig
) -> str:
    """Return the command that evaluates predictions that are files.

    Parameters
    ----------
    predictions, dataset, out : Path
        The folders of the predictions, of the dataset and for results.
    labels : mapping of str to any
        What the labels are: task, ignore_label and class_names, as in ``evaluation.json``.
    config : EvaluationConfig
        The settings.
    """
    command = [_PROGRAM, "evaluate", _absolute(dataset), "--predictions", _absolute(predictions)]
    command += ["--out", _absolute(out), "--task", str(labels.get("task"))]
    if (ignore_label := labels.get("ignore_label")) is not None:
        command.append(f"--ignore-label={ignore_label}")
    if class_names := labels.get("class_names"):
        command += ["--class-names", *map(str, class_names)]
    return shlex.join([*command, *options(config)])


def _program(function: str, arguments: Sequence[str], config: Config | None, home: str = "napari_unet3d") -> str:
    """Return a program that iterates over the events of a function; the last event is the result."""
    names = [function] if config is None or home != "napari_unet3d" else [type(config).__name__, function]
    imports = [f"from {home} import {', '.join(names)}"]
    if config is not None and len(names) == 1:
        imports.insert(0, f"from napari_unet3d import {type(config).__name__}")
    call = f"{function}(\n{''.join(f'        {argument},{chr(10)}' for argument in arguments)}    )"
    # Guarded, since worker processes import the file that started them.
    main = f'if __name__ == "__main__":\n    for event in {call}:\n        pass\n    print(event)\n'
    return "\n".join(["from pathlib import Path", "", *imports, "", main])


def _call(config: Config) -> str:
    values = [f"{name}={_literal(value)}" for name, value in changed_settings(config).items()]
    name = type(config).__name__
    line = f"{name}({', '.join(values)})"
    if len(line) <= _LINE:
        return line
    return f"{name}(\n{''.join(f'            {value},{chr(10)}' for value in values)}        )"


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        elements = [_literal(element) for element in value]
        return f"({', '.join(elements)}{',' if len(elements) == 1 else ''})"
    return repr(value.value if isinstance(value, Enum) else value)


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _path(path: Path) -> str:
    return f"Path({_absolute(path)!r})"
