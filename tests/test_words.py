"""One vocabulary: no words that were given up, and a setting that is called the same in docks, options and messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_unet3d import configs
from napari_unet3d.cli.app import app
from napari_unet3d.configs import (
    EvaluationConfig,
    ExportConfig,
    MeshConfig,
    PredictionConfig,
    SyntheticConfig,
    Task,
    TrainingConfig,
)
from napari_unet3d.configs.base import ChoiceEnum, Config
from napari_unet3d.configs.correction import CorrectionConfig

ROOT = Path(__file__).parents[1]
PAGES = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
ADDS_A_CHOICE = "docs/examples/adding_an_architecture.md"
PACKAGES = ("src", "tests", "benchmarks", "tools", "docs")
COMMANDS = {
    "generate": SyntheticConfig,
    "train": TrainingConfig,
    "predict": PredictionConfig,
    "evaluate": EvaluationConfig,
    "export": ExportConfig,
    "meshes": MeshConfig,
}

# Names that were given up, as whole words or as a part of a name between underscores; the term to use beside them.
OLD_NAMES = {
    # settings
    "zero_is|zero-is|ZeroIs|unlabelled": "ignore_label",
    "foreground_share": "foreground_fraction",
    "evaluate_every": "validate_every",
    "clip_gradient": "max_grad_norm",
    "separation_depth": "seed_prominence",
    "middle_certainty": "seed_confidence",
    "no-watch|watch_every": "save_snapshots",
    # data
    "shelf|shelves|Shelf": "MemmapStore",
    "superseding|let_corrections_count|without_corrected_places": "corrected_regions",
    "handing_over|write_exactly": "write_lossless",
    "free_name|free_names": "unique_name",
    "pasting": "label_merging",
    "changes_the_image": "has_imaging",
    "VolumeFacts|thin_share": "VolumeStatistics",
    "learnt_from_validation": "find_validation_leaks",
    "CorrectedPlace|known_in": "CorrectionRecord",
    # evaluation
    "ErrorObject|ErrorObjects|ErrorsSearched|search_errors": "SegmentationError, ErrorSet",
    "Confusion|confusions": "MergeSplit",
    "TrueSurfaces|true_surfaces": "TruthDistance",
    "Mistake|Mistakes|WrongVoxels": "VoxelError, ErrorVoxels",
    "Remark|Remarks|RemarksKeeper": "ReviewNote",
    "WatchCard|VolumeCard|KeptPrediction|WatchedRun|watch_files": "snapshots",
    "ScoringRules|only_voxels": "MetricOptions",
    "html_parts": "templates",
    "n_found": "n_matched",
    # model
    "expect_fractions": "init_output_bias",
    "place_network": "to_device",
    "plain_plan": "default_plan",
    "n_outputs": "out_channels",
    "TorchSettings": "TorchState",
    "STEPS_AHEAD": "MAX_QUEUED_STEPS",
    "GreyScale|measure_scale": "IntensityScale",
    "speed_up": "optimize_for_cpu",
    "let_take|lies_channels_last|SingleVolumeConv3d|shared_slope": "swap_layers, is_channels_last",
    # transforms and inference
    "words_for_level": "describe_level",
    "LoadedModel|TilePredictor": "Predictor, SlidingWindow",
    "next_smaller|suited_batch": "reduce, fit_batch_size",
    "fitted_shape|kept_part|least_shape|fit_volume": "divisible_shape, valid_region, minimum_shape",
    "separate_objects": "split_instances",
    # training
    "sitting|Sitting": "Trainer",
    "take_up|workload_of|Workload": "resume",
    "heartbeat|beating|beating_each|go_on_if_wanted": "background",
    "PaceMeter|Pace|pace": "Throughput",
    "train_checked": "check_then_train",
    "MadeStep|Descent": "OptimizerStep",
    "TrainingFacts": "DataStatistics",
    "ReadyVolume|make_ready": "PreparedVolume",
    "PatchPlaces|DrawnPart|VariedParts": "PatchSampler, AugmentedPatch",
    "VolumeSeen|PredictionsKept|VolumeExamined|RunCard": "VolumeInfo, SnapshotSaved, VolumeChecked, RunHeader",
    # session and widgets
    "StoodStill|NewestOnly": "PauseChanged, LatestOnly",
    "while_there|bring_out|is_aid": "connect_until_removed, show_on_top, is_helper",
    "tuple_boxes|plain_boxes|box_for": "editors, create_editor",
    "OwnProcess|own_process|how_it_ended": "subprocess",
    "ScrubBar|KeepRow|WatchPart|WatchLayers|SampleReady|RunPlace": "EpochSlider, EpochActions, MonitorPanel",
    "AnnotateNext|annotate_next": "SuggestNextAnnotation",
    "CorrectPart|TrainOnPart|TwoPredictions|WhatIsShown|ErrorSteps": "CorrectionPanel, FineTunePanel, ComparePanel",
    "InspectedSet|SetSource|GainFound|find_gain": "VolumeList, DatasetSource, ModelsCompared",
    "on_a_display": "with_display",
}

# Prose that was given up, as regular expressions; the words to use beside them.
OLD_PROSE = {
    r"\bgr[ae]y[ _-]?(values?|range|levels?)\b": "intensities",
    r"\bby heart\b": "overfits",
    r"\b(stands|stood|standing) still\b": "plateaus, is paused",
    r"\b(of|in|as) a process of (its|their) own\b|\bprocess of its own\b": "in a separate process",
    r"\btask (objects|foreground|classes|unlabelled)\b": "instance, binary, semantic; in menus Single objects, …",
    r"\b(its|their|the) mistakes\b": "error",
    r"\bquarter turns?\b": "rotation by 90°",
    r"\bnot varied\b|\bvaried (image|labels|patch|patches|volume|volumes)\b": "augmented",
    r"\bhang(s)? together\b": "connected",
    r"\bis no number\b": "is NaN, is not finite",
    r"\b(the|its|their) truth\b": "ground truth",
    r"\b(network|model)('s|s')? answers?\b|\banswers? of the (network|model)\b": "network output",
    r"\b[Aa]nnotate here next\b": "Suggest where to annotate",
    r"\bTake the (truth|prediction)\b": "Use ground truth, Use prediction",
    r"\bShow a run\b": "Open run…",
    r"\bKeep this model\b": "Save this model",
    r"\b(lies|lie|lying) on (its|their|the|an?) (image|grid|device|disk|volume)\b": "align with, are on",
    r": (Hardware|Truth|Fit|Maps|Blend|Budget|Settings|Variation)$": "the new name of the class in docstrings",
    r"\bgoes on on\b": "continues on",
    r"\bhide noise up to\b": "ignore errors thinner than",
}

# "pace" between underscores is not a part of "namespace"; names end where letters and digits end.
NAMES = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(OLD_NAMES)})(?![A-Za-z0-9])")
PROSE = re.compile("|".join(OLD_PROSE), re.MULTILINE)
PRIVATE_VERBS = ("Give", "Say", "Tell", "Let", "Bring")


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every text of the project with its path, but for this file."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    for path in sorted([*files, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]):
        if (
            path.suffix in {".py", ".md", ".j2", ".html", ".yaml", ".toml", ""}
            and path.is_file()
            and path != Path(__file__)
        ):
            yield path, path.read_text(encoding="utf-8")


def offences(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"
        for path, text in texts()
        for found in pattern.finditer(text)
    ]


def test_old_names_are_gone() -> None:
    assert offences(NAMES) == []


def test_old_prose_is_gone() -> None:
    assert offences(PROSE) == []


def test_old_words_would_be_noticed() -> None:
    assert NAMES.search("with MemmapStore(folder) as shelf:")
    assert NAMES.search("def test_zero_is_background")
    assert not NAMES.search("the namespace of a free_namespace")
    assert PROSE.search("the grey values of the image")
    assert not PROSE.search("the ground truth of the image")


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def test_docstrings_begin_with_standard_verbs() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {text.split()[0]}"
        for path, source in texts()
        if path.suffix == ".py"
        for number, text in docstrings(ast.parse(source))
        if text.split()[0].rstrip("s") in PRIVATE_VERBS
    ]

    assert found == []


def options_of(command: str) -> dict[str, object]:
    """Return the options of a command with the type of their values."""
    return {name: argument.hint for argument in app[command].assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_an_option_of_the_same_name(command: str) -> None:
    missing = {f"--{name.replace('_', '-')}" for name in COMMANDS[command].model_fields} - options_of(command).keys()

    assert missing == set()


def label_words(config: type[Config], name: str) -> str:
    """Return the label of a setting in docks, without its unit."""
    return re.sub(r" ?\(.*\)", "", config.label_of(name)).lower()


@pytest.mark.parametrize("config", COMMANDS.values())
def test_labels_in_docks_are_the_names_of_the_settings(config: type[Config]) -> None:
    """A label may spell out what the name shortens, and leave out its unit, but not use another word."""
    spelled_out = {
        "val": "validation", "lr": "learning rate", "max": "maximum", "min": "minimum", "num": "number of",
        "grad": "gradient", "tta": "test-time augmentation", "um3": "", "um": "", "degrees": "",
    }  # fmt: skip
    other_words = {
        "adn_order": "norm/dropout/act. order", "spacing": "voxel size", "tolerance": "surface tolerance",
        "seed_prominence": "drop between objects", "seed_confidence": "certainty of objects",
    }  # fmt: skip
    for name in config.model_fields:
        label = label_words(config, name)
        expected = " ".join(name.split("_"))
        spelled = " ".join(" ".join(filter(None, (spelled_out.get(part, part) for part in name.split("_")))).split())
        bare = re.sub(r" (um3|um|degrees)$", "", expected)
        assert label in {expected, bare, spelled, other_words.get(name)}, f"{name} is called '{label}' in the dock"

    labels = [label_words(config, name) for name in config.model_fields]
    assert sorted(labels) == sorted(set(labels))


def choices() -> dict[str, type[ChoiceEnum]]:
    """Return the enum of each setting that is a choice, by its option."""
    found = {}
    for config in COMMANDS.values():
        for name, field in config.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, ChoiceEnum):
                found[f"--{name.replace('_', '-')}"] = field.annotation
    return found


def test_values_of_options_in_texts_are_choices() -> None:
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES if page != ADDS_A_CHOICE}
    wrong = [
        f"{page}: {option} {value}"
        for page, text in pages.items()
        for option, value in re.findall(r"(?<![\w-])(--[a-z][a-z-]+)[ =]`?([a-z][a-z0-9-]*)", text)
        if option in choices() and value not in [str(each.value) for each in choices()[option]]
    ]

    assert wrong == []
    assert choices()["--task"] is Task
    assert len(choices()) > 10


def test_pages_name_controls_as_docks_do() -> None:
    """What the pages write in italics is a text of the docks, a menu or a setting."""
    shown = "".join(text for path, text in texts() if ROOT / "src" in path.parents).lower()
    shown += " ".join(label_words(config, name) for config in COMMANDS.values() for name in config.model_fields)
    pages = [re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8")) for page in PAGES]
    names = {
        name.strip()
        for page in pages
        for path in re.findall(r"(?<![*\w])\*([A-Z][^*`]*?)\*(?!\*)", page)
        for name in path.split("▸")
    }
    of_napari = {"Plugins", "File", "Open Sample", "From the command line"}

    assert sorted(name for name in names - of_napari if name.lower() not in shown) == []
    assert len(names) > 30


def test_messages_name_settings_as_docks_do() -> None:
    """Sentences such as "Set the ignore label to 0" use the label of a setting, which is the option with spaces."""
    names = [(config, name) for config in (*COMMANDS.values(), CorrectionConfig) for name in config.model_fields]
    labels = {label_words(*each) for each in names} | {name.replace("_", " ") for _, name in names}
    found = [
        (path.relative_to(ROOT), name)
        for path, text in texts()
        if "src" in path.parts
        for name in re.findall(
            r"\b[Ss]et the ([a-z][a-z -]*?) to\b", re.sub(r'"?\s*\n\s*f?"?', " ", text).replace("  ", " ")
        )
    ]

    assert [each for each in found if not any(each[1].startswith(label) for label in labels)] == []
    assert len(found) > 3


def test_tasks_have_one_name_in_options_and_one_in_menus() -> None:
    assert {task.value: task.label for task in Task} == {
        "binary": "One foreground",
        "semantic": "Classes",
        "instance": "Single objects",
    }
    assert not hasattr(configs, "ZeroIs")
