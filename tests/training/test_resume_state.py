from __future__ import annotations

import json
import math
import pickle
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from napari_unet3d.configs import Device, Optimizer, TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from napari_unet3d.model.devices import TorchState, choose_device
from napari_unet3d.model.network import build_network, default_plan, to_device
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.training.optim.state import optimizer_groups, optimizer_moments, restore_optimizer
from napari_unet3d.training.optim.step import make_optimizer
from napari_unet3d.training.resume_state import (
    RunHeader,
    RunState,
    check_same_volumes,
    load_run_state,
    save_run_state,
    volumes_of,
)

HARDWARE = choose_device(Device.CPU)


class Training:
    """A network that overfits noise, with dropout."""

    def __init__(self, config: TrainingConfig, make: Callable[[Any], torch.optim.Optimizer]) -> None:
        self.config = config
        self.network = to_device(build_network(config), HARDWARE)
        self.optimizer = make(self.network.parameters())
        self.settings = TorchState(HARDWARE, config.seed)

    def go(self, steps: range) -> None:
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            image, truth = (torch.randn((1, 1, 8, 12, 16), generator=generator) for _ in range(2))
            with self.settings.applied():
                loss = (self.network.train()(image) - truth).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()

    def state(self) -> RunState:
        return RunState(
            header=card_of(self.config, groups=optimizer_groups(self.optimizer)),
            weights=self.network.state_dict(),
            random_state=self.settings.random_state,
            moments=optimizer_moments(self.optimizer),
        )

    def restore(self, state: RunState) -> None:
        for name, tensor in self.network.state_dict().items():
            tensor.copy_(state.weights[name])
        restore_optimizer(self.optimizer, state.header.groups, state.moments)
        self.settings.random_state = state.random_state


def card_of(config: TrainingConfig, **values: Any) -> RunHeader:
    return RunHeader(
        **{
            "config": config,
            "plan": default_plan(config),
            "volumes": [{"name": "a", "shape": (4, 6, 8)}],
            "train_names": ("a",),
            "val_names": (),
            "device_type": "cpu",
            "n_steps_per_epoch": 3,
            "epoch": 2,
            "n_steps": 5,
            "history": (EpochRecord(1, math.nan), EpochRecord(2, 0.1, 0.2, 0.3)),
            "learning_rates": (0.1, 1e-7),
            "seconds": (1.5, 0.25),
            "seconds_spent": 1.76,
            "groups": ({"lr": 0.1},),
            **values,
        }
    )


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.01, betas=(0.9, 1 - 1 / 17), weight_decay=1e-3),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=1e-3),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.01),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=1e-3),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=0.01, momentum=0.3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_run_goes_on_with_the_same_bits(name: str, tmp_path: Path) -> None:
    config = TrainingConfig(dropout=0.3, seed=4, preset="small" if name == "adam" else "xxsmall")
    whole, first, second = (Training(config, OPTIMIZERS[name]) for _ in range(3))
    whole.go(range(7))

    first.go(range(4))
    save_run_state(tmp_path / "resume.safetensors", first.state())
    with torch.no_grad():
        for weights in second.network.parameters():
            weights.fill_(7.0)  # nothing of the fresh network may be left
    second.restore(load_run_state(tmp_path / "resume.safetensors"))
    second.go(range(4, 7))

    expected = whole.network.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in second.network.state_dict().items())
    moments = optimizer_moments(whole.optimizer)
    assert moments.keys() == optimizer_moments(second.optimizer).keys()
    assert all(torch.equal(tensor, moments[key]) for key, tensor in optimizer_moments(second.optimizer).items())
    assert torch.equal(second.settings.random_state, whole.settings.random_state)


def test_a_state_that_is_replaced_while_it_is_read_is_the_old_or_the_new_one(
    tmp_path: Path, replacing: Callable[[Path, Path, Path], AbstractContextManager[None]]
) -> None:
    """Many of these loads mix both when header and tensors come from two opens."""
    files = [tmp_path / f"{n_steps}.safetensors" for n_steps in (1, 2)]
    training = Training(TrainingConfig(), OPTIMIZERS["sgd"])
    for n_steps, file in enumerate(files, 1):
        state = training.state()
        weights = {name: torch.full_like(tensor, n_steps) for name, tensor in state.weights.items()}
        header = state.header.model_copy(update={"n_steps": n_steps})
        save_run_state(file, replace(state, header=header, weights=weights))
    with replacing(tmp_path / "resume.safetensors", *files):
        loaded = [load_run_state(tmp_path / "resume.safetensors") for _ in range(200)]
    mixed = [
        n for n, state in enumerate(loaded) if any((w != state.header.n_steps).any() for w in state.weights.values())
    ]
    assert mixed == []


def test_every_choice_of_optimiser_is_tested() -> None:
    assert {choice.value for choice in Optimizer} <= OPTIMIZERS.keys()


