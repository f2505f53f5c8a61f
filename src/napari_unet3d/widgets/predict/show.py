"""The work of the Predict dock, in the thread of its job, and how its results are shown in the viewer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_unet3d.configs import Task
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.time_points import split_name
from napari_unet3d.formatting import format_count
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.prediction_job import FileOpened, SeriesOpened
from napari_unet3d.widgets.components.legend import colour_legend
from napari_unet3d.widgets.viewer.channel_layers import show_channels
from napari_unet3d.widgets.viewer.label_colours import colour_of
from napari_unet3d.widgets.viewer.layer_metadata import (
    OWNED,
    companion_of,
    copy_origin,
    mark_companions,
    mark_dataset,
    mark_origin,
    origin_of,
    raise_volume,
)
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
from napari_unet3d.widgets.viewer.places import TimePoint
from napari_unet3d.widgets.viewer.series_layers import (
    find_series,
    place_in_time,
    show_difference_at,
    show_time_point,
)
from napari_unet3d.widgets.viewer.side_by_side import side_by_side_of
from napari_unet3d.widgets.viewer.view_state import look_at

_MAX_ROWS = 1000  # of the features of a layer
_LOOKS: dict[str, Any] = {"contrast_limits": (0, 1), "blending": "additive", "visible": False}


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
    if isinstance(like, TimePoint):
        return _show_time_point(viewer, comparison, like, truth_layer, origin)
    name, prediction = comparison.prediction.name, comparison.prediction
    origin = origin or VolumeOrigin(name, prediction.plan)
    raise_volume(viewer, name, truth_layer)
    probability = show_image(viewer, f"{name} probability", prediction.probability, like, colormap="magma", **_LOOKS)
    remove_own(viewer, f"{name} to annotate")  # of an earlier prediction, as the uncertainty may be
    if prediction.uncertainty is None:
        remove_own(viewer, f"{name} uncertainty")
    else:
        show_image(viewer, f"{name} uncertainty", prediction.uncertainty, like, colormap="inferno", **_LOOKS)
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


def _show_time_point(
    viewer: Any, comparison: Comparison, like: TimePoint, truth_layer: Labels | None, origin: VolumeOrigin | None
) -> Labels:
    """Show the prediction of a time point in layers of the whole series; what is visible then stays as it is."""
    prediction, (name, _) = comparison.prediction, split_name(comparison.prediction.name)
    origin = replace(origin or VolumeOrigin(name, prediction.plan), name=name)
    is_new = find_series(viewer, f"{name} prediction", Labels) is None
    maps = {"probability": (prediction.probability, "magma"), "uncertainty": (prediction.uncertainty, "inferno")}
    shown: dict[str, Layer] = {}
    for kind, (values, colormap) in maps.items():
        if values is not None:
            looks = {"colormap": colormap, **_LOOKS}
            shown[kind] = show_time_point(viewer, f"{name} {kind}", Image, values, like, **looks)
    labels: Labels = show_time_point(viewer, f"{name} prediction", Labels, prediction.labels, like, opacity=0.5)
    labels.features = _names_of_values(comparison)
    mark_origin([labels, *shown.values()], origin)
    mark_companions(labels, image=like.layer, truth=truth_layer, probability=shown["probability"])
    if comparison.difference is not None:
        difference = show_difference_at(viewer, f"{name} difference", comparison.difference, like)
        mark_origin([difference], origin)
        if is_new:
            show_on_top(viewer, difference, instead_of=[labels] if truth_layer is None else [labels, truth_layer])
    elif is_new:
        show_on_top(viewer, labels)
    return labels


def show_series(viewer: Any, name: str, opened: SeriesOpened) -> None:
    """Show a series from a file and its predicted labels, each as a layer of several time points."""
    _make_room(viewer)
    place = place_in_time(opened.image.geometry, opened.image.time_step_s)
    image, axis = opened.image, opened.image.axes.find("c")
    channels = [image.array] if axis < 0 else [image.array.take(n, axis) for n in range(image.array.shape[axis])]
    names = [f"{name} {channel}" for channel in image.channel_names] or [name]
    for each, values in zip(names, channels, strict=True):
        viewer.add_image(values, name=each, metadata={OWNED: True}, blending="additive", **place)
    labels = viewer.add_labels(opened.labels, name=f"{name} prediction", metadata={OWNED: True}, opacity=0.5, **place)
    mark_origin([labels], VolumeOrigin(name, opened.plan))
    mark_companions(labels, image=viewer.layers[names[0]])
    look_at(viewer, labels)


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
    if isinstance(like, TimePoint):
        truth = companion_of(before, "truth")
        truth = truth if isinstance(truth, Labels) else None
        return _show_time_point(viewer, comparison, like, truth, origin_of(before))
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
    if isinstance(image, TimePoint):
        if find_series(viewer, f"{split_name(comparison.prediction.name)[0]} prediction", Labels) is None:
            _make_room(viewer)
            show_channels(viewer, image.layer)
    elif isinstance(image, Layer):
        make_room_for(viewer, image)
    return show_comparison(viewer, comparison, image, truth, origin)


def show_volume(
    viewer: Any, sample: Sample, comparison: Comparison, origin: VolumeOrigin | None = None
) -> tuple[Image, Labels | None, Labels]:
    """Show a volume that is not in the viewer yet; return the layers of image, ground truth and prediction."""
    _make_room(viewer)
    image, truth = show_sample(viewer, sample)
    mark_dataset((image, truth), None if origin is None else origin.dataset)
    show_channels(viewer, image)
    labels = show_comparison(viewer, comparison, image, truth, origin)
    look_at(viewer, image)
    return image, truth, labels


def show_labels_of_file(viewer: Any, opened: FileOpened, origin: VolumeOrigin) -> None:
    """Show a volume from a file and its predicted labels, when nothing else was kept of the prediction."""
    assert opened.labels is not None
    _make_room(viewer)
    image, _ = show_sample(viewer, opened.sample)
    show_on_top(viewer, image)
    show_channels(viewer, image)
    labels = show_labels(viewer, f"{opened.sample.name} prediction", opened.labels, image, opacity=0.5)
    mark_origin([labels], origin)
    mark_companions(labels, image=image)
    show_on_top(viewer, labels)
    look_at(viewer, image)


def make_room_for(viewer: Any, image: Layer) -> None:
    """Hide the layers of other volumes, and show the channels of this one."""
    _make_room(viewer)
    show_channels(viewer, image)


def _make_room(viewer: Any) -> None:
    """End what is side by side, whose end would bring back old layers later, and hide the layers of the plugin."""
    side_by_side_of(viewer).stop()
    hide_own_layers(viewer)


def _names_of_values(comparison: Comparison) -> dict[str, list[Any]]:
    """Return the features that napari's status bar shows under the pointer; their rows are the label values."""
    if comparison.prediction.task is not Task.SEMANTIC or comparison.prediction.plan is None:
        return {}
    named = {each.value: each.name for each in comparison.prediction.plan.classes}
    values = range(max(named, default=0) + 1) if max(named, default=0) < _MAX_ROWS else [0, *sorted(named)]
    return {"index": list(values), "class": ["background", *(named.get(value, "") for value in [*values][1:])]}


def describe_labels(viewer: Any, comparison: Comparison) -> str:
    """Return how many objects or how much foreground is predicted, or the colours of the classes."""
    prediction = comparison.prediction
    labels, plan, name = prediction.labels, prediction.plan, prediction.name
    if prediction.task is Task.INSTANCE:
        return format_count(int(labels.max(initial=0)), "object")
    if prediction.task is Task.SEMANTIC and plan is not None:
        layer: Any = next((each for each in viewer.layers if each.name == f"{name} prediction"), None)
        if not isinstance(layer, Labels):  # removed or renamed by the user
            return ", ".join(each.name for each in plan.classes)
        return colour_legend({colour_of(layer, each.value): each.name for each in plan.classes})
    return f"Foreground: {np.count_nonzero(labels) / max(1, labels.size):.1%} of the volume"
