"""The reader of napari: volumes with their place, datasets with the dock Dataset, models with the dock Predict."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet3d.data.formats.registry import is_volume, split_path, volume_name
from napari_unet3d.data.geometry import UNKNOWN, Geometry, describe_voxel_size
from napari_unet3d.data.layout import is_dataset
from napari_unet3d.data.lazy_volumes import LazyVolume, open_lazily
from napari_unet3d.data.pairs import Pair, folder_notices, list_pairs
from napari_unet3d.data.reading import list_volumes, read_image
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.bioimageio.package import DESCRIPTIONS, SUFFIX, is_package

if TYPE_CHECKING:
    from napari_unet3d.data.formats.base import StoredVolume, VolumeData

LayerData = tuple[Any, ...]
Reader = Callable[..., list[LayerData]]

_MODELS = (".safetensors", ".pth", ".pt", ".onnx")
_RUN_FILES = ("model.safetensors", "last.safetensors")
_LABELS = re.compile(r"(^|[/_\-. ])(labels?|masks?|annotated|seg|segmentations?|gt|ground_?truth|neuron_ids)$", re.I)
_LABEL_FOLDERS = ("labels", "masks", "annotated", "labelstr", "labelsts")
_MOST_VOLUMES = 8  # of a file or a dataset that are opened together
_MOST_VALUES = 2**31


def get_reader(path: Any) -> Reader | None:
    """Return the function that opens a path; None if it is nothing that this plugin knows.

    Parameters
    ----------
    path : str, Path or list of str
        A file, a volume inside a file, a folder of slices, a dataset, a run folder or a model.
    """
    if not isinstance(path, str | Path) and len(path) != 1:
        return None  # napari stacks them
    path = _single(path)
    if _is_model(path):
        return open_model
    file, _ = split_path(path)
    if is_volume(file) and os.path.exists(file):
        return read_layers
    if os.path.isdir(path) and is_dataset(path):
        return read_dataset
    return None


def read_layers(path: Any, **_: Any) -> list[LayerData]:
    """Read a file, or a volume inside it, as layers: one for each volume and channel; of many volumes, one is chosen.

    Raises
    ------
    UserError
        As `read_image`.
    """
    path = _single(path)
    file, inner = split_path(path)
    volumes: Sequence[StoredVolume] = list_volumes(path)
    if (large := _open_large(path, n_volumes=1 if inner else len(volumes))) is not None:
        return _layers_of(path, large.about, large.levels)
    if len(volumes) > 1 and not inner and not any(each.default_notice for each in volumes):
        if len(volumes) > _MOST_VOLUMES:
            volumes = _ask(file, volumes)
        paths = [file / each.name if each.name else file for each in volumes]
        read = _in_one_place({each: _read(each) for each in paths})
        layers = [layer for each, volume in read.items() for layer in _layers_of(each, volume)]
        return sorted(layers, key=lambda layer: layer[2] == "labels") or [(None,)]  # labels above images
    return _layers_of(path, _read(path))


def read_dataset(path: Any, **_: Any) -> list[LayerData]:
    """Read the volumes of a dataset as layers, each with its labels, and open the dock Dataset with the folder.

    Only the first volume is visible.

    Raises
    ------
    UserError
        If no volume has labels, or one cannot be read.
    """
    folder = _single(path)
    _open_dataset_dock(folder)
    pairs = [pair for pair in list_pairs(folder) if pair.is_complete]
    if not pairs:
        raise UserError(f"{folder} has no image with labels. Add images and labels of the same name to it.")
    _warn(folder_notices(folder))
    if len(pairs) > _MOST_VOLUMES:
        notice = (
            f"{folder} has {len(pairs)} volumes; the first {_MOST_VOLUMES} are opened. The Dataset dock opens others."
        )
        _warn([notice])
    layers = [layer for pair in pairs[:_MOST_VOLUMES] for layer in _layers_of_pair(pair)]
    for _, options, _ in layers[2:]:
        options["visible"] = False
    return layers


def _open_dataset_dock(folder: Path) -> None:
    import napari

    from napari_unet3d.widgets.components.dock_window import open_dock
    from napari_unet3d.widgets.components.hand_over import HandOver

    if (viewer := napari.current_viewer()) is not None:
        open_dock(viewer, "Dataset", HandOver(dataset=folder))


def open_model(path: Any, **_: Any) -> list[LayerData]:
    """Open the dock Predict with a model or the model of a run; there are no layers.

    Raises
    ------
    UserError
        If there is no viewer.
    """
    import napari

    from napari_unet3d.widgets.components.dock_window import open_dock
    from napari_unet3d.widgets.components.hand_over import HandOver

    path, viewer = _single(path), napari.current_viewer()
    if viewer is None:
        raise UserError(f"{path} is a model, which a viewer opens in the dock Predict. Start napari first.")
    open_dock(viewer, "Predict", HandOver(run=path))
    return [(None,)]


def _ask(file: Path, volumes: Sequence[StoredVolume]) -> list[StoredVolume]:
    """Return the volume of a file that the user chooses; none if the dialog is cancelled."""
    from qtpy.QtWidgets import QInputDialog

    names = [f"{each.name}  ({' × '.join(str(n) for n in each.shape if n != 1)}, {each.dtype})" for each in volumes]
    text = f"{file.name} holds {len(volumes)} volumes. Open"
    chosen, is_accepted = QInputDialog.getItem(None, "Choose a volume", text, names, 0, False)
    return [volumes[names.index(chosen)]] if is_accepted else []


def _is_model(path: Path) -> bool:
    if os.path.isdir(path):
        return any(os.path.isfile(path / name) for name in (*_RUN_FILES, *DESCRIPTIONS))
    if path.suffix.lower() == SUFFIX:
        return is_package(path)
    return path.suffix.lower() in _MODELS and os.path.isfile(path)


def _single(path: Any) -> Path:
    return Path(path if isinstance(path, str | Path) else path[0])


def _read(path: Path) -> VolumeData:
    return read_image(path, role="labels" if _has_name_of_labels(path) else "")


def _in_one_place(volumes: dict[Path, VolumeData]) -> dict[Path, VolumeData]:
    """Return volumes, those without a voxel size with that of others of the file of the same shape, if these agree."""
    placed = dict(volumes)
    for path, volume in volumes.items():
        others = {
            other.geometry: volume_name(name)
            for name, other in volumes.items()
            if other.geometry != UNKNOWN and _spatial_shape(other) == _spatial_shape(volume)
        }
        if volume.geometry == UNKNOWN and len(others) == 1:
            ((geometry, source),) = others.items()
            notice = f"{volume_name(path)} gives no voxel size; that of {source} in the same file is taken."
            placed[path] = replace(volume, geometry=geometry, notices=(*volume.notices, notice))
    return placed


def _spatial_shape(volume: VolumeData) -> tuple[int, ...]:
    return tuple(volume.array.shape[volume.axes.index(axis)] for axis in "zyx")


def _open_large(path: Path, n_volumes: int) -> LazyVolume | None:
    """Open a volume that does not fit into memory; None for others, and if there are several to choose from."""
    return open_lazily(path, "labels" if _has_name_of_labels(path) else "") if n_volumes == 1 else None


def _layers_of(path: Path, volume: VolumeData, levels: Sequence[Any] = ()) -> list[LayerData]:
    """Return the layers of a volume; `levels` are its resolutions if it is not in memory."""
    from napari_unet3d.widgets.viewer.channel_layers import COLOURMAPS
    from napari_unet3d.widgets.viewer.layer_metadata import CHANNEL
    from napari_unet3d.widgets.viewer.places import GEOMETRY

    name = volume_name(path)
    _warn([*volume.notices, *_unknown_size(name, volume.geometry)])
    is_labels = _is_labels(path, volume)
    place, metadata = _place(volume), {"napari_unet3d_path": str(path), GEOMETRY: volume.geometry}
    if levels:
        place |= {"multiscale": len(levels) > 1}
    if "c" not in volume.axes:
        data = _data(volume, levels)
        return [(data, {"name": name, "metadata": metadata, **place}, "labels" if is_labels else "image")]
    axis = volume.axes.index("c")
    options = [{} if is_labels else {"blending": "additive", "colormap": colour} for colour in COLOURMAPS]
    return [
        (
            _data(volume, levels, (slice(None),) * axis + (number,)),
            {
                "name": f"{name} {channel}",
                "metadata": metadata | {CHANNEL: (name, channel)},
                **options[number % len(options)],
                **place,
            },
            "labels" if is_labels else "image",
        )
        for number, channel in enumerate(volume.channel_names)
    ]


def _data(volume: VolumeData, levels: Sequence[Any], index: tuple[Any, ...] = (...,)) -> Any:
    """Return the data of a layer: a part of the array in memory, or of each resolution."""
    parts = [each[index] for each in levels or [volume.array]]
    return parts if len(parts) > 1 else parts[0]


def _layers_of_pair(pair: Pair) -> list[LayerData]:
    from napari_unet3d.data.series import read_time_points
    from napari_unet3d.widgets.viewer.series_layers import place_in_time

    samples: list[Sample] = list(read_time_points(pair))
    first, is_series = samples[0], len(samples) > 1
    _warn([*first.notices, *_unknown_size(first.name, first.geometry)])
    place = place_in_time(first.geometry) if is_series else _spatial(first.geometry)
    name = pair.name if is_series else first.name
    arrays = [(sample.image, np.asarray(sample.labels)) for sample in samples]
    image, labels = (np.stack(each) if is_series else each[0] for each in zip(*arrays, strict=True))
    if is_series and first.n_channels > 1:
        return [
            *((image[:, n], {"name": f"{name} {c}", **place}, "image") for n, c in enumerate(first.channel_names)),
            (labels, {"name": f"{name} labels", **place}, "labels"),
        ]
    return [
        (image, {"name": name, **place}, "image"),
        (labels, {"name": f"{name} labels", **place}, "labels"),
    ]


def _has_name_of_labels(path: Path) -> bool:
    file, inner = split_path(path)
    name = inner or volume_name(file)
    parts = {part.casefold() for part in (*Path(inner).parts[:-1], file.parent.name)}
    return bool(_LABELS.search(name)) or not parts.isdisjoint(_LABEL_FOLDERS)


def _is_labels(path: Path, volume: VolumeData) -> bool:
    """Return whether a volume is one of labels, as far as its name says so and its values allow it."""
    array = volume.array
    return (
        _has_name_of_labels(path) and array.dtype.kind in "bui" and bool(array.size) and int(array.max()) < _MOST_VALUES
    )


def _place(volume: VolumeData) -> dict[str, Any]:
    """Return scale, units and place of the layers of a volume, with a step of 1 along time where it is unknown."""
    if "t" not in volume.axes:
        return _spatial(volume.geometry)
    from napari_unet3d.widgets.viewer.series_layers import place_in_time

    return place_in_time(volume.geometry, volume.time_step_s)


def _spatial(geometry: Geometry) -> dict[str, Any]:
    from napari_unet3d.widgets.viewer.layers import spatial_kwargs

    return spatial_kwargs(geometry)


def _unknown_size(name: str, geometry: Geometry) -> list[str]:
    if geometry.is_calibrated:
        return []
    shown = "with voxels of side 1" if None in geometry.sizes else "without a unit"
    return [f"The voxel size of {name} is {describe_voxel_size(geometry)}; it is shown {shown}."]


def _warn(messages: Sequence[str]) -> None:
    from napari.utils.notifications import show_warning

    for message in messages:
        show_warning(message)
