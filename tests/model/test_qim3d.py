"""Models as qim3d 1.5.3 saves them; its class is written down here, so that the tests need no qim3d."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet

from napari_unet3d.configs import Normalisation, PredictionConfig, Preset, ResizeMode
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import load_checkpoint

CHANNELS = {"xxsmall": (4, 8), "xsmall": (16, 32), "small": (32, 64, 128)}


class QimUNet(torch.nn.Module):
    """The wrapper that `qim3d.ml.models.UNet` puts around MONAI's network, and its defaults."""

    def __init__(self, size: str = "xxsmall", **options: Any) -> None:
        super().__init__()
        channels = CHANNELS[size]
        defaults = {"kernel_size": 3, "up_kernel_size": 3, "act": "PReLU", "dropout": 0, "bias": True}
        self.model = UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            channels=channels,
            strides=(2,) * (len(channels) - 1),
            num_res_units=2,
            **{**defaults, "adn_ordering": "NDA", **options},
        )

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        return self.model(volume)


def saved(folder: Path, network: torch.nn.Module) -> Path:
    """As `qim3d.ml.train_model(checkpoint_directory=folder)` does after 5 epochs."""
    torch.save(network.state_dict(), folder / "model_5epochs.pth")
    return folder / "model_5epochs.pth"


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ("xxsmall", {}),
        ("xsmall", {"kernel_size": 5, "up_kernel_size": 5, "dropout": 0.4}),
        ("small", {"bias": False, "kernel_size": 1}),
    ],
)
def test_the_network_answers_as_that_of_qim3d(size: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(7)
    network = QimUNet(size, **options).eval()
    model = load_checkpoint(saved(tmp_path, network))

    image = torch.rand((1, 1, 8, 12, 16)) * 255
    with torch.no_grad():
        assert torch.equal(model.network()(image), network(image))
    assert model.config.preset.value == size
    assert (model.config.normalisation, model.config.resize_mode) == (Normalisation.NONE, ResizeMode.PAD)


def test_the_presets_are_those_of_qim3d() -> None:
    assert all(Preset(size).channels == channels for size, channels in CHANNELS.items())


def test_predictions_are_those_of_qim3d(tmp_path: Path) -> None:
    """`qim3d.ml.test_model`: intensities as they are, sigmoid, threshold."""
    torch.manual_seed(3)
    network = QimUNet().eval()
    image = np.random.default_rng(0).integers(0, 255, (8, 12, 16)).astype(np.uint8)
    with torch.no_grad():
        logits = network(torch.from_numpy(image).float()[None, None])
        torch.nn.init.constant_(network.model.model[2][1].conv.unit0.conv.bias, -logits.median().item())
        expected = torch.sigmoid(network(torch.from_numpy(image).float()[None, None]))[0, 0].numpy()

    *_, prediction = predict(saved(tmp_path, network), Sample("a", image), PredictionConfig(device="cpu"))

    assert isinstance(prediction, Prediction)
    np.testing.assert_allclose(prediction.probability, expected, atol=1e-5)
    assert 0 < prediction.labels.sum() < image.size
    np.testing.assert_array_equal(prediction.labels, expected >= 0.5)


@pytest.mark.parametrize("wrapping", ["model_state_dict", "state_dict", "module", "bare"])
def test_other_wrappings_of_the_same_weights(wrapping: str, tmp_path: Path) -> None:
    network = QimUNet()
    weights = network.state_dict()
    content: dict[str, Any] = {
        "model_state_dict": {"epoch": 3, "model_state_dict": weights, "loss": 0.5},
        "state_dict": {"state_dict": weights},
        "module": {f"module.{name}": tensor for name, tensor in weights.items()},
        "bare": network.model.state_dict(),
    }[wrapping]
    torch.save(content, tmp_path / "some.pt")

    found = load_checkpoint(tmp_path / "some.pt").weights

    assert all(torch.equal(found[name], tensor) for name, tensor in network.model.state_dict().items())


def test_an_activation_without_weights_is_asked_for(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = QimUNet(act="ReLU").eval()
    path = saved(tmp_path, network)
    with pytest.raises(
        UserError, match=r'cannot be inferred.*Write it to model_5epochs\.pth\.json.*"activation": "relu"'
    ):
        load_checkpoint(path)

    (tmp_path / "model_5epochs.pth.json").write_text('{"activation": "relu"}')
    image = torch.rand((1, 1, 8, 12, 16))
    with torch.no_grad():
        assert torch.equal(load_checkpoint(path).network()(image), network(image))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"activation": "rel', "Cannot read the settings in .*json.*Write JSON"),
        ("[1]", "has no settings"),
        ('{"activation": "swish"}', "'activation'.*come from the weights in .* and from model_5epochs.pth.json"),
        ('{"flavour": 1}', "no setting called 'flavour'"),
        ('{"preset": "xsmall"}', "not those of qim3d's U-Net xsmall"),
    ],
)
def test_wrong_settings_beside_a_model_are_named(text: str, words: str, tmp_path: Path) -> None:
    path = saved(tmp_path, QimUNet())
    (tmp_path / "model_5epochs.pth.json").write_text(text)
    with pytest.raises(UserError, match=words):
        load_checkpoint(path)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_what_wants_to_execute_something_is_not_opened(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pth", tmp_path / "executed"
    torch.save({**QimUNet().state_dict(), "trap": Trap(trace)}, path)
    with pytest.raises(UserError, match="could run code of whoever made it, so it was not opened"):
        load_checkpoint(path)
    assert not trace.exists()

    torch.load(path, weights_only=False)  # the trap is real
    assert trace.exists()


def test_a_bare_pickle_and_a_whole_model_are_not_opened(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pth", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(UserError, match="is not a model saved by torch"):
        load_checkpoint(path)
    assert not trace.exists()

    torch.save(QimUNet(), path)
    with pytest.raises(UserError, match=r"could run code.*save model\.state_dict\(\) instead"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "no named weights of a network"),
        ([torch.ones(3)], "no named weights of a network"),
        (torch.ones(3), "no named weights of a network"),
        ({"epoch": 3}, "no named weights of a network"),
        ({"fc.weight": torch.ones(3, 2)}, "not those of a 3D U-Net"),
        ({f"model.{part}.weight": torch.ones(3) for part in ("0.conv.unit0.conv", "2.0.conv")}, "not those of a 3D"),
        (UNet(2, 1, 1, (4, 8), (2,), num_res_units=2).state_dict(), "not those of a 3D U-Net"),
        (UNet(3, 1, 1, (5, 8), (2,), num_res_units=2).state_dict(), "has 2 levels and 5 channels"),
        (UNet(3, 1, 1, (4, 8, 16), (2, 2), num_res_units=2).state_dict(), "has 3 levels and 4 channels"),
        (UNet(3, 2, 1, (4, 8), (2,), num_res_units=2).state_dict(), "not those of qim3d's U-Net xxsmall"),
        (UNet(3, 1, 3, (4, 8), (2,), num_res_units=2).state_dict(), "not those of qim3d's U-Net xxsmall"),
        (UNet(3, 1, 1, (4, 9), (2,), num_res_units=2).state_dict(), "not those of qim3d's U-Net xxsmall"),
        (UNet(3, 1, 1, (4, 8), (2,), num_res_units=2, kernel_size=13).state_dict(), "'kernel_size' is 13"),
        (QimUNet().half().state_dict(), "not plain arrays in float32"),
    ],
)
def test_other_weights_are_refused(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UserError, match=words):
        load_checkpoint(tmp_path / "other.pth")


