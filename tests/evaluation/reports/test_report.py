"""The page of a run: numbers as in the files, nothing from outside, and what is missing said in a sentence."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import mean_scores
from napari_unet3d.evaluation.reports.error_files import ErrorFiles
from napari_unet3d.evaluation.reports.figure import slices_figure, write_figure
from napari_unet3d.evaluation.reports.report import write_report
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.files import write_json

EVIL = 'cells <script>alert("x")</script> & "more"'
ATTRIBUTES = {"alt", "charset", "class", "content", "http-equiv", "lang", "name", "src", "style", "title"}
_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in its order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.cells: list[list[tuple[str, str]]] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def pictures(self) -> list[tuple[str, bytes]]:
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        parts = [re.fullmatch(r"data:image/([a-z+]+);base64,(.+)", source) for source in sources]
        assert all(parts)
        return [(part[1], base64.b64decode(part[2], validate=True)) for part in parts if part]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append(("", ""))
        if tag == "span" and attributes.get("class") == "number":
            self.cells[-1][-1] = ("", attributes.get("title", ""))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            words, exact = self.cells[-1][-1]
            self.cells[-1][-1] = (words + data, exact)


def write_run(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "config.json", TrainingConfig(**config).model_dump(mode="json"))
    environment = {
        "started": "2025-03-04T05:06:07+00:00",
        "versions": {"python": "3.12.1", "torch": "2.10"},
        "device": "CPU, fp32",
        "start_from": "/models/my first",
        "dataset": f"/data/{EVIL}",
        "train": ["a", EVIL],
        "validation": ["b"],
        "plan": {"patch_zyx": [16, 32, 48]},
    }
    write_json(folder / "environment.json", environment)
    rows = ["1,0.9,0.8,0.5,0.01,60", "2,0.7,0.6,0.75,0.01,61.5", "3,0.6,0.65,,0.01,62"]
    head = "epoch,train_loss,val_loss,val_dice,learning_rate,seconds"
    (folder / "history.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


SIZED = Geometry((3, 1, 0.5))


def write_evaluation(
    folder: Path, task: Task = Task.BINARY, geometries: tuple[Geometry, Geometry] = (SIZED, SIZED)
) -> Path:
    rng = np.random.default_rng(0)
    rules = MetricOptions(task, {1: "wall", 2: EVIL} if task is Task.SEMANTIC else {})
    scores, files = [], ErrorFiles(folder)
    for number, name in enumerate(("good", EVIL)):
        truth = np.zeros((6, 20, 30), np.uint8)
        truth[1:4, 3:9, 4:12], truth[2:5, 12:18, 16:26] = 1, 1 if task is Task.BINARY else 2
        prediction = np.roll(truth, 1 + 3 * number, 2)
        geometry = geometries[number]
        scores.append(score(prediction, GroundTruth(truth), name, geometry, rules))
        clean = re.sub(r'[<>:"/\\|?*]+', "_", name)
        write_figure(folder / "figures" / f"{clean}.png", slices_figure(GroundTruth(truth), prediction))
        errors = list_errors(prediction, GroundTruth(truth), task, geometry)
        files.add(Sample(name, rng.integers(0, 99, truth.shape)), prediction, GroundTruth(truth), errors)
    for suffix in ("csv", "json"):
        write_metrics(folder / f"metrics.{suffix}", scores, mean_scores(scores))
    write_json(
        folder / "evaluation.json",
        {"dataset": f"/data/{EVIL}", "epoch": 2, "settings": {"tolerance": 1.0, "threshold": 0.4}},
    )
    return folder


def test_a_whole_page_stands_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / EVIL.replace("/", "_"), epochs=3, learning_rate=0.002)
    write_report(run, tmp_path / "r.html", write_evaluation(tmp_path / "e"))
    page = Page(tmp_path / "r.html")
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    outside = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("href", "src")]
    assert all(value.startswith("data:image/") for value in outside)
    assert "url(" not in page.source
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert EVIL in page.text, "names are shown as they are"
    assert "Left out" not in page.text
    svg, *others = page.pictures
    assert svg[0] == "svg+xml"
    n_errors = page.source.count('alt="Slice through error')
    assert len(others) == 2 + n_errors
    for kind, content in others:
        assert kind == "png"
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    slices = (tmp_path / "e" / "figures" / "good.png").read_bytes()
    assert others[1][1] == slices, "the best comes last"
    worst = max((tmp_path / "e" / "errors").iterdir(), key=lambda path: others[2][1] == path.read_bytes())
    assert others[2][1] == worst.read_bytes()


def test_the_policy_allows_pictures_and_styles_of_the_page_only(tmp_path: Path) -> None:
    write_report(write_run(tmp_path / "run"), tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    policies = [each["content"] for tag, each in page.tags if tag == "meta" and "http-equiv" in each]
    assert len(policies) == 1
    assert page.source.index("Content-Security-Policy") < page.source.index("<style>"), "it counts from there on"
    assert dict(rule.strip().split(" ", 1) for rule in policies[0].split(";")) == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_what_has_no_voxel_size_is_in_voxels(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_report(run, tmp_path / "r.html", write_evaluation(tmp_path / "e", geometries=(UNKNOWN, UNKNOWN)))
    text = Page(tmp_path / "r.html").text
    assert "Surface distance voxels" in text
    assert "deeper than 1 voxels" in text
    assert not re.search(r"Surface distance µm|\d µm", text)


def test_different_units_are_beside_the_numbers_and_have_no_mean(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_report(run, tmp_path / "r.html", write_evaluation(tmp_path / "e", geometries=(UNKNOWN, SIZED)))
    text = Page(tmp_path / "r.html").text
    assert "Surface distance µm" not in text
    assert re.search(r"\d\.\d\d voxels", text)
    assert re.search(r"\d\.\d\d µm", text)
    assert "deeper than 1 µm (voxels where the voxel size is unknown)" in text
    assert "there is no mean" in text


def test_nothing_from_the_files_becomes_markup(tmp_path: Path) -> None:
    run, folder = write_run(tmp_path / EVIL.replace("/", "_")), write_evaluation(tmp_path / "e", Task.SEMANTIC)

    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: spoiled(each) for name, each in value.items()} | {EVIL: EVIL}
        return [spoiled(each) for each in value] if isinstance(value, list) else EVIL if type(value) is str else value

    for path in (run / "environment.json", folder / "evaluation.json"):
        write_json(path, spoiled(json.loads(path.read_text(encoding="utf-8"))))
    write_json(
        run / "config.json",
        TrainingConfig(task="semantic", class_names=("wall", EVIL)).model_dump(mode="json"),
    )
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["volumes"][0] |= {"iou": EVIL, "classes": [{"name": EVIL, "dice": EVIL}], "instances": {"f1": EVIL}}
    metrics["mean"] |= {"dice": EVIL, "instances": EVIL}
    write_json(folder / "metrics.json", metrics)
    content = (folder / "errors.csv").read_text(encoding="utf-8-sig")
    quoted = '"' + EVIL.replace('"', '""') + '"'
    (folder / "errors.csv").write_text(re.sub(r"missed|[^,\n]+\.png", quoted, content), encoding="utf-8")
    (run / "history.csv").write_text(f"epoch,train_loss\n1,{EVIL}\n")

    write_report(run, tmp_path / "r.html", folder)
    page = Page(tmp_path / "r.html")
    assert page.text.count(EVIL) > 20
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in page.source
    assert not any(set(attributes) - ATTRIBUTES for _, attributes in page.tags)


@pytest.mark.parametrize("task", list(Task))
def test_every_number_is_that_of_the_metrics(task: Task, tmp_path: Path) -> None:
    write_report(write_run(tmp_path / "run"), tmp_path / "r.html", write_evaluation(tmp_path / "e", task))
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text(encoding="utf-8"))
    page = Page(tmp_path / "r.html")
    names = ("dice", "iou", "precision", "recall", "hd95", "nsd")
    expected = []
    for volume in [*metrics["volumes"], {"name": "mean", **metrics["mean"]}]:
        expected.append((volume["name"], [volume[name] for name in names]))
        expected += [(each["name"], [each[name] for name in names]) for each in volume.get("classes", [])]
    first = next(place for place, row in enumerate(page.cells) if row and row[0][0] == "Volume")
    for row, (name, numbers) in zip(page.cells[first + 1 :], expected, strict=False):
        assert row[0][0] == name
        for (words, exact), number, decimals in zip(row[1:-1], numbers, (4, 4, 4, 4, 2, 4), strict=True):
            assert (words, exact) == ("–", "") if number is None else (f"{number:.{decimals}f}", repr(number))
    if task is Task.INSTANCE:
        found = [row for row in page.cells if row and row[0][0] == "mean"][1]
        assert found[1][1] == repr(metrics["mean"]["instances"]["f1"])


def test_it_stands_beside_every_score_whether_the_model_has_seen_the_volume(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "e")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for volume, seen in zip(metrics["volumes"], ("training", "never"), strict=True):
        volume["seen_in"] = seen
    metrics["mean"]["seen_in"] = "mixed"
    write_json(folder / "metrics.json", metrics)
    write_report(None, tmp_path / "r.html", folder)
    page = Page(tmp_path / "r.html")
    first = next(place for place, row in enumerate(page.cells) if row and row[0][0] == "Volume")
    assert page.cells[first][-1][0] == "Seen by the model"
    seen = {row[0][0]: row[-1][0] for row in page.cells[first + 1 : first + 4]}
    assert seen == {"good": "seen in training", EVIL: "never seen", "mean": "some were seen"}
    assert "1 of them never seen by the model" in page.text
    assert "The model was trained on 'good'" in page.text

    del metrics["volumes"][0]["seen_in"]  # of an earlier version
    metrics["volumes"][1]["seen_in"] = "nonsense"
    write_json(folder / "metrics.json", metrics)
    write_report(None, tmp_path / "r.html", folder)
    page = Page(tmp_path / "r.html")
    assert page.text.count("not known") >= 3
    assert "never seen" not in page.text


def test_settings_that_differ_come_first_and_the_command_has_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", epochs=3, learning_rate=0.002, patch=(16, 32, 48))
    write_report(run, tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    place = next(place for place, row in enumerate(page.cells) if [cell[0] for cell in row][:1] == ["Setting"])
    rows = [tuple(cell[0] for cell in row) for row in page.cells[place + 1 : place + 4]]
    assert rows == [("patch", "16, 32, 48", "auto"), ("epochs", "3", "30"), ("learning rate", "0.002", "0.01")]
    assert "--start-from '/models/my first' --patch 16 32 48 --epochs 3 --learning-rate 0.002" in page.text
    assert "3 min 4 s" in page.text, "60 + 61.5 + 62 seconds"
    assert "0.750" in page.text, "Dice of epoch 2, whose validation loss is the lowest"
    assert "was not evaluated" in page.text


def test_what_is_missing_or_broken_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "environment.json").unlink()
    (run / "history.csv").write_text("epoch,train_loss\n1,two\n")
    folder = write_evaluation(tmp_path / "e")
    (folder / "figures" / "good.png").write_bytes(b"<script>")
    (folder / "errors.csv").write_bytes(b"\xff\xfe\xff")
    write_report(run, tmp_path / "r.html", folder)
    page = Page(tmp_path / "r.html")
    for words in (
        "Left out: environment.json is missing.",
        "Left out: history.csv cannot be read",
        "Left out: errors.csv cannot be read",
        "Left out: there is no figure of good.",
    ):
        assert words in page.text
    assert len(page.pictures) == 1


def test_the_table_of_errors_cannot_pull_in_other_files(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "e")
    secret = tmp_path / "secret.png"
    secret.write_bytes((folder / "figures" / "good.png").read_bytes() + b"secret")
    content = (folder / "errors.csv").read_text(encoding="utf-8-sig")
    (folder / "errors.csv").write_text(re.sub(r"[^,\n]+\.png", "../../secret.png", content), encoding="utf-8")
    write_report(write_run(tmp_path / "run"), tmp_path / "r.html", folder)
    page = Page(tmp_path / "r.html")
    assert not any(content.endswith(b"secret") for _, content in page.pictures)
    assert "There is no picture of it." in page.text


def test_the_evaluation_in_the_run_folder_is_found(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_evaluation(run / "evaluation")
    write_report(run, tmp_path / "r.html")
    assert "The lowest Dice has" in Page(tmp_path / "r.html").text


def test_other_folders_and_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no run folder: it has no config\.json"):
        write_report(tmp_path, tmp_path / "r.html")
    run = write_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"is no evaluation folder: it has no metrics\.json"):
        write_report(run, tmp_path / "r.html", tmp_path)
    with pytest.raises(UserError, match=r"'r\.pdf'; choose a name that ends in \.html"):
        write_report(run, tmp_path / "r.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("environment.json", {"versions": [1], "train": "a", "plan": {"patch_zyx": "large"}}, "plan, train, versions"),
        ("environment.json", {"plan": {"classes": 3}, "blocks": 7}, "blocks, plan"),
        ("evaluation.json", {"settings": "strict", "volumes": 5, "epoch": "last"}, "epoch, settings, volumes"),
        ("evaluation.json", {"labels": [1], "versions": None}, "labels, versions"),
    ],
)
def test_values_of_another_type_are_left_out_by_name(
    name: str, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run, folder = write_run(tmp_path / "run"), write_evaluation(tmp_path / "e")
    file = (run if name == "environment.json" else folder) / name
    write_json(file, json.loads(file.read_text()) | change)
    write_report(run, tmp_path / "r.html", folder)
    assert f"Left out: {name}: {words} cannot be read and is left out." in Page(tmp_path / "r.html").text


def test_scores_of_another_type_are_left_out_by_name(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "e")
    file = folder / "metrics.json"
    content = json.loads(file.read_text())
    content["volumes"][0] |= {"dice": "high", "classes": 5, "left_out": [1], "iou": 10**15}
    content["mean"]["instances"] = "all"
    write_json(file, content)
    write_report(None, tmp_path / "r.html", folder)
    text = Page(tmp_path / "r.html").text
    assert "classes, left_out cannot be read and is left out." in text
    assert "metrics.json, mean: instances cannot be read and is left out." in text


@pytest.mark.parametrize("epoch", ["9" * 400, "1e5", "-1", "nan"])
def test_a_history_of_impossible_epochs_is_left_out(epoch: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "history.csv").write_text(f"epoch,train_loss,val_loss,val_dice,seconds\n{epoch},0.5,0.5,0.5,inf\n")
    write_report(run, tmp_path / "r.html")
    assert "Left out: history.csv cannot be read" in Page(tmp_path / "r.html").text