@pytest.mark.parametrize("choice", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("was_fused", [False, True])
def test_a_state_goes_on_with_the_arithmetic_of_the_new_device(choice: str, was_fused: bool) -> None:
    """A state from where nothing is fused, or of an older version, and the other way round."""
    config = TrainingConfig(optimizer=choice, momentum=0.5, weight_decay=0.1)
    weights = [torch.nn.Parameter(torch.linspace(1, 2, 6).reshape(2, 3)) for _ in range(2)]
    optimizers = [make_optimizer([each], config, 100) for each in weights]

    def go(number: int, steps: range) -> None:
        for step in steps:
            weights[number].grad = torch.full((2, 3), 0.5 + step)
            optimizers[number].step()

    optimizers[0].param_groups[0]["fused"] = was_fused
    optimizers[1].param_groups[0]["fused"] = not was_fused
    go(0, range(2))
    with torch.no_grad():
        weights[1].copy_(weights[0])
    restore_optimizer(optimizers[1], optimizer_groups(optimizers[0]), optimizer_moments(optimizers[0]))
    assert optimizers[1].param_groups[0]["fused"] is not was_fused
    go(0, range(2, 4))
    go(1, range(2, 4))

    torch.testing.assert_close(weights[1], weights[0])


@pytest.mark.parametrize(
    ("saved", "change"),
    [
        ("sgd", {}),  # of another optimizer, with other hyperparameters
        ("adamw", {"betas": None}),
        ("adamw", {"betas": (0.9,)}),
        ("adamw", {"lr": math.inf}),
        ("adamw", {"eps": True}),
    ],
)
def test_the_state_of_another_optimizer_is_refused(saved: str, change: dict[str, Any]) -> None:
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    old = make_optimizer([weights[0]], TrainingConfig(optimizer=saved), 100)
    new = make_optimizer([weights[1]], TrainingConfig(optimizer="adamw"), 100)
    groups = [{**group, **change} for group in optimizer_groups(old)]
    with pytest.raises(UserError, match="saved with another optimizer"):
        restore_optimizer(new, groups, optimizer_moments(old))


def test_moments_of_another_optimizer_are_refused() -> None:
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    new = make_optimizer(weights, TrainingConfig(optimizer="sgd"), 100)
    with pytest.raises(UserError, match="saved with another optimizer"):
        restore_optimizer(new, optimizer_groups(new), {"0.exp_avg": torch.ones(2)})


def test_memory_lies_as_its_weights_do(tmp_path: Path) -> None:
    """Layers of several channels lie channels last on the CPU; so does what Adam remembers of them."""
    first, second = (Training(TrainingConfig(), OPTIMIZERS["adam"]) for _ in range(2))
    first.go(range(2))
    second.restore(first.state())

    def strides(training: Training) -> list[tuple[int, ...]]:
        return [memory["exp_avg"].stride() for memory in training.optimizer.state.values()]

    assert strides(second) == strides(first)


numbers = st.floats(allow_nan=False, width=64)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    losses=st.lists(st.floats(), min_size=2, max_size=2),
    betas=st.tuples(numbers, numbers),
    scale=numbers,
    seconds=st.floats(0, 1e9),
)
@example(losses=[math.nan, math.inf], betas=(0.1 + 0.2, 5e-324), scale=65536.0, seconds=1e-9)
def test_the_text_comes_back_to_the_last_digit(
    losses: list[float], betas: tuple[float, float], scale: float, seconds: float
) -> None:
    card = card_of(
        TrainingConfig(seed=3),
        history=(EpochRecord(1, losses[0]), EpochRecord(2, losses[1], 0.5)),
        groups=({"lr": betas[0], "betas": betas, "amsgrad": False, "foreach": None, "weight_decay": 0},),
        scaler={"scale": scale, "_growth_tracker": 3},
        seconds_spent=seconds,
    )

    again = RunHeader.model_validate_json(card.model_dump_json())

    assert repr(again) == repr(card)  # which tells 1 from 1.0 and True, and equals itself for NaN


@pytest.fixture(scope="module")
def state() -> RunState:
    training = Training(TrainingConfig(), OPTIMIZERS["adam"])
    training.go(range(1))
    return replace(training.state(), ema={name: tensor + 1 for name, tensor in training.network.state_dict().items()})