def test_a_small_view_of_a_large_array_is_refused(tmp_path: Path) -> None:
    weights = QimUNet().state_dict()
    name = next(iter(weights))
    weights[name] = torch.zeros(10**5)[: weights[name].numel()].view(weights[name].shape)
    torch.save(weights, tmp_path / "view.pth")
    with pytest.raises(UserError, match="not plain arrays"):
        load_checkpoint(tmp_path / "view.pth")


def test_archives_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(2**20 + 1))
    with pytest.raises(UserError, match="more than the weights of a network"):
        load_checkpoint(path)

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", pickle.dumps({}))
    with pytest.raises(UserError, match="compressed archive, which torch never writes"):
        load_checkpoint(path)


def test_an_archive_larger_than_any_preset_is_refused(tmp_path: Path) -> None:
    """The list of contents says so; the parts themselves are small."""
    path = saved(tmp_path, QimUNet())
    with zipfile.ZipFile(path, "a") as archive:
        parts = [entry for entry in archive.infolist() if "/data/" in entry.filename]
        for entry in parts:
            entry.file_size = 2**31
        archive.comment = b"writes the list anew"
    with pytest.raises(UserError, match=f"contains {2 * len(parts)} GiB, more than any U-Net of qim3d"):
        load_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    network = QimUNet()
    torch.nn.init.constant_(network.model.model[2][1].conv.unit0.conv.bias, value)
    with pytest.raises(UserError, match="NaN or infinite"):
        load_checkpoint(saved(tmp_path, network))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth: it does not exist"):
        load_checkpoint(tmp_path / "nowhere.pth")


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(tmp_path_factory.mktemp("model"), QimUNet()).read_bytes()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4), kept=st.floats(0, 2)
)
def test_damage_gives_one_message_or_none(
    flips: list[tuple[float, int]], kept: float, model_bytes: bytes, tmp_path: Path
) -> None:
    damaged = bytearray(model_bytes)
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    (tmp_path / "damaged.pth").write_bytes(bytes(damaged[: int(kept * len(damaged))]))
    loads_or_explains(lambda: load_checkpoint(tmp_path / "damaged.pth").network())


def loads_or_explains(load: Callable[[], object]) -> None:
    try:
        load()
    except UserError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right, any other exception is not
