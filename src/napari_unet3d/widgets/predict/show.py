"""The work of the Predict dock, in the thread of its job, and how its results are shown in the viewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.configs import EvaluationConfig, PredictionConfig, Task
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample, read_volume, write_volume
from napari_unet3d.inference.events import EvaluateEvent, PredictFilesEvent, Prediction
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.comparison import Comparison, compare, decode
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.helper_layers import raise_volume
from napari_unet3d.widgets.viewer.layer_metadata import copy_origin, mark_companions, mark_origin
from napari_unet3d.widgets.viewer.layers import (
    Reference,
    hide_own_layers,
    remove_own,
    show_difference,
    show_image,
    show_labels,
    show_on_top,
    show_sample,
)

_MAX_ROWS = 1000  # of the features of a layer


@dataclass(frozen=True, slots=True)
class FileOpened:
    """A predicted file was read again to be shown.

    Attributes
    ----------
    sample : Sample
        The file.
    prediction : Prediction or None
        The prediction, if it was kept.
    labels : ndarray of unsigned integers, shape (z, y, x), or None
        The labels of the results; None when the prediction was kept.
    plan : Plan or None
        What the labels mean; None means foreground.
    """

    sample: Sample
    prediction: Prediction | None
    labels: NDArray[Any] | None
    plan: Plan | None


def predict_sample(model: Path, sample: Sample, config: PredictionConfig, out: Path | None) -> Iterator[Any]:
    """Predict one volume and compare it with its labels; write the result if there is a folder for it.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted
        As `predict` does.
    Comparison
        The result; always the last event.
    """
    from napari_unet3d.inference.predict import predict

    for event in predict(model, sample, config):
        if not isinstance(event, Prediction):
            yield event
            continue
        comparison = compare(event, decode(sample.labels, event, sample.label_mask))
        if out is not None:
            _write(comparison, files_of_layer(sample, out, config))
        yield comparison


def predict_paths(
    model: Path, files: Sequence[Path], out: Path, config: PredictionConfig, probability: bool, overwrite: bool
) -> Iterator[PredictFilesEvent]:
    """Return the events of `predict_files`; torch is imported in the thread that requests the first one."""
    from napari_unet3d.inference.predict import predict_files

    yield from predict_files(model, files, out, config, probability=probability, overwrite=overwrite)


def evaluate_dataset(model: Path, dataset: Path, out: Path | None, config: EvaluationConfig) -> Iterator[EvaluateEvent]:
    """Return the events of `evaluate`; torch is imported in the thread that requests the first one."""
    from napari_unet3d.inference.evaluate import evaluate

    yield from evaluate(model, dataset, out=out, config=config)


def open_file(source: Path, result: Path, plan: Plan | None, kept: Prediction | None) -> Iterator[FileOpened]:
    """Read a volume and, where its prediction was not kept, its predicted labels."""
    yield FileOpened(read_sample(source), kept, read_volume(result).array if kept is None else None, plan)


def show_comparison(
    viewer: Any, comparison: Comparison, like: Reference, truth_layer: Labels | None, origin: VolumeOrigin | None = None
) -> Labels:
    """Show a prediction in the position of its image, the errors on top; return the layer of its labels.

    The status bar shows the name of the class, or the id of the object, under the pointer.

    Without ground truth the predicted labels are visible. With it, the difference is: prediction and ground truth
    would cover it in 3D, so they are hidden, as probability and uncertainty are.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    comparison : Comparison
        The prediction.
    like : Layer or tuple of float
        The layer of the image, or its voxel size (z, y, x) in µm.
    truth_layer : Labels, optional
        The layer with the ground truth, which is hidden.
    origin : VolumeOrigin, optional
        Where it comes from; it is kept in the metadata of the layers, together with the layers of image, ground truth
        and probability.
    """
    name, prediction = comparison.prediction.name, comparison.prediction
    origin = origin or VolumeOrigin(name, prediction.plan)
    raise_volume(viewer, name)
    probability = show_image(
        viewer,
        f"{name} probability",
        prediction.probability,
        like,
        colormap="magma",
        contrast_limits=(0, 1),
        blending="additive",
        visible=False,
    )
    remove_own(viewer, f"{name} to annotate")  # of an earlier prediction, as the uncertainty may be
    if prediction.uncertainty is None:
        remove_own(viewer, f"{name} uncertainty")
    else:
        show_image(
            viewer,
            f"{name} uncertainty",
            prediction.uncertainty,
            like,
            colormap="inferno",
            contrast_limits=(0, 1),
            blending="additive",
            visible=False,
        )
    labels = show_labels(viewer, f"{name} prediction", prediction.labels, like, opacity=0.5)
    labels.features = _names_of_values(comparison)
    mark_origin([probability, labels], origin)
    mark_companions(labels, image=like, truth=truth_layer, probability=probability)
    if comparison.difference is None:
        show_on_top(viewer, labels)
        return labels
    difference = show_difference(viewer, f"{name} difference", comparison.difference, like)
    mark_origin([difference], origin)
    show_on_top(viewer, difference, instead_of=[labels] if truth_layer is None else [labels, truth_layer])
    return labels


def update_comparison(viewer: Any, comparison: Comparison, like: Reference, before: Labels) -> Labels:
    """Show other labels for the same probability; visible layers stay visible.

    Parameters
    ----------
    viewer, comparison, like
        As for `show_comparison`.
    before : Labels
        The layer of the labels so far.

    Returns
    -------
    Labels
        The layer of the labels: the same one, unless it was renamed or removed.
    """
    name = comparison.prediction.name
    labels = show_labels(viewer, f"{name} prediction", comparison.prediction.labels, like)
    if labels is not before:
        labels.features = _names_of_values(comparison)
        copy_origin(before, labels)
    if comparison.difference is not None:
        show_difference(viewer, f"{name} difference", comparison.difference, like)
    return labels


def show_comparison_of_layer(
    viewer: Any, comparison: Comparison, image: Reference, truth: Labels | None, origin: VolumeOrigin | None = None
) -> Labels:
    """Show the prediction of a layer that is in the viewer, and hide the layers of other volumes."""
    if isinstance(image, Layer):
        hide_own_layers(viewer)
        image.visible = True
    return show_comparison(viewer, comparison, image, truth, origin)


def show_volume(
    viewer: Any, sample: Sample, comparison: Comparison, origin: VolumeOrigin | None = None
) -> tuple[Image, Labels | None, Labels]:
    """Show a volume that is not in the viewer yet; return the layers of image, ground truth and prediction."""
    hide_own_layers(viewer)
    image, truth = show_sample(viewer, sample)
    image.visible = True
    return image, truth, show_comparison(viewer, comparison, image, truth, origin)


def show_labels_of_file(viewer: Any, opened: FileOpened, origin: VolumeOrigin) -> None:
    """Show a volume from a file and its predicted labels, when nothing else was kept of the prediction."""
    assert opened.labels is not None
    hide_own_layers(viewer)
    image, _ = show_sample(viewer, opened.sample)
    show_on_top(viewer, image)
    labels = show_labels(viewer, f"{opened.sample.name} prediction", opened.labels, image, opacity=0.5)
    mark_origin([labels], origin)
    mark_companions(labels, image=image)
    show_on_top(viewer, labels)


def _names_of_values(comparison: Comparison) -> dict[str, list[Any]]:
    """Return the features that napari's status bar shows under the pointer; their rows are the label values."""
    if comparison.prediction.task is not Task.SEMANTIC or comparison.prediction.plan is None:
        return {}
    named = {each.value: each.name for each in comparison.prediction.plan.classes}
    values = range(max(named, default=0) + 1) if max(named, default=0) < _MAX_ROWS else [0, *sorted(named)]
    return {"index": list(values), "class": ["background", *(named.get(value, "") for value in [*values][1:])]}


def files_of_layer(sample: Sample, folder: Path, config: PredictionConfig) -> dict[str, Path]:
    """Return the files that `predict_sample` writes, by what they hold."""
    has_truth = sample.labels is not None
    is_written = {"labels": True, "probability": True, "uncertainty": config.uncertainty, "difference": has_truth}
    return {kind: folder / f"{file_name(sample.name)}_{kind}.tif" for kind, is_asked in is_written.items() if is_asked}


def _write(comparison: Comparison, files: dict[str, Path]) -> None:
    for kind, file in files.items():
        array: Any = comparison.difference if kind == "difference" else getattr(comparison.prediction, kind)
        write_volume(file, array, comparison.prediction.voxel_size_um)
