"""Colleagues, viewers and scripts read a run folder while the training writes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.training.loop import train
from napari_unet3d.training.resume_state import load_run_state

TINY = TrainingConfig(
    preset="xxsmall", patch=(8, 8, 8), batch_size=1, epochs=5, steps_per_epoch=1, val_fraction=0, device="cpu"
)
Seen = tuple[int, float]


def weights_of(path: Path) -> Seen:
    """Return the epoch that the header of a model names, and the sum of its weights."""
    model = load_checkpoint(path)
    assert len(model.history) == model.epoch, "the history ends with the epoch of the weights"
    return model.epoch, sum(float(weight.double().sum()) for weight in model.weights.values())


@contextmanager
def reading(read: Callable[[], Seen]) -> Iterator[list[Seen | str]]:
    """Read again and again in a thread of its own, and return at the end what was read and which errors were raised."""
    found: list[Seen | str] = []
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(0.01):
            try:
                found.append(read())
            except UserError as error:
                found.append(str(error))

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(go_on)
        try:
            yield found
        finally:
            is_over.set()
    done.result()


def test_five_readers_see_one_epoch_at_a_time(samples: list[Sample], tmp_path: Path) -> None:
    def state() -> Seen:
        state = load_run_state(tmp_path / "resume.safetensors")
        weights = [weight for name, weight in state.weights.items() if torch.is_floating_point(weight)]
        return state.header.epoch, sum(float(weight.double().sum()) for weight in weights)

    def texts() -> Seen:
        files = read_run_files(tmp_path)
        assert files.problems == ()
        assert [record.epoch for record in files.history] == list(range(1, len(files.history) + 1))
        return len(files.history), 0.0

    events = train(samples, tmp_path, TINY)
    next(event for event in events if isinstance(event, EpochFinished))
    known = {weights_of(tmp_path / "last.safetensors")}
    ways = [lambda: weights_of(tmp_path), *2 * [lambda: weights_of(tmp_path / "last.safetensors")], state, texts]
    with (
        reading(ways[0]) as best,
        reading(ways[1]) as last,
        reading(ways[2]) as last_again,
        reading(ways[3]) as states,
        reading(ways[4]) as files,
    ):
        for event in events:
            if isinstance(event, EpochFinished):
                known.add(weights_of(tmp_path / "last.safetensors"))

    assert {epoch for epoch, _ in known} == set(range(1, TINY.epochs + 1))
    for seen in (best, last, last_again):
        assert seen
        assert set(seen) <= known
    assert states
    assert set(states) <= known
    assert files
    assert not [each for each in files if isinstance(each, str)]
