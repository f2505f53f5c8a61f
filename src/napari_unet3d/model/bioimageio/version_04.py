"""Descriptions by version 0.4 of the specification, rewritten as those of version 0.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {"b": "batch", "c": "channel", "i": "index", "t": "time"}
_TYPES = _NAMES | dict.fromkeys("zyx", "space")


def to_05(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a description that decide on a prediction, as version 0.5 writes them.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError
        If it is no description of version 0.4.
    """
    return {
        **description,
        "inputs": [_tensor(each, "preprocessing") for each in description["inputs"]],
        "outputs": [_tensor(each, "postprocessing") for each in description["outputs"]],
        "weights": {kind: _weights(entry) for kind, entry in description["weights"].items()},
    }


def _tensor(tensor: Mapping[str, Any], steps: str) -> dict[str, Any]:
    letters = str(tensor["axes"])
    sizes = _sizes(tensor["shape"], len(letters))
    halos = tensor.get("halo") or [0] * len(letters)
    axes = []
    for letter, size, halo in zip(letters, sizes, halos, strict=True):
        axis = {"type": _TYPES.get(letter, letter), "id": _NAMES.get(letter, letter), "size": size, "halo": halo}
        axes.append(axis)
    return {
        "id": tensor["name"],
        "axes": axes,
        "data": {"type": tensor["data_type"], "range": tensor.get("data_range") or [None, None]},
        steps: [_step(each) for each in tensor.get(steps) or []],
    }


def _sizes(shape: Any, n_axes: int) -> list[Any]:
    """Return the size of each axis: a number, ``min`` and ``step``, or scale and offset from another tensor."""
    if not isinstance(shape, Mapping):
        return list(shape)
    if "min" in shape:
        pairs = zip(shape["min"], shape["step"], strict=True)
        return [{"min": low, "step": step} if step else low for low, step in pairs]
    other = str(shape.get("reference_tensor") or shape.get("reference_input"))
    pairs = zip(shape["scale"], shape["offset"], strict=True)
    sizes: list[Any] = [
        {"tensor_id": other, "scale": scale, "offset": 2 * offset} if scale else int(2 * offset)
        for scale, offset in pairs
    ]
    return sizes if len(sizes) == n_axes else []


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    name, kwargs = str(step["name"]), dict(step.get("kwargs") or {})
    mode = kwargs.pop("mode", "fixed" if name == "zero_mean_unit_variance" else "per_sample")
    if isinstance(axes := kwargs.pop("axes", None), str):
        kwargs["axes"] = [_NAMES.get(letter, letter) for letter in axes] + ["batch"] * (mode == "per_dataset")
    if name == "zero_mean_unit_variance" and mode == "fixed":
        name = "fixed_zero_mean_unit_variance"
        reduced = kwargs.pop("axes", [])
        if isinstance(kwargs.get("mean"), list) and "channel" not in reduced:
            kwargs["axis"] = "channel"
    elif name == "scale_linear":
        kwargs.pop("axes", None)
        if isinstance(kwargs.get("gain"), list) or isinstance(kwargs.get("offset"), list):
            kwargs["axis"] = "channel"
    elif name == "sigmoid":
        kwargs = {}
    return {"id": name, "kwargs": kwargs}


def _weights(entry: Mapping[str, Any]) -> dict[str, Any]:
    entry = dict(entry)
    architecture = entry.get("architecture")
    if isinstance(architecture, str):
        kwargs = dict(entry.get("kwargs") or {})
        if ":" in architecture:
            source, name = architecture.rsplit(":", 1)
            entry["architecture"] = {"source": source, "callable": name, "kwargs": kwargs}
        else:
            module, _, name = architecture.rpartition(".")
            entry["architecture"] = {"import_from": module, "callable": name, "kwargs": kwargs}
    return entry
