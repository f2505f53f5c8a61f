"""A few small runs through the whole engine; `test_pinned_results.py` compares their results with pinned ones.

The program writes JSON to stdout with three groups of results. ``always`` is the same on every machine. ``bits`` are
hashes and lists that are the same where the arithmetic is the same to the last bit. ``numbers`` vary slightly between
machines.

It uses the public Python API and files that users see, so that it outlives a reorganisation of the package. When a
setting, an event or an attribute is renamed, rename it here; the results stay the same.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from napari_unet3d import (
    EvaluationConfig,
    PredictionConfig,
    Sample,
    SyntheticConfig,
    TrainingConfig,
    evaluate,
    generate,
    generate_volume,
    predict,
    read_volume,
    train,
)
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished

SMALL = {"objects": 3, "shape": (21, 28, 37), "object_shape_min": (9, 9, 9), "object_shape_max": (12, 14, 15)}
FLAT = {"objects": 14, "shape": (18, 40, 44), "object_shape_min": (6, 10, 10), "object_shape_max": (8, 14, 14)}
TUBES = {"object_shape": "tube", "axis": "x", "noise_type": "mixed", "magnification": (0.8, 1.2), "shell_thickness": 2}
NOISE = {"background_apply": "add", "background_baseline": 10, "photon_count": 50, "pixel_type": "uint16"}

NETWORK = {"preset": "xxsmall", "loss": "dice-ce", "learning_rate": 1e-2, "weight_decay": 1e-3, "device": "cpu"}
TUTORIAL = {**NETWORK, "patch": "whole", "augmentation": "light", "val_fraction": 0.2, "batch_size": 1, "seed": 0}
PATCHES = {"patch": (8, 16, 16), "batch_size": 2, "steps_per_epoch": 3, "augmentation": "heavy", "ema_decay": 0.9}
CLASSES = {"task": "semantic", "class_names": ("odd", "even"), "class_weights": (1, 2, 3)}
OBJECTS = {"task": "instance", "preset": "xsmall", "patch": (8, 24, 24), "batch_size": 2}
# A few steps with each of the other choices.
VARIANTS: dict[str, dict[str, Any]] = {
    "bce": {"loss": "bce", "augmentation": "moderate", "lr_schedule": "cosine", "resize_mode": "crop"},
    "dice": {"loss": "dice", "class_weighting": "auto", "lr_schedule": "poly", "resize_mode": "resize"},
    "focal": {"loss": "focal", "max_grad_norm": 0.1, "lr_schedule": "one-cycle"},
    "plateau": {"lr_schedule": "plateau", "shuffle": False, "batch_size": 2, "validate_every": 2},
    "no validation": {"lr_schedule": "constant", "val_fraction": 0, "preset": "small", "save_snapshots": False},
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "normalisation": "min-max", "activation": "elu"},
    "rmsprop": {"optimizer": "rmsprop", "normalisation": "percentile", "activation": "leaky-relu"},
    "adamw": {"optimizer": "adamw", "normalisation": "none", "activation": "relu", "adn_order": "AND"},
    "kernels": {"kernel_size": 5, "up_kernel_size": 5, "bias": False, "dropout": 0.2, "val_augmentation": "light"},
    "auto": {"patch": "auto", "batch_size": 0, "steps_per_epoch": 2, "foreground_fraction": 0.8, "seed": 1},
}


@dataclass
class Results:
    """What is compared, each result with a name of its own."""

    always: dict[str, Any] = field(default_factory=dict)
    bits: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    def add_image(self, name: str, image: NDArray[Any]) -> None:
        self.bits[name] = hash_of({"": image})
        self.numbers[f"{name}, mean"] = float(image.mean(dtype=np.float64))

    def add_labels(self, name: str, labels: NDArray[Any]) -> None:
        self.bits[name] = hash_of({"": labels})
        self.numbers[f"{name}, fraction above 0"] = float((labels > 0).mean())

    def add_model(self, name: str, path: Path) -> None:
        weights = load_file(path)
        self.bits[name] = hash_of(weights)
        squares = sum(float(np.square(each, dtype=np.float64).sum()) for each in weights.values())
        self.numbers[f"{name}, norm"] = squares**0.5


def hash_of(arrays: dict[str, NDArray[Any]]) -> str:
    """Compute a hash of the names, number types, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


def add_training(
    results: Results, name: str, data: Path | Sequence[Sample], run: Path, settings: dict[str, Any], **options: Any
) -> None:
    """Train, and add the best and the last model and all losses."""
    steps, epochs = [], []
    for event in train(data, run, TrainingConfig(**settings), **options):
        if isinstance(event, StepFinished):
            steps.append(event.loss)
        elif isinstance(event, EpochFinished):
            epochs.append([event.train_loss, event.val_loss, event.val_dice])
    results.numbers[f"{name}, loss of each step"] = steps
    results.numbers[f"{name}, losses and Dice of each epoch"] = epochs
    results.add_model(f"{name}, best model", run / "model.safetensors")
    results.add_model(f"{name}, last model", run / "last.safetensors")


