"""Packages of bioimage.io are applied as their descriptions say; tools/check_bioimageio.py asks bioimageio.core."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.networks.nets import UNet
from packages import describe, write, zipped
from scipy.ndimage import uniform_filter

from napari_unet3d import Sample, TrainingConfig, UserError, predict
from napari_unet3d.configs import Preset
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.resume import resolve_start

RNG = np.random.default_rng(3)


def box_mean(values: np.ndarray, mode: str = "constant") -> np.ndarray:
    return uniform_filter(values.astype(np.float64), 3, mode=mode)


def run(package: Path, image: np.ndarray, **values: object):
    *events, result = predict(package, Sample("cells", image, **values))
    return result, [event.message for event in events if hasattr(event, "message")]


def test_our_own_package_predicts_what_its_run_predicts(as_bioimageio: Path, binary_run: Path, tmp_path: Path) -> None:
    image = RNG.integers(0, 90, (7, 30, 26)).astype(np.uint16)
    sample = Sample("cells", image, voxel_size_um=(2.0, 0.5, 0.5))
    *_, of_run = predict(binary_run, sample)
    for package in (as_bioimageio, as_bioimageio / "rdf.yaml", zipped(as_bioimageio, tmp_path / "own.zip")):
        *_, of_package = predict(package, sample)
        np.testing.assert_allclose(of_package.probability, of_run.probability, atol=1e-5)
        assert of_package.geometry == of_run.geometry


def test_the_description_alone_says_the_same(as_bioimageio: Path, binary_run: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(as_bioimageio, tmp_path / "alone")
    (alone / "napari-unet3d.json").unlink()
    about = yaml.safe_load((alone / "rdf.yaml").read_text(encoding="utf-8"))
    for axis, least in zip(about["inputs"][0]["axes"][2:], (2, 4, 4), strict=True):
        axis["size"]["min"] = least  # without a halo, since instance norm depends on what is in the tile
    for axis in about["outputs"][0]["axes"][2:]:
        axis["halo"] = 0
    (alone / "rdf.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    sample = Sample("cells", RNG.integers(0, 90, (6, 16, 12)).astype(np.uint16), voxel_size_um=(2.0, 0.5, 0.5))

    *_, of_run = predict(binary_run, sample)
    for left_out in ("onnx", "pytorch_state_dict"):
        weights = {name: each for name, each in about["weights"].items() if name != left_out}
        (alone / "rdf.yaml").write_text(yaml.safe_dump(about | {"weights": weights}), encoding="utf-8")
        assert (load_checkpoint(alone).onnx is None) == (left_out == "onnx")
        *_, of_package = predict(alone, sample)
        np.testing.assert_allclose(of_package.probability, of_run.probability, atol=1e-4)
    assert load_checkpoint(alone).voxel_size_um == (2.0, 0.5, 0.5)


@pytest.mark.parametrize("packed", [False, True])
def test_a_package_of_others_is_applied_as_it_says(tmp_path: Path, packed: bool) -> None:
    image = RNG.integers(0, 200, (9, 14, 11)).astype(np.uint8)
    steps = [{"id": "scale_range", "kwargs": {"axes": ["z", "y", "x"]}}]
    package = write(tmp_path / "model", describe(preprocessing=steps, halo=2))
    if packed:
        package = zipped(package, tmp_path / "model.zip", "model/")

    result, notices = run(package, image)

    scaled = (image - image.min()) / (np.ptp(image) + 1e-6)
    np.testing.assert_allclose(result.probability, box_mean(scaled, "reflect"), atol=1e-5)
    assert any("does not say that its output is from 0 to 1" in each for each in notices)


def test_tiles_of_a_fixed_size_leave_their_halo_out(tmp_path: Path) -> None:
    # Zeros beyond a tile change its outermost voxels, so that with a halo of 1 no tile shows where it ended.
    image = RNG.random((9, 20, 17)).astype(np.float32)
    package = write(tmp_path / "model", describe(size=8, halo=1), size=8)

    result, _ = run(package, image)

    np.testing.assert_allclose(result.probability, box_mean(image, "reflect"), atol=2e-5)


@pytest.mark.parametrize("axes", ["zyx", "xyzc", "bzyxc", "czxy"])
def test_axes_are_those_of_the_description(tmp_path: Path, axes: str) -> None:
    image = RNG.random((6, 9, 11)).astype(np.float32)
    about = describe()
    for tensor in (about["inputs"][0], about["outputs"][0]):
        known = {axis.get("id", axis["type"])[0]: axis for axis in tensor["axes"]}
        tensor["axes"] = [known[letter] for letter in axes]
    package = write(tmp_path / "model", about, axes=axes)

    result, _ = run(package, image)

    padded = np.pad(image, [(1, 1), (1, 2), (0, 1)], mode="symmetric")  # to multiples of 4, which are at least 8
    np.testing.assert_allclose(result.probability, box_mean(padded)[1:7, 1:10, 0:11], atol=1e-6)


def test_version_0_4_says_the_same_as_0_5(tmp_path: Path) -> None:
    image = RNG.integers(0, 4000, (8, 10, 12)).astype(np.uint16)
    moments = {"mode": "fixed", "axes": "zyx", "mean": 500, "std": 2000.0}
    about = {
        "format_version": "0.4.10",
        "type": "model",
        "name": "Old",
        "inputs": [
            {
                "name": "raw",
                "axes": "bczyx",
                "data_type": "float32",
                "shape": {"min": [1, 1, 8, 8, 8], "step": [0, 0, 2, 2, 2]},
                "preprocessing": [{"name": "zero_mean_unit_variance", "kwargs": moments}],
            }
        ],
        "outputs": [
            {
                "name": "prediction",
                "axes": "bczyx",
                "data_type": "float32",
                "data_range": [0.0, 1.0],
                "shape": {"reference_tensor": "raw", "scale": [1, 1, 1, 1, 1], "offset": [0, 0, 0, 0, 0]},
                "halo": [0, 0, 1, 1, 1],
                "postprocessing": [{"name": "sigmoid"}],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx"}},
    }
    old = write(tmp_path / "old", about)
    steps = [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 500, "std": 2000.0}}]
    new = write(
        tmp_path / "new", describe(preprocessing=steps, halo=1, postprocessing=[{"id": "sigmoid"}], names=("fg",))
    )

    (of_old, notices), (of_new, _) = run(old, image), run(new, image)

    normalised = (image.astype(float) - 500) / 2000
    np.testing.assert_allclose(of_old.probability, 1 / (1 + np.exp(-box_mean(normalised, "reflect"))), atol=1e-5)
    np.testing.assert_allclose(of_old.probability, of_new.probability, atol=1e-6)
    assert notices == []


def test_classes_are_those_that_the_description_names(tmp_path: Path) -> None:
    image = RNG.random((8, 8, 8)).astype(np.float32)
    softmax = [{"id": "softmax", "kwargs": {"axis": "channel"}}]
    named = describe(names=("cell", "background", "nucleus"), postprocessing=softmax)
    package = write(tmp_path / "named", named, 4.0, 2.0, 0.0)

    result, notices = run(package, image)

    assert [(each.value, each.name) for each in result.plan.classes] == [(1, "cell"), (2, "nucleus")]
    logits = np.stack([4 * box_mean(image), 2 * box_mean(image), 0 * image])
    shares = np.exp(logits) / np.exp(logits).sum(0)
    np.testing.assert_allclose(result.probability, 1 - shares[1], atol=1e-5)
    assert (result.labels == 1).all()
    assert notices == []
    package = write(tmp_path / "unnamed", describe(names=("channel0", "channel1"), postprocessing=softmax), 0.0, 1.0)
    _, notices = run(package, image)
    assert any("does not name the 2 classes; the first one is taken as background" in each for each in notices)


def test_of_foreground_and_boundary_the_foreground_is_used_and_that_is_said(tmp_path: Path) -> None:
    image = RNG.random((8, 8, 8)).astype(np.float32)
    about = describe(names=("boundary", "foreground"), postprocessing=[{"id": "sigmoid"}])
    package = write(tmp_path / "model", about, 1.0, -2.0)

    result, notices = run(package, image)

    np.testing.assert_allclose(result.probability, 1 / (1 + np.exp(2 * box_mean(image))), atol=1e-5)
    assert any(
        "'foreground' is used, and 'boundary' is not: single objects are not separated" in each for each in notices
    )


def test_intensities_that_the_type_of_the_model_does_not_hold_are_refused(tmp_path: Path) -> None:
    steps = [
        {"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}},
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
    ]
    package = write(tmp_path / "model", describe(preprocessing=steps, postprocessing=[{"id": "sigmoid"}]))

    result, _ = run(package, np.full((8, 8, 8), 3.0))

    assert result.probability[4, 4, 4] == pytest.approx(1 / (1 + np.exp(-3)))
    with pytest.raises(UserError, match="the type uint8, which does not hold values from 300 to 300"):
        run(package, np.full((8, 8, 8), 300))


def gain(*, names: tuple[str, ...] = ("foreground",), **values: object) -> dict[str, object]:
    return describe(names=names, **values)


REFUSED = {
    "custom": (gain(preprocessing=[{"id": "custom", "kwargs": {}}]), "asks for the preprocessing 'custom'"),
    "argument": (
        gain(preprocessing=[{"id": "clip", "kwargs": {"max": 1, "smooth": 2}}]),
        "preprocessing 'clip' of .* is not supported. There is no setting called 'smooth'",
    ),
    "flow": (gain(postprocessing=[{"id": "cellpose_flow_dynamics"}]), "post-processing 'cellpose_flow_dynamics'"),
    "statistics": (gain(postprocessing=[{"id": "zero_mean_unit_variance"}]), "of whole outputs"),
    "script": (
        gain(weights={"torchscript": {"source": "weights.pt"}}),
        r"ONNX, or a state dictionary of MONAI's UNet or DynUNet, were looked for, and its weights are torchscript\.",
    ),
    "code": (
        gain(
            weights={
                "pytorch_state_dict": {
                    "source": "weights.pt",
                    "architecture": {"source": "net.py", "callable": "Net", "kwargs": {}},
                }
            }
        ),
        "Its network Net is Python code in the package, which is never run",
    ),
    "meaning": (gain(names=("a", "b"), postprocessing=[{"id": "sigmoid"}]), "2 channels named 'a', 'b'.* does not say"),
    "outside": (gain(weights={"onnx": {"source": "../weights.onnx"}}), "which is outside the package"),
    "web": (gain(weights={"onnx": {"source": "https://a.org/w.onnx"}}), "Download the model as a zip file"),
    "hash": (gain(weights={"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}), "another SHA-256"),
    "version": (gain(format_version="0.3.6"), "has version '0.3.6', but 0.4 and 0.5 are supported"),
    "two outputs": (gain(outputs=describe()["outputs"] * 2), "has 1 inputs and 2 outputs"),
    "size": (gain(size={"min": "many"}), "The description of .* cannot be read. The entry 'inputs.0.axes.2.size"),
    "huge": (gain(size=1024), "more than 134,217,728 voxels"),
    "halo": (gain(size=8, halo=4), "leaves nothing of a tile of 8"),
    "padding": (
        gain(inputs=[{**describe()["inputs"][0], "pad": {"mode": "constant"}}]),
        "asks for the padding 'constant'",
    ),
    "dataset": (gain(type="dataset"), "describes 'dataset', not a model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_named(tmp_path: Path, case: str) -> None:
    about, message = REFUSED[case]
    package = write(tmp_path / "model", about)
    (package / "net.py").write_text("open('ran', 'w')")

    with pytest.raises(UserError, match=message):
        load_checkpoint(package)


def test_a_model_for_slices_is_refused(tmp_path: Path) -> None:
    about = describe()
    for tensor in (about["inputs"][0], about["outputs"][0]):
        del tensor["axes"][2]
    with pytest.raises(UserError, match="a tensor of it has the axes batch, channel, y, x, but z, y, x"):
        load_checkpoint(write(tmp_path / "model", about))


def test_values_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    package = write(tmp_path / "model", describe(names=("distance",)), 7.0)
    with pytest.raises(UserError, match=r"has values from .* to .*, which are no probabilities"):
        run(package, RNG.random((8, 8, 8)).astype(np.float32))


def test_a_hostile_archive_or_description_is_one_sentence(tmp_path: Path) -> None:
    package = write(tmp_path / "model", describe())
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", b" " * 2**24)
    with pytest.raises(UserError, match=r"rdf\.yaml in .* is larger than 1 MiB"):
        load_checkpoint(bomb)
    link = tmp_path / "link.zip"
    with zipfile.ZipFile(link, "w") as archive:
        archive.write(package / "rdf.yaml", "rdf.yaml")
        entry = zipfile.ZipInfo("weights.onnx")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        load_checkpoint(link)
    (package / "weights.onnx").unlink()
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(package)
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))
    for text in (
        f"l0: &l0 [x]\n{levels}",
        "a: &a [*a]",
        "[" * 5000,
        "type: !!python/object/apply:os.system [touch ran]",
    ):
        (package / "rdf.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="cannot be read as YAML"):
            load_checkpoint(package)
    assert not list(tmp_path.rglob("ran"))


def test_a_training_starts_from_the_weights_of_monais_class(tmp_path: Path) -> None:
    arguments = {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 1,
        "channels": list(Preset.XXSMALL.channels),
        "strides": [2] * (len(Preset.XXSMALL.channels) - 1),
        "num_res_units": 2,
        "act": "relu",
    }
    network = UNet(**arguments)
    state = {
        "source": "weights.pt",
        "architecture": {"import_from": "monai.networks.nets", "callable": "UNet", "kwargs": arguments},
    }
    steps = [{"id": "scale_range", "kwargs": {"axes": ["z", "y", "x"], "min_percentile": 1, "max_percentile": 99}}]
    about = describe(
        preprocessing=steps, postprocessing=[{"id": "sigmoid"}], weights={"pytorch_state_dict": state}, size=8
    )
    package = write(tmp_path / "model", about)
    torch.save(network.state_dict(), package / "weights.pt")

    start = resolve_start(tmp_path / "run", TrainingConfig(), resume=False, start_from=package)

    assert start.config.activation.value == "relu"
    assert start.config.normalisation.value == "percentile"
    assert start.config.percentiles == (1, 99)
    assert "in place of the preprocessing of model" in start.notices[0]
    torch.testing.assert_close(start.model.weights, dict(network.state_dict()))
    image = RNG.random((8, 8, 8)).astype(np.float32)
    low, high = np.percentile(image, [1, 99])
    scaled = torch.from_numpy((image - low) / (high - low + 1e-6)).float()
    with torch.inference_mode():
        expected = network.eval()(scaled[None, None]).sigmoid()[0, 0]
    np.testing.assert_allclose(run(package, image)[0].probability, expected, atol=1e-5)
    torch.save(network, package / "weights.pt")  # with its class, which would be unpickled
    with pytest.raises(UserError, match="contains more than weights"):
        load_checkpoint(package)


def test_a_preprocessing_that_no_normalisation_repeats_is_not_trained_on(tmp_path: Path, as_bioimageio: Path) -> None:
    alone = shutil.copytree(as_bioimageio, tmp_path / "alone")
    (alone / "napari-unet3d.json").unlink()
    about = yaml.safe_load((alone / "rdf.yaml").read_text(encoding="utf-8"))
    about["inputs"][0]["preprocessing"].append({"id": "clip", "kwargs": {"min": -1.0}})
    (alone / "rdf.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")

    with pytest.raises(UserError, match="a preprocessing that no normalisation here repeats"):
        resolve_start(tmp_path / "run", TrainingConfig(), resume=False, start_from=alone)
    chosen = TrainingConfig(normalisation="z-score")
    assert resolve_start(tmp_path / "run", chosen, resume=False, start_from=alone).model is not None


def test_a_volume_that_does_not_fit_into_memory_is_refused(tmp_path: Path) -> None:
    package = write(tmp_path / "model", describe())
    np.save(tmp_path / "scan.npy", RNG.random((16, 16, 16)).astype(np.float32))
    blocks = BlockConfig(block_size=(8, 8, 8))

    with pytest.raises(UserError, match=r"is a package .* whose preprocessing needs the whole volume"):
        list(predict_files(package, [tmp_path / "scan.npy"], tmp_path / "out", blocks=blocks))
