"""Packages of bioimage.io as others make them: an ONNX file whose output is known, and a description."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

SPACE = ("z", "y", "x")


def box_filter(path: Path, gains: tuple[float, ...] = (1.0,), *, axes: str = "bczyx", fixed: dict[str, int]) -> None:
    """Write a network that gives the mean over 3 × 3 × 3 voxels times a gain, one output channel for each gain.

    Voxels beyond the border count as 0. The tensors have the axes that are named, with sides that are fixed or free.
    """
    weights = np.stack([np.full((1, 3, 3, 3), gain / 27, np.float32) for gain in gains])
    kept = [axis for axis in "bczyx" if axis in axes]
    missing = [number for number, axis in enumerate("bczyx") if axis not in axes]
    nodes, initial = [], [numpy_helper.from_array(weights, "w")]
    nodes.append(helper.make_node("Transpose", ["image"], ["t"], perm=[axes.index(axis) for axis in kept]))
    initial.append(numpy_helper.from_array(np.array(missing, np.int64), "missing"))
    nodes.append(helper.make_node("Unsqueeze", ["t", "missing"], ["u"]) if missing else identity("t", "u"))
    nodes.append(helper.make_node("Conv", ["u", "w"], ["v"], pads=[1] * 6))
    nodes.append(helper.make_node("Squeeze", ["v", "missing"], ["s"]) if missing else identity("v", "s"))
    nodes.append(helper.make_node("Transpose", ["s"], ["out"], perm=[kept.index(axis) for axis in axes]))
    shape = [fixed.get(axis, axis) for axis in axes]
    outputs = [len(gains) if axis == "c" else side for axis, side in zip(axes, shape, strict=True)]
    graph = helper.make_graph(
        nodes,
        "box",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, outputs)],
        initial if missing else initial[:1],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def identity(source: str, target: str) -> Any:
    return helper.make_node("Identity", [source], [target])


def describe(
    *,
    size: Any = None,
    halo: int = 0,
    preprocessing: list[Any] | None = None,
    postprocessing: list[Any] | None = None,
    names: tuple[str, ...] = ("foreground",),
    weights: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a description by version 0.5 of a model with the axes b, c, z, y, x."""
    size = {"min": 8, "step": 4} if size is None else size
    spaces = [{"type": "space", "id": axis, "size": size} for axis in SPACE]
    same = [
        {"type": "space", "id": axis, "halo": halo, "size": size if isinstance(size, int) else reference(axis)}
        for axis in SPACE
    ]
    about = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "A model of others",
        "inputs": [
            {
                "id": "raw",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["raw"]}, *spaces],
                "preprocessing": preprocessing or [],
            }
        ],
        "outputs": [
            {
                "id": "prediction",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": list(names)}, *same],
                "postprocessing": postprocessing or [],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 17}} if weights is None else weights,
    }
    return about | more


def reference(axis: str) -> dict[str, str]:
    return {"tensor_id": "raw", "axis_id": axis}


def write(folder: Path, about: dict[str, Any], *gains: float, axes: str = "bczyx", size: int | None = None) -> Path:
    """Write a package with the box filter as its network."""
    folder.mkdir(parents=True, exist_ok=True)
    fixed = {"c": 1} | ({} if size is None else dict.fromkeys("zyx", size))
    box_filter(folder / "weights.onnx", gains or (1.0,), axes=axes, fixed=fixed)
    (folder / "rdf.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    return folder


def zipped(folder: Path, path: Path, top: str = "") -> Path:
    """Pack a folder, as downloads of bioimage.io are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, top + file.name)
    return path
