"""Events of a run survive the way through a line of text."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.issues import Remedy
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Block, Role
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.training import events
from napari_unet3d.training.event_json import RunEvent, RunFailed, dump, load
from napari_unet3d.training.events import EpochFinished, PreflightEvent, RunStarted, TrainEvent, TrainingFinished
from napari_unet3d.training.preflight import check_then_train

KINDS = get_args(RunEvent)

st.register_type_strategy(Path, st.text(st.characters(exclude_characters="\x00"), min_size=1).map(Path))
PLANS = st.builds(
    Plan,
    task=st.just(Task.SEMANTIC),
    strides=st.lists(st.tuples(*[st.integers(1, 2)] * 3), min_size=1, max_size=3).map(tuple),
    patch_zyx=st.none() | st.tuples(*[st.integers(1, 64).map(lambda n: 8 * n)] * 3),
    batch_size=st.integers(1, 64),
    spacing_um=st.none() | st.tuples(*[st.floats(1e-6, 1e6)] * 3),
    classes=st.just((LabelClass(value=1, name="cyst"), LabelClass(value=4, name="Ä \u2028 \n"))),
)
st.register_type_strategy(Plan, PLANS)
EPOCHS = {"epoch": st.integers(0, 2**53)} | {
    name: st.none() | st.floats() for name in ("val_loss", "val_dice", "val_f1")
}
st.register_type_strategy(EpochRecord, st.builds(EpochRecord, train_loss=st.floats(), **EPOCHS))
VALUES = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
st.register_type_strategy(  # settings are finite
    Remedy,
    st.builds(Remedy, st.lists(st.tuples(st.text(), st.booleans() | VALUES | st.lists(VALUES).map(tuple))).map(tuple)),
)
st.register_type_strategy(
    TrainingConfig,
    st.builds(
        TrainingConfig,
        epochs=st.integers(1, 9),
        task=st.sampled_from(Task),
        learning_rate=st.floats(1e-6, 1),
        patch=st.sampled_from(["auto", "whole", (8, 16, 32)]),
        spacing=st.sampled_from(["median", (1.5, 0.1, 3.3)]),
    ),
)


def same(one: Any, other: Any) -> bool:
    """Equality with a NaN being one, types included."""
    if isinstance(one, float):
        return type(one) is type(other) and (one == other or (math.isnan(one) and math.isnan(other)))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=60)
@given(data=st.data())
def test_every_event_comes_back_exactly(kind: type[Any], data: st.DataObject) -> None:
    event = data.draw(st.from_type(kind))
    line = dump(event)
    assert "\n" not in line
    assert line.isascii()
    assert same(load(line), event)


def test_every_event_of_a_training_has_a_line() -> None:
    told = {*get_args(TrainEvent), *get_args(PreflightEvent)}
    assert told < set(KINDS)
    declared = {thing for thing in vars(events).values() if dataclasses.is_dataclass(thing)}
    of_others = {Plan, Block, EpochRecord}
    assert {thing for thing in declared - of_others if thing.__module__ == events.__name__} <= told, "in no union"
    assert not [kind for kind in KINDS if "event" in {field.name for field in dataclasses.fields(kind)}]


def test_a_loss_that_is_no_number_stays_strict_json() -> None:
    event = EpochFinished(3, math.nan, math.inf, -math.inf, True, 0.1)
    line = dump(event)
    assert json.loads(line, parse_constant=pytest.fail) == {
        "event": "EpochFinished",
        "epoch": 3,
        "train_loss": "NaN",
        "val_loss": "Infinity",
        "val_dice": "-Infinity",
        "is_best": True,
        "seconds_left": 0.1,
        "val_f1": None,
        "learning_rate": None,
        "seconds": None,
    }
    assert same(load(line), event)


def test_a_cut_volume_and_an_unreadable_file_name_come_back() -> None:
    block = Block("v", Role.VALIDATION, (0, 1, 2), (3, 4, 5))
    start = RunStarted(
        Path("/data/gr\udcfcn"),
        "CPU",
        ("a",),
        (),
        5,
        2,
        9,
        Plan(strides=((1, 2, 2),)),
        TrainingConfig(),
        (7, 8, 9),
        (EpochRecord(1, 0.1),),
        (block,),
    )
    assert load(dump(start)) == start


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", "3", '{"event": "Popen"}', '{"event": ["x"]}', '{"event": "StepFinished"}']
)
def test_other_text_is_no_event(line: str) -> None:
    with pytest.raises(ValueError, match=r"event|StepFinished"):
        load(line)


def test_the_events_of_a_real_run_come_back(samples: list[Sample], tmp_path: Path) -> None:
    told = list(check_then_train(samples, tmp_path, TrainingConfig(epochs=2, device="cpu", val_fraction=0.34)))
    assert isinstance(told[-1], TrainingFinished)
    assert [load(dump(event)) for event in told] == told
    assert load(dump(RunFailed("Mind\nthis."))) == RunFailed("Mind\nthis.")
