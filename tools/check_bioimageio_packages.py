"""Make packages of bioimage.io with its own library and predict with them; for `check_bioimageio.py`, which compares.

    python check_bioimageio_packages.py FOLDER

Runs in the environment of bioimageio.core. In FOLDER, each package ``NAME.zip`` gets the image ``NAME_image.npy`` and
what bioimageio.core predicts for it, ``NAME_expected.npy``, both (z, y, x).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bioimageio.core import predict
from bioimageio.spec import ValidationContext, load_model_description, save_bioimageio_package
from bioimageio.spec.model import v0_4, v0_5
from monai.networks.nets import UNet

# With the halo at both ends, still of the sizes that the network takes. bioimageio.core pads before it computes
# statistics, and leaves out no halo of version 0.4, so that halo and statistics are in different packages.
SHAPE = (12, 24, 32)
HALO, STEPS = {"z": 2, "y": 4, "x": 4}, {"z": 4, "y": 8, "x": 8}
ABOUT = {
    "name": "A network of others",
    "description": "Random weights, to compare what two programs make of them.",
    "license": "MIT",
    "timestamp": "2026-01-01T00:00:00",
}
ARGUMENTS: dict[str, Any] = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 2,
}
STATISTICS = [
    {"id": "scale_range", "kwargs": {"axes": ["z", "y", "x"], "min_percentile": 1, "max_percentile": 99.8}},
    {"id": "clip", "kwargs": {"min": -0.5, "max": 1.5}},
    {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -1.0}},
]
FIXED = [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 600.0, "std": 400.0}}]


def write_weights(folder: Path) -> None:
    """Write one network as ONNX and as a state dictionary, and an environment for the latter."""
    torch.manual_seed(5)
    network = UNet(**ARGUMENTS).eval()
    torch.save(network.state_dict(), folder / "weights.pt")
    free = dict(enumerate("zyx", 2))
    names = {"input_names": ["raw"], "output_names": ["prediction"]}
    torch.onnx.export(
        network, (torch.zeros(1, 1, 8, 16, 16),), folder / "weights.onnx", **names,
        dynamic_axes={"raw": free, "prediction": free}, dynamo=False, opset_version=17,
    )  # fmt: skip
    (folder / "environment.yaml").write_text("dependencies: [pytorch, pip, {pip: [monai]}]\n", encoding="utf-8")
    (folder / "README.md").write_text("# Validation\n\nThere is none.\n", encoding="utf-8")


def with_statistics(folder: Path) -> v0_5.ModelDescr:
    """Return the description of a model by version 0.5 with statistics of the image and without a halo."""
    return make_05(folder, STATISTICS, dict.fromkeys(HALO, 0))


def with_halo(folder: Path) -> v0_5.ModelDescr:
    """Return the description of a model by version 0.5 with a halo."""
    return make_05(folder, FIXED, HALO)


def make_05(folder: Path, preprocessing: list[dict[str, Any]], halo: dict[str, int]) -> v0_5.ModelDescr:
    """Return the description of a model by version 0.5."""
    spaces = [{"type": "space", "id": axis, "size": {"min": 2 * step, "step": step}} for axis, step in STEPS.items()]
    same = [
        {"type": "space", "id": axis, "size": {"tensor_id": "raw", "axis_id": axis}}
        | ({"halo": halo[axis]} if halo[axis] else {})
        for axis in STEPS
    ]
    channel = {"type": "channel", "channel_names": ["foreground"]}
    weights = {"source": folder / "weights.pt", "pytorch_version": torch.__version__.split("+")[0]}
    weights["architecture"] = {"import_from": "monai.networks.nets", "callable": "UNet", "kwargs": ARGUMENTS}
    weights["dependencies"] = {"source": folder / "environment.yaml"}
    return v0_5.ModelDescr.model_validate(
        {
            **ABOUT,
            "format_version": v0_5.ModelDescr.implemented_format_version,
            "type": "model",
            "authors": [{"name": "A. Person"}],
            "cite": [{"text": "Nobody", "url": "https://example.org"}],
            "documentation": {"source": folder / "README.md"},
            "inputs": [
                {
                    "id": "raw",
                    "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["raw"]}, *spaces],
                    "test_tensor": {"source": folder / "test_input.npy"},
                    "data": {"type": "float32"},
                    "preprocessing": preprocessing,
                }
            ],
            "outputs": [
                {
                    "id": "prediction",
                    "axes": [{"type": "batch"}, channel, *same],
                    "test_tensor": {"source": folder / "test_output.npy"},
                    "postprocessing": [{"id": "sigmoid"}],
                }
            ],
            "weights": {
                "onnx": {"source": folder / "weights.onnx", "opset_version": 17},
                "pytorch_state_dict": weights,
            },
        },
    )


def make_04(folder: Path) -> v0_4.ModelDescr:
    """Return the description of a model by version 0.4."""
    kwargs = {"mode": "per_sample", "axes": "zyx"}
    return v0_4.ModelDescr.model_validate(
        {
            **ABOUT,
            "format_version": v0_4.ModelDescr.implemented_format_version,
            "type": "model",
            "authors": [{"name": "A. Person"}],
            "cite": [{"text": "Nobody", "url": "https://example.org"}],
            "documentation": folder / "README.md",
            "covers": [],
            "inputs": [
                {
                    "name": "raw",
                    "axes": "bczyx",
                    "data_type": "float32",
                    "shape": {"min": [1, 1, 8, 16, 16], "step": [0, 0, *STEPS.values()]},
                    "preprocessing": [{"name": "zero_mean_unit_variance", "kwargs": kwargs}],
                }
            ],
            "outputs": [
                {
                    "name": "prediction",
                    "axes": "bczyx",
                    "data_type": "float32",
                    "data_range": [0.0, 1.0],
                    "shape": {"reference_tensor": "raw", "scale": [1.0] * 5, "offset": [0.0] * 5},
                    "postprocessing": [{"name": "sigmoid"}],
                }
            ],
            "test_inputs": [folder / "test_input.npy"],
            "test_outputs": [folder / "test_output.npy"],
            "weights": {"onnx": {"source": folder / "weights.onnx", "opset_version": 17}},
        },
    )


def main(folder: Path) -> None:
    """Write the packages, the images and what is expected of them."""
    files = folder / "files"
    files.mkdir(parents=True)
    write_weights(files)
    np.save(files / "test_input.npy", np.zeros((1, 1, 8, 16, 16), np.float32))
    np.save(files / "test_output.npy", np.zeros((1, 1, 8, 16, 16), np.float32))
    image = np.random.default_rng(1).gamma(2, 300, SHAPE).astype(np.uint16)
    for name, make in (("halo", with_halo), ("statistics", with_statistics), ("version 0.4", make_04)):
        with ValidationContext(perform_io_checks=False, root=files):
            package = save_bioimageio_package(make(files), output_path=folder / f"{name}.zip")
        model = load_model_description(package, perform_io_checks=False)
        found = predict(model=model, inputs={"raw": image[None, None].astype(np.float32)})
        np.save(folder / f"{name}_image.npy", image)
        np.save(folder / f"{name}_expected.npy", found.members["prediction"].data.to_numpy()[0, 0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
