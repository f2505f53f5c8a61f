"""Runs as text: the command and the Python code that do what a form says, with the settings that are not defaults."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
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
_LINE = 100  # characters, above which a call gets a line per argument


@dataclass(frozen=True, slots=True)
class RunSnippet:
    """One run as text; paths are absolute, so that it does not matter where the text is used.

    Attributes
    ----------
    words : tuple of str
        The command and its arguments, as a process takes them; empty where no command can do it.
    python : str
        A whole program.
    """

    title: tuple[str, ...]
    python: str

    @property
    def command(self) -> str:
        """The command as it is typed into a POSIX shell such as bash or zsh.

        Raises
        ------
        UserError
            If no command can do it.
        """
        if not self.title:
            raise UserError("The command needs a folder for its results; let them be written to one, or copy Python.")
        return shlex.join(self.title)


def changed_settings(config: Config) -> dict[str, Any]:
    """Return the settings that make a config: those that differ from what they are when they are left out.

    A choice that carries values of other settings, such as a difficulty, stands for these.

    Parameters
    ----------
    config : Settings
        Any settings; ``type(config)(**changed_settings(config)) == config``.
    """
    values = {name: getattr(config, name) for name in type(config).model_fields}
    bare = type(config)()
    carrying = {
        name: value
        for name, value in values.items()
        if getattr(value, "settings", None) is not None and value != getattr(bare, name)
    }
    base = type(config)(**carrying)
    return {name: value for name, value in values.items() if name in carrying or value != getattr(base, name)}


def options(config: Config) -> list[str]:
    """Return the options of the command that stand for the changed settings, such as ``["--epochs", "5"]``."""
    words: list[str] = []
    for name, value in changed_settings(config).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
            continue
        elements = value if isinstance(value, tuple) else (value,)
        if any(isinstance(element, str) and element.startswith("-") for element in elements):
            words += [f"{option}={_word(element)}" for element in elements]  # else it would be taken for an option
        else:
            words += [option, *map(_word, elements)]
    return words


def generation_snippet(dataset: Path, config: SyntheticConfig, *, n_train: int, n_test: int) -> RunSnippet:
    """Write down the generation of a dataset of synthetic volumes.

    Parameters
    ----------
    dataset : Path
        Its folder.
    config : SyntheticConfig
        The settings.
    n_train, n_test : int
        How many volumes.
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
    """Write down a training on a dataset folder.

    Parameters
    ----------
    dataset, run_folder : Path
        Where the volumes are and where the run goes.
    config : TrainingConfig or None
        The settings; None for those of the run that goes on.
    start_from : Path, optional
        The model that the run begins with; its network holds as long as `config` is at the defaults there.
    resume : bool
        Whether to go on with the run in the folder.
    """
    words = [_PROGRAM, "train", _absolute(dataset), "--run", _absolute(run_folder)]
    arguments = [_path(dataset), _path(run_folder)]
    if config is not None:
        arguments.append(_call(config))
    if start_from is not None:
        words += ["--start-from", _absolute(start_from)]
        arguments.append(f"start_from={_path(start_from)}")
    if resume:
        words.append("--resume")
        arguments.append("resume=True")
    return RunSnippet(
        (*words, *([] if config is None else options(config))),
        _program("train", arguments, config),
    )


def prediction_snippet(
    model: Path, files: Sequence[Path], out: Path, config: PredictionConfig, *, probability: bool = False
) -> RunSnippet:
    """Write down the prediction of files.

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
        Whether the probability is written, too.
    """
    words = [_PROGRAM, "predict", _absolute(model), *map(_absolute, files), "--out", _absolute(out)]
    arguments = [_path(model), f"[{', '.join(map(_path, files))}]", _path(out), _call(config)]
    if probability:
        words.append("--probability")
        arguments.append("probability=True")
    python = _program("predict_files", arguments, config, home="napari_unet3d.inference.predict")
    return RunSnippet((*words, *options(config)), python)


def evaluation_snippet(model: Path, dataset: Path, out: Path | None, config: EvaluationConfig) -> RunSnippet:
    """Write down the evaluation of a test set.

    Parameters
    ----------
    model : Path
        Run folder or model file.
    dataset : Path
        The folder of the dataset.
    out : Path or None
        The folder for results; without one only Python can do it.
    config : EvaluationConfig
        The settings.
    """
    words: tuple[str, ...] = ()
    arguments = [_path(model), _path(dataset), f"config={_call(config)}"]
    if out is not None:
        words = (_PROGRAM, "evaluate", _absolute(model), _absolute(dataset), "--out", _absolute(out), *options(config))
        arguments.insert(2, f"out={_path(out)}")
    return RunSnippet(words, _program("evaluate", arguments, config))


def _program(function: str, arguments: Sequence[str], config: Config | None, home: str = "napari_unet3d") -> str:
    """Write a program that goes through the events of a function; its last event is the result."""
    names = [function] if config is None or home != "napari_unet3d" else [type(config).__name__, function]
    imports = [f"from {home} import {', '.join(names)}"]
    if config is not None and len(names) == 1:
        imports.insert(0, f"from napari_unet3d import {type(config).__name__}")
    call = f"{function}(\n{''.join(f'        {argument},{chr(10)}' for argument in arguments)}    )"
    # Below the guard, since worker processes import the file that started them.
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


def _word(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _path(path: Path) -> str:
    return f"Path({_absolute(path)!r})"