def add_prediction(results: Results, name: str, run: Path, image: Path | Sample, **settings: Any) -> None:
    """Predict, and add labels, probability and everything else that a prediction holds."""
    *_, prediction = predict(run, image, PredictionConfig(device="cpu", **settings))
    results.add_labels(f"{name}, labels", prediction.labels)
    results.add_image(f"{name}, probability", prediction.probability)
    if prediction.maps is not None:
        results.add_image(f"{name}, maps", prediction.maps)
    if prediction.uncertainty is not None:
        results.add_image(f"{name}, uncertainty", prediction.uncertainty)


def add_evaluation(
    results: Results, name: str, run: Path, data: Path | Sequence[Sample], out: Path, **settings: Any
) -> None:
    """Evaluate, and add metrics, errors and differences as they are written to files."""
    for _ in evaluate(run, data, out=out, config=EvaluationConfig(device="cpu", **settings)):
        pass
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    results.bits[f"{name}, metrics"] = metrics
    for volume in metrics["volumes"]:
        for metric in ("dice", "iou", "precision", "recall", "nsd"):
            results.numbers[f"{name}, {metric} of volume {volume['name']}"] = volume[metric]
    with (out / "errors.csv").open(encoding="utf-8-sig", newline="") as file:
        _, *rows = csv.reader(file)
    results.bits[f"{name}, errors"] = [" | ".join(row[:-1]) for row in rows]  # the last column names a picture
    for path in sorted((out / "differences").iterdir()):
        results.bits[f"{name}, {path.name}"] = hash_of({"": read_volume(path).array})


def read_samples(folder: Path) -> list[Sample]:
    """Read the training or the test volumes of a dataset."""
    samples = []
    for path in sorted((folder / "images").iterdir()):
        image, labels = read_volume(path), read_volume(folder / "labels" / path.name)
        samples.append(Sample(path.stem, image.array, labels.array, image.voxel_size_um or (1.0, 1.0, 1.0)))
    return samples


def with_classes(sample: Sample) -> Sample:
    """Replace ids of objects by two classes, one for odd and one for even ids."""
    labels = np.asarray(sample.labels)
    return replace(sample, labels=np.where(labels > 0, 1 + labels % 2, 0).astype(np.uint8))


def with_painted_slices(sample: Sample) -> Sample:
    """Annotate every fifth slice, with 1 for background and 2 for foreground, and leave 0 elsewhere."""
    labels = np.zeros(sample.shape, np.uint8)
    labels[2::5] = 1 + (np.asarray(sample.labels)[2::5] > 0)
    return replace(sample, labels=labels)