@pytest.fixture(scope="module")
def state_bytes(state: RunState, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("state") / "resume.safetensors"
    save_run_state(path, state)
    return path.read_bytes()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "resume.safetensors"
        path.write_bytes(content)
        return path

    return write


def test_the_average_comes_back(state: RunState, tmp_path: Path) -> None:
    save_run_state(tmp_path / "resume.safetensors", state)
    loaded = load_run_state(tmp_path / "resume.safetensors")
    assert loaded.ema.keys() == loaded.weights.keys() == state.weights.keys()
    assert all(torch.equal(loaded.ema[name], tensor) for name, tensor in state.ema.items())


def changed(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change the card; the tensors stay as they are."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header["__metadata__"]["header"])
    change(card)
    header["__metadata__"]["header"] = json.dumps(card)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epoch": -1}, "settings in the state of a run .* cannot be read.*epoch"),
        ({"config": {"epochs": 0}}, "settings in the state of a run .* cannot be read.*epochs"),
        ({"volumes": [{"name": "a", "shape": [1, 2]}]}, "cannot be read.*volumes"),
        ({"groups": [{"lr": "fast"}]}, "cannot be read.*groups"),
        ({"surprise": 1}, "surprise"),
        ({"config": {"preset": "xsmall"}}, "do not belong to the run"),
        ({"epoch": 3}, "do not belong to the run"),
        ({"seconds": [1.0]}, "do not belong to the run"),
        ({"groups": []}, "do not belong to the run"),
        ({"n_steps": 2**70}, "cannot be read.*n_steps"),
        ({"n_steps": 10**6}, "do not belong to the run"),
        ({"n_averaged_steps": 10**6}, "do not belong to the run"),
        ({"seconds_spent": math.inf}, "cannot be read.*seconds_spent"),
        ({"learning_rates": [math.nan, 1.0]}, "cannot be read.*learning_rates"),
        ({"volumes": [{"name": "a", "shape": [1, 2, 2**70]}]}, "cannot be read.*volumes"),
    ],
)
def test_an_impossible_card_is_named(
    change: dict[str, Any], words: str, state_bytes: bytes, written: Callable[[bytes], Path]
) -> None:
    with pytest.raises(UserError, match=words):
        load_run_state(written(changed(state_bytes, lambda card: card.update(change))))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("optimizer.0.exp_avg", torch.ones(3)),
        ("optimizer.99.exp_avg", torch.ones(3)),
        ("optimizer.x.exp_avg", torch.ones(())),
        ("weights.more", torch.ones(3)),
        ("average.more", torch.ones(3)),
        ("stranger", torch.ones(3)),
        ("random_state", torch.ones(3)),
        ("random_state", torch.ones(3, dtype=torch.uint8)),
        ("random_state", torch.full((5056,), 255, dtype=torch.uint8)),
    ],
)
def test_tensors_that_do_not_belong_are_refused(
    name: str, tensor: torch.Tensor, state_bytes: bytes, written: Callable[[bytes], Path]
) -> None:
    path = written(state_bytes)
    (length,) = struct.unpack("<Q", state_bytes[:8])
    metadata = json.loads(state_bytes[8 : 8 + length])["__metadata__"]
    save_file({**load_file(path), name: tensor}, path, metadata=metadata)
    with pytest.raises(UserError, match="do not belong to the run that its settings describe"):
        load_run_state(path)


def test_a_newer_state_asks_for_an_update(state_bytes: bytes, written: Callable[[bytes], Path]) -> None:
    newer = state_bytes.replace(b'"format_version":"1"', b'"format_version":"2"')
    with pytest.raises(UserError, match=r"format version 2, but this program reads version 1\. Update"):
        load_run_state(written(newer))


def test_models_and_states_are_told_apart(state: RunState, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(state.header.config, state.weights, 1))
    save_run_state(tmp_path / "resume.safetensors", state)
    with pytest.raises(UserError, match=r"with another purpose.*Choose a run folder with a resume"):
        load_run_state(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"with another purpose.*Choose a run folder or a model"):
        load_checkpoint(tmp_path / "resume.safetensors")


def test_a_missing_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resume\.safetensors: it does not exist"):
        load_run_state(tmp_path / "resume.safetensors")


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_not_executed(written: Callable[[bytes], Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a state of a run"):
        load_run_state(written(pickle.dumps(_Trap(tmp_path / "executed"))))
    assert not (tmp_path / "executed").exists()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_one_message_or_none(
    data: st.DataObject, state_bytes: bytes, written: Callable[[bytes], Path]
) -> None:
    damaged = bytearray(state_bytes)
    (length,) = struct.unpack("<Q", state_bytes[:8])
    for end in data.draw(st.lists(st.sampled_from([8 + length, len(damaged)]), max_size=4), label="flips"):
        damaged[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))), label="kept")
    try:
        load_run_state(written(bytes(damaged[:kept])))
    except UserError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right, any other exception is not


def test_other_data_is_refused_with_both_lists() -> None:
    def sample(name: str, shape: tuple[int, int, int]) -> Sample:
        return Sample(name, torch.zeros(shape).numpy())

    samples = [sample("a", (4, 6, 8)), sample("b", (5, 6, 7))]
    card = card_of(TrainingConfig(), volumes=volumes_of(samples))
    check_same_volumes(card, samples)

    others = (
        [samples[0]],
        samples[::-1],
        [samples[0], sample("b", (5, 7, 6))],
        [samples[0], sample("c", (5, 6, 7))],
    )
    for other in others:
        with pytest.raises(UserError, match=r"on 'a' \(4, 6, 8\), 'b' \(5, 6, 7\), but now there are .*Resume with"):
            check_same_volumes(card, other)
    many = [sample(str(number), (2, 3, 4)) for number in range(5)]
    with pytest.raises(UserError, match=r"'2' \(2, 3, 4\) and 2 more"):
        check_same_volumes(card, many)
