"""The folder of an evaluation: replaced as a whole or not at all, and nothing of the user's is lost."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.configs import EvaluationConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.events import EvaluationFinished, VolumeEvaluated
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.runs.run_files import read_evaluation_files

Untrained = Callable[..., Checkpoint]
Textured = Callable[..., Sample]
CPU = EvaluationConfig(device="cpu")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def samples(textured: Textured) -> list[Sample]:
    return [textured(name, seed=number) for number, name in enumerate(("first", "second"))]


@pytest.fixture
def out(untrained: Untrained, samples: list[Sample], tmp_path: Path) -> Path:
    """The folder of an evaluation of two volumes."""
    list(evaluate(untrained(), samples, out=tmp_path / "out", config=CPU.model_copy(update={"uncertainty": True})))
    return tmp_path / "out"


def test_a_new_evaluation_replaces_all_of_the_old_one(
    out: Path, untrained: Untrained, samples: list[Sample], tmp_path: Path
) -> None:
    list(evaluate(untrained(), samples[:1], out=tmp_path / "fresh", config=CPU))
    *_, finished = evaluate(untrained(), samples[:1], out=out, config=CPU)
    assert contents(out).keys() == contents(tmp_path / "fresh").keys()
    assert not any("second" in name or "uncertainty" in name for name in contents(out))
    assert isinstance(finished, EvaluationFinished)
    assert finished.metrics_file == out / "metrics.json"
    assert finished.figures == (out / "figures" / "first.png",)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_old_one_stays_until_the_new_one_is_complete(
    out: Path, untrained: Untrained, samples: list[Sample], tmp_path: Path
) -> None:
    before = contents(out)
    events = evaluate(untrained(), samples, out=out, config=CPU)
    while not isinstance(next(events), VolumeEvaluated):
        pass
    assert contents(out) == before
    events.close()  # type: ignore[attr-defined]
    assert contents(out) == before

    broken = Sample("third", samples[0].image, np.full((5, 9, 12), -1, np.int16))
    with pytest.raises(UserError, match="third"):
        list(evaluate(untrained(), [*samples, broken], out=out, config=CPU))
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_of_the_user_are_kept(out: Path, untrained: Untrained, samples: list[Sample]) -> None:
    own = ["notes.txt", "figures/mine.png", "predictions/second_corrected.tif", "errors/second.png", "mine/a/b.csv"]
    for name in own:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    list(evaluate(untrained(), samples[:1], out=out, config=CPU))
    assert {name: (out / name).read_text() for name in own} == {name: name for name in own}
    assert not (out / "predictions" / "second_labels.tif").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_to_the_folder_and_kept_inside(
    out: Path, untrained: Untrained, samples: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(out)
    (tmp_path / "big").mkdir()
    (out / "data").symlink_to("../big")
    *_, finished = evaluate(untrained(), samples[:1], out=tmp_path / "link", config=CPU)
    assert (tmp_path / "link").is_symlink()
    assert os.readlink(out / "data") == "../big"
    assert (out / "data").is_dir()
    assert isinstance(finished, EvaluationFinished)
    assert finished.figures == (tmp_path / "link" / "figures" / "first.png",)
    assert not (out / "predictions" / "second_labels.tif").exists()


@pytest.mark.parametrize(
    "name", ["notes.txt", "metrics.json", "evaluation.json", "predictions/mine.tif", "train/images/a.tif", "scan.tif"]
)
def test_a_folder_with_anything_else_is_refused_unchanged(
    name: str, untrained: Untrained, samples: list[Sample], tmp_path: Path
) -> None:
    file = tmp_path / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    with pytest.raises(UserError, match=f"is no folder of an evaluation: it contains {name.split('/')[0]}"):
        next(evaluate(untrained(), samples, out=tmp_path / "mine", config=CPU))
    assert contents(tmp_path / "mine") == {name: b"{}"}


def test_a_file_is_refused(untrained: Untrained, samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        next(evaluate(untrained(), samples, out=tmp_path / "mine", config=CPU))
    assert (tmp_path / "mine").read_text() == "mine"


def test_results_of_predict_may_be_in_the_folder_and_stay(
    untrained: Untrained, samples: list[Sample], tmp_path: Path
) -> None:
    for name in ("a_labels.tif", "a_probability.npy", "a_probability.npy.json"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("mine")
    for _ in range(2):
        list(evaluate(untrained(), samples, out=tmp_path / "out", config=CPU))
    assert (tmp_path / "out" / "a_labels.tif").read_text() == "mine"
    assert (tmp_path / "out" / "a_probability.npy.json").read_text() == "mine"
    assert (tmp_path / "out" / "metrics.json").exists()


def test_an_evaluation_that_was_stopped_says_so_and_is_replaced(
    untrained: Untrained, samples: list[Sample], tmp_path: Path
) -> None:
    events = evaluate(untrained(), samples, out=tmp_path / "out", config=CPU)
    while not isinstance(next(events), VolumeEvaluated):
        pass
    events.close()  # type: ignore[attr-defined]
    assert read_evaluation_files(tmp_path / "out").problems == ("The evaluation was stopped after 1 of 2 volumes.",)
    (tmp_path / "out" / "metrics.json").unlink()  # as after a kill within the first volume
    list(evaluate(untrained(), samples[1:], out=tmp_path / "out", config=CPU))
    assert read_evaluation_files(tmp_path / "out").problems == ()
    assert not (tmp_path / "out" / "predictions" / "first_labels.tif").exists()


def test_the_dataset_itself_is_safe(untrained: Untrained, textured: Textured, tmp_path: Path) -> None:
    add_sample(tmp_path / "data", textured("scan"), Subset.TEST)
    before = contents(tmp_path / "data")
    for folder in (tmp_path / "data", tmp_path / "data" / "test"):
        with pytest.raises(UserError, match="is no folder of an evaluation"):
            next(evaluate(untrained(), tmp_path / "data", out=folder, config=CPU))
    assert contents(tmp_path / "data") == before


def test_the_record_names_the_volumes(out: Path) -> None:
    about = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert about["volumes"] == ["first", "second"]