def half_annotated(sample: Sample) -> Sample:
    """Mark one half of a volume as annotated."""
    annotated = np.zeros(sample.shape, bool)
    annotated[:, : sample.shape[1] // 2] = True
    return replace(sample, label_mask=annotated)


def run_generation(results: Results, folder: Path) -> None:
    foreground = SyntheticConfig(**SMALL, label_kind="foreground", seed=0)
    objects = SyntheticConfig(**FLAT, difficulty="hard", voxel_size_um=(2.0, 1.0, 1.0), seed=7)
    for name, config, n_train in (("foreground", foreground, 5), ("objects", objects, 3)):
        for _ in generate(folder / name, config, n_train=n_train, n_test=1):
            pass
        for part in ("train", "test"):
            for sample in read_samples(folder / name / part):
                results.add_image(f"generated {name}, image {sample.name}", sample.image)
                results.add_labels(f"generated {name}, labels {sample.name}", np.asarray(sample.labels))
    tubes = SyntheticConfig(**{**FLAT, **TUBES, **NOISE, "placement": "bounding-box", "objects": 6, "seed": 3})
    *_, generated = generate_volume(tubes)
    results.add_image("generated tubes, image", generated.sample.image)
    results.add_labels("generated tubes, labels", generated.sample.labels)


def run_splits(results: Results, folder: Path) -> None:
    volumes = read_samples(folder / "foreground" / "train")
    labels = np.zeros((8, 96, 16), np.uint8)
    labels[2:6, ::6, 4:12] = 1
    single = [Sample("single", labels * 100, labels)]
    for name, samples, fraction in (("volumes", volumes, 0.4), ("a single volume", single, 0.2)):
        for seed in (0, 1, 5, 7):
            settings = TrainingConfig(**{**TUTORIAL, "val_fraction": fraction, "seed": seed})
            events = train(samples, folder / f"split of {name} {seed}", settings)
            started = next(event for event in events if isinstance(event, RunStarted))
            events.close()
            split = f"{' '.join(started.train_names)} train, {' '.join(started.val_names)} validate"
            blocks = [f"{block.start_zyx} to {block.stop_zyx}" for block in started.blocks]
            results.always[f"split of {name}, seed {seed}"] = ", ".join([split, *blocks])


def run_foreground(results: Results, folder: Path) -> None:
    data, run = folder / "foreground", folder / "run of foreground"
    image = data / "test" / "images" / "6.tif"
    add_training(results, "foreground", data, run, {**TUTORIAL, "epochs": 6})
    add_prediction(results, "foreground", run, image)
    add_prediction(results, "foreground, mirror images", run, image, tta=True, threshold=0.4, min_volume=30)
    add_evaluation(results, "foreground", run, data, folder / "evaluation of foreground", tolerance=0)
    settings = {**TUTORIAL, "augmentation": "none", "epochs": 1}
    add_training(results, "foreground, started from it", data, folder / "second run", settings, start_from=run)


def run_patches(results: Results, folder: Path) -> None:
    data, run, resumed = folder / "foreground", folder / "run of patches", folder / "resumed run"
    settings = {**TUTORIAL, **PATCHES, "epochs": 3}
    add_training(results, "patches", data, run, settings)
    image = data / "test" / "images" / "6.tif"
    add_prediction(results, "patches, tiles", run, image, overlap=0.25)
    add_prediction(results, "patches, tiles and mirror images", run, image, overlap=0.5, tta=True, uncertainty=True)

    events = train(data, resumed, TrainingConfig(**settings))
    next(event for event in events if isinstance(event, EpochFinished))
    events.close()
    for _ in train(data, resumed, resume=True):
        pass
    for name in ("model.safetensors", "last.safetensors"):
        is_same = hash_of(load_file(run / name)) == hash_of(load_file(resumed / name))
        results.always[f"patches, {name} is the same after resuming"] = is_same


def run_classes(results: Results, folder: Path) -> None:
    run, data = folder / "run of classes", [with_classes(each) for each in read_samples(folder / "objects" / "train")]
    test = [with_classes(each) for each in read_samples(folder / "objects" / "test")]
    add_training(results, "classes", data, run, {**TUTORIAL, **CLASSES, "epochs": 8})
    add_prediction(results, "classes", run, test[0], uncertainty=True)
    add_evaluation(results, "classes", run, test, folder / "evaluation of classes", tolerance=1, tta=True)


def run_objects(results: Results, folder: Path) -> None:
    data, run = folder / "objects", folder / "run of objects"
    image = data / "test" / "images" / "4.tif"
    add_training(results, "objects", data, run, {**TUTORIAL, **OBJECTS, "epochs": 5})
    add_prediction(results, "objects", run, image, overlap=0.25)
    other = {"seed_prominence": 0.05, "boundary_weight": 0.8, "seed_confidence": 0.2, "min_volume": 20}
    add_prediction(results, "objects, other separation", run, image, **other)
    add_evaluation(results, "objects", run, data, folder / "evaluation of objects", tolerance=1)


def run_variants(results: Results, folder: Path) -> None:
    samples = read_samples(folder / "foreground" / "train")[:3]
    for name, settings in VARIANTS.items():
        add_training(results, name, samples, folder / f"run {name}", {**TUTORIAL, "epochs": 3, **settings})

    painted = [with_painted_slices(sample) for sample in samples]
    settings = {**TUTORIAL, **PATCHES, "epochs": 1}
    add_training(results, "painted slices", painted, folder / "painted", {**settings, "ignore_label": 0})
    half = [half_annotated(sample) for sample in samples]
    add_training(results, "half annotated", half, folder / "half", {**TUTORIAL, "epochs": 2})
    add_evaluation(results, "half annotated", folder / "half", half[:1], folder / "evaluation of half")

    mixed = [samples[0], samples[1].at(Geometry((1.0, 0.7, 0.7))), replace(samples[2], name="flat")]
    mixed[2] = mixed[2].at(Geometry((2.0, 1.0, 1.0)))
    add_training(results, "mixed voxel sizes", mixed, folder / "mixed", {**settings, "spacing": "median"})
    add_prediction(results, "mixed voxel sizes", folder / "mixed", mixed[1])


RUNS: tuple[Callable[[Results, Path], None], ...] = (
    run_generation,
    run_splits,
    run_foreground,
    run_patches,
    run_classes,
    run_objects,
    run_variants,
)


def main() -> None:
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        for run in RUNS:
            run(results, Path(folder))
    json.dump({"always": results.always, "bits": results.bits, "numbers": results.numbers}, sys.stdout)


if __name__ == "__main__":
    main()
