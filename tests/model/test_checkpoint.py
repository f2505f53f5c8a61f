from __future__ import annotations

import json
import math
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_unet3d.configs import Augmentation, Normalisation, Preset, ResizeMode, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.leftovers import remove_leftovers
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.runs.history import EpochRecord

CONFIG = TrainingConfig(
    seed=5,
    resize_mode=ResizeMode.RESIZE,
    normalisation=Normalisation.PERCENTILE,
    augmentation=Augmentation.HEAVY,
    adn_order="AN",
)
HISTORY = (EpochRecord(1, 0.75, None, None), EpochRecord(2, math.inf, 0.5, 0.25))

PLAN = {"strides": [[2, 2, 2]]}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return Checkpoint(CONFIG, build_network(CONFIG).state_dict(), 2, HISTORY, (2.0, 1.0, 0.5))


@pytest.fixture(scope="module")
def model_bytes(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_checkpoint(path, checkpoint)
    return path.read_bytes()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "some.safetensors"
        path.write_bytes(content)
        return path

    return write


def test_everything_comes_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run" / "model.safetensors", checkpoint)
    loaded = load_checkpoint(tmp_path / "run" / "model.safetensors")
    assert loaded.config == CONFIG
    assert loaded.epoch == 2
    assert loaded.history == HISTORY
    assert loaded.voxel_size_um == (2.0, 1.0, 0.5)
    assert loaded.versions == checkpoint.versions
    assert set(loaded.versions) == {"python", "napari-unet3d", "torch", "monai", "numpy"}
    assert loaded.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in checkpoint.weights.items())


def test_nan_losses_and_mixed_voxel_sizes_come_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    odd = replace(checkpoint, history=(EpochRecord(1, math.nan),), voxel_size_um=None)
    save_checkpoint(tmp_path / "model.safetensors", odd)
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert math.isnan(loaded.history[0].train_loss)
    assert loaded.voxel_size_um is None


def test_the_loaded_network_computes_the_same_in_evaluation_mode(tmp_path: Path) -> None:
    config = TrainingConfig(dropout=0.5, seed=3)
    network = build_network(config)
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(config, network.state_dict(), 1))
    loaded = load_checkpoint(tmp_path / "model.safetensors").network()
    image = torch.rand((1, 1, 4, 6, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(image), network.eval()(image))


def test_a_run_folder_stands_for_its_best_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.safetensors", replace(checkpoint, epoch=9))
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    assert load_checkpoint(tmp_path).epoch == 2


def test_saving_again_replaces_the_model_that_is_in_use(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint)
    loaded = load_checkpoint(path)
    zeros = {name: torch.zeros_like(weight) for name, weight in checkpoint.weights.items()}
    save_checkpoint(path, replace(checkpoint, weights=zeros))
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in checkpoint.weights.items())
    assert list(tmp_path.iterdir()) == [path]


def test_a_loaded_model_does_not_hang_on_its_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint)
    loaded = load_checkpoint(path)
    with path.open("r+b") as file:  # as other programs do, which write into the file instead of replacing it
        file.seek(-4000, os.SEEK_END)
        file.write(bytes(4000))
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in checkpoint.weights.items())


def test_a_model_that_is_replaced_while_it_is_read_is_the_old_or_the_new_one(
    checkpoint: Checkpoint, tmp_path: Path, replacing: Callable[[Path, Path, Path], AbstractContextManager[None]]
) -> None:
    """Many of these loads mix both when header and tensors come from two opens."""
    files = [tmp_path / f"{epoch}.safetensors" for epoch in (1, 2)]
    for epoch, file in enumerate(files, 1):
        weights = {name: torch.full_like(weight, epoch) for name, weight in checkpoint.weights.items()}
        save_checkpoint(file, replace(checkpoint, epoch=epoch, weights=weights))
    with replacing(tmp_path / "model.safetensors", *files):
        loaded = [load_checkpoint(tmp_path) for _ in range(200)]
    mixed = [n for n, model in enumerate(loaded) if {model.epoch} != values(model.weights)]
    assert mixed == []


def values(weights: dict[str, torch.Tensor]) -> set[float]:
    return set(torch.cat([weight.flatten() for weight in weights.values()]).unique().tolist())


def test_a_full_disk_keeps_the_older_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are known on POSIX only")
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # a file may not grow further, as on a full disk
    try:
        with pytest.raises(UserError, match=r"Cannot write .*model\.safetensors"):
            save_checkpoint(path, replace(checkpoint, epoch=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_colleagues_may_read_the_model_if_the_umask_allows(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    (tmp_path / "other").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_leaves_nothing_beside_a_model_that_the_next_run_does_not_remove(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    code = f"""
import torch
from pathlib import Path
from pydantic import BaseModel
from napari_unet3d.model.tensor_file import FileKind, write_tensors
class Header(BaseModel):
    pass
while True:
    write_tensors(Path({str(path)!r}), FileKind("test", 1, "test", ""), Header(), {{"a": torch.zeros(2**24)}})
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    while not list(tmp_path.rglob(".tmp*")):  # what safetensors writes to
        assert process.poll() is None
    process.kill()
    process.wait()

    remove_leftovers(tmp_path)

    assert {left.name for left in tmp_path.iterdir()} <= {path.name}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.safetensors: it does not exist"):
        load_checkpoint(tmp_path / "nowhere.safetensors")


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_not_executed(written: Callable[[bytes], Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a model"):
        load_checkpoint(written(pickle.dumps(_Trap(tmp_path / "executed"))))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04" + bytes(500), b"\xff" * 300, bytes(300)])
def test_what_is_no_safetensors_file_is_refused(content: bytes, written: Callable[[bytes], Path]) -> None:
    with pytest.raises(UserError, match=r"some\.safetensors is not a model of napari-unet3d"):
        load_checkpoint(written(content))


def test_the_model_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.ones(2)}, path, metadata=metadata)
        with pytest.raises(UserError, match="another program"):
            load_checkpoint(path)


def edited(model_bytes: bytes, edit: Callable[[dict[str, str], dict[str, object]], None]) -> bytes:
    """Change the header's text and card; the tensors stay as they are."""
    (length,) = struct.unpack("<Q", model_bytes[:8])
    header = json.loads(model_bytes[8 : 8 + length])
    card = json.loads(header["__metadata__"]["header"])
    edit(header["__metadata__"], card)
    header["__metadata__"]["header"] = json.dumps(card)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + model_bytes[8 + length :]


def test_a_newer_format_asks_for_an_update(model_bytes: bytes, written: Callable[[bytes], Path]) -> None:
    newer = edited(model_bytes, lambda header, card: header.update(format_version="2"))
    with pytest.raises(UserError, match=r"format version 2, but this program reads version 1\. Update"):
        load_checkpoint(written(newer))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"epochs": -1}}, "epochs"),
        ({"config": {"flavour": "sweet"}}, "flavour"),
        ({"config": None}, "config"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": None}, "epoch"),
        ({"voxel_size_um": [1, 0, 1]}, "voxel_size_um"),
        ({"history": [{"epoch": "one"}]}, "history"),
        ({"surprise": 1}, "surprise"),
        ({"epoch": 2**70}, "epoch"),
        ({"history": [{"epoch": 2**70, "train_loss": 1}]}, "history"),
        ({"voxel_size_um": [1e-310, 1, 1]}, "voxel_size_um"),
        ({"voxel_size_um": [1e9, 1, 1]}, "voxel_size_um"),
        ({"plan": PLAN | {"patch_zyx": [1, 1, 1]}}, "not a multiple of the stride"),
        ({"plan": PLAN | {"patch_zyx": [32, 33, 32]}}, "not a multiple of the stride"),
        ({"plan": PLAN | {"patch_zyx": [2**70] * 3}}, "patch_zyx"),
        ({"plan": PLAN | {"patch_zyx": [2**13] * 3}}, "has more than"),
        ({"plan": PLAN | {"spacing_um": [1e-310] * 3}}, "spacing_um"),
        ({"plan": PLAN | {"batch_size": 2**70}}, "batch_size"),
    ],
)
def test_an_impossible_card_is_named(
    change: dict[str, object], words: str, model_bytes: bytes, written: Callable[[bytes], Path]
) -> None:
    with pytest.raises(UserError, match=f"settings in the model .* cannot be read.*{words}"):
        load_checkpoint(written(edited(model_bytes, lambda header, card: card.update(change))))


def test_a_deeply_nested_card_is_refused(model_bytes: bytes, written: Callable[[bytes], Path]) -> None:
    (length,) = struct.unpack("<Q", model_bytes[:8])
    header = json.loads(model_bytes[8 : 8 + length])
    header["__metadata__"]["header"] = "[" * 200_000
    text = json.dumps(header).encode()
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(written(struct.pack("<Q", len(text)) + text + model_bytes[8 + length :]))


@pytest.mark.parametrize("preset", [Preset.XSMALL, Preset.XXLARGE])
def test_weights_of_another_network_are_refused(
    preset: Preset, model_bytes: bytes, written: Callable[[bytes], Path]
) -> None:
    def claim(header: dict[str, str], card: dict[str, object]) -> None:
        card["config"] = {**CONFIG.model_dump(mode="json"), "preset": preset.value}

    with pytest.raises(UserError, match=f"do not belong to the network .*preset {preset.value}"):
        load_checkpoint(written(edited(model_bytes, claim)))


def test_half_precision_weights_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    halves = {name: weight.half() for name, weight in checkpoint.weights.items()}
    save_checkpoint(tmp_path / "half.safetensors", replace(checkpoint, weights=halves))
    with pytest.raises(UserError, match="not in float32"):
        load_checkpoint(tmp_path / "half.safetensors")


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_weights_that_are_not_finite_are_refused(value: float, checkpoint: Checkpoint, tmp_path: Path) -> None:
    name, weight = list(checkpoint.weights.items())[-1]
    broken = {**checkpoint.weights, name: torch.full_like(weight, value)}
    save_checkpoint(tmp_path / "broken.safetensors", replace(checkpoint, weights=broken))
    with pytest.raises(UserError, match="NaN or infinite"):
        load_checkpoint(tmp_path / "broken.safetensors")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_one_message_or_none(
    data: st.DataObject, model_bytes: bytes, written: Callable[[bytes], Path]
) -> None:
    damaged = bytearray(model_bytes)
    # Half of the flips hit the header, which is where damage has the most to say.
    (length,) = struct.unpack("<Q", model_bytes[:8])
    for end in data.draw(st.lists(st.sampled_from([8 + length, len(damaged)]), max_size=4), label="flips"):
        damaged[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))), label="kept")
    loads_or_explains(written(bytes(damaged[:kept])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200))
@example(noise=struct.pack("<Q", 2) + b"{}")
@example(noise=struct.pack("<Q", 2**63 - 1) + b"{}")
def test_random_bytes_give_one_message(noise: bytes, written: Callable[[bytes], Path]) -> None:
    with pytest.raises(UserError):
        load_checkpoint(written(noise))


def loads_or_explains(path: Path) -> None:
    try:
        load_checkpoint(path).network()
    except UserError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right, any other exception is not
