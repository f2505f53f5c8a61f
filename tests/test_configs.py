"""Settings: bounds, messages, frozen, and the way through JSON."""

from __future__ import annotations

import re
from enum import Enum
from itertools import groupby
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_unet3d.configs import (
    ArchitectureName,
    BackgroundMethod,
    Config,
    Difficulty,
    EvaluationConfig,
    Optimizer,
    PatchMode,
    PixelType,
    PredictionConfig,
    Preset,
    RotationPlane,
    SyntheticConfig,
    Task,
    TrainingConfig,
)
from napari_unet3d.configs.base import NUMBERS
from napari_unet3d.errors import UserError

CONFIGS: list[type[Config]] = [SyntheticConfig, TrainingConfig, PredictionConfig, EvaluationConfig]
FIELDS = [(config, name) for config in CONFIGS for name in config.model_fields]
BOUNDED = [(c, n) for c, n in FIELDS if c.model_fields[n].json_schema_extra.get("minimum") is not None]


def values_of(annotation: Any, low: float | None, high: float | None) -> st.SearchStrategy[Any]:
    """Draw any value that a field of this type and these bounds allows."""
    if get_origin(annotation) is tuple:
        kinds = get_args(annotation)
        if kinds[-1] is Ellipsis and get_origin(kinds[0]) is not None:  # a mode or three numbers
            modes, number = get_args(kinds[0])
            return st.sampled_from(modes).map(lambda mode: (mode,)) | st.tuples(*[values_of(number, low, high)] * 3)
        if kinds[-1] is Ellipsis and kinds[0] in (str, float):  # belongs to one task only, see `settings_of`
            return st.just(())
        if kinds[-1] is Ellipsis:
            return st.lists(values_of(kinds[0], low, high), min_size=1, max_size=3, unique=True).map(tuple)
        return st.tuples(*[values_of(kind, low, high) for kind in kinds]).map(lambda drawn: tuple(sorted(drawn)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if annotation is bool:
        return st.booleans()
    if annotation == int | None:
        return st.none() | st.integers(int(low), int(high))
    if annotation is str:
        return st.sampled_from(["NDA", "ADN", "A", "na", "NA"])
    return st.integers(int(low), int(high)) if annotation is int else st.floats(low, high)


@st.composite
def settings_of(draw: Any, config: type[Config]) -> Config:
    drawn = {}
    for name, field in config.model_fields.items():
        extra = field.json_schema_extra
        if draw(st.booleans()):
            drawn[name] = draw(values_of(field.annotation, extra.get("minimum"), extra.get("maximum")))
    if config is SyntheticConfig:
        shapes = [drawn.pop("object_shape_min", (9, 9, 9)), drawn.pop("object_shape_max", (9, 9, 9))]
        drawn["object_shape_min"] = tuple(map(min, *shapes))
        drawn["object_shape_max"] = tuple(map(max, *shapes))
        if drawn.get("background_generate") in (BackgroundMethod.MULTIPLY, BackgroundMethod.DIVIDE):
            drawn["background_baseline"] = 1.0
            drawn["background_noise"] = (1.0, 2.0)
        if drawn.get("background_apply") is BackgroundMethod.DIVIDE:
            drawn["background_noise"] = (1.0, 2.0)
        largest = {PixelType.UINT16: 65535, PixelType.FLOAT32: 65535}.get(drawn.get("pixel_type"), 255)
        drawn["intensity"] = tuple(min(value, largest) for value in drawn.get("intensity", (128, 255)))
    return config(**{name: value for name, value in drawn.items() if config.is_relevant(name, drawn)})


@pytest.mark.parametrize("config", CONFIGS)
@given(data=st.data())
def test_settings_come_back_from_json_as_they_were(config, data):
    value = data.draw(settings_of(config))
    assert config.model_validate_json(value.model_dump_json()) == value
    assert config(**value.model_dump(mode="json")) == value


@pytest.mark.parametrize(("config", "name"), FIELDS)
def test_every_field_describes_itself_in_a_sentence(config, name):
    description = config.model_fields[name].description
    assert description.endswith(".")
    assert description[0].isupper() or description[0] in "µ"


def beyond(value: Any, bound: float, direction: int) -> Any:
    """Put one step beyond a bound into a value; into the last element when it is a tuple."""
    if isinstance(value, tuple) and (not value or isinstance(value[0], str)):
        return (bound + direction,) * 3
    if isinstance(value, tuple):
        return (*value[:-1], beyond(value[-1], bound, direction))
    return bound + direction if value is None else type(value)(bound + direction)


@pytest.mark.parametrize(("config", "name"), BOUNDED)
def test_every_bound_holds_and_is_named(config, name):
    extra = config.model_fields[name].json_schema_extra
    default = getattr(config(), name)
    for bound, direction in ((extra["minimum"], -1), (extra["maximum"], 1)):
        if bound is None:
            continue
        wrong = beyond(default, bound, direction)
        if direction < 0 and isinstance(wrong, tuple):
            wrong = (wrong[-1],) * len(wrong)  # so that ranges stay in order
        with pytest.raises(UserError, match=f"The setting '{name}' is .*; choose a value from .* to "):
            config(**{name: wrong})


@pytest.mark.parametrize(("config", "name"), BOUNDED)
@pytest.mark.parametrize("bound", ["minimum", "maximum"])
def test_the_bounds_themselves_are_allowed(config, name, bound):
    value = config.model_fields[name].json_schema_extra[bound]
    default = getattr(config(), name)
    if isinstance(default, tuple):
        value = (
            (value,) * 3 if not default or isinstance(default[0], str) else (type(default[0])(value),) * len(default)
        )
    else:
        value = value if default is None else type(default)(value)
    values = {name: value, **({"task": "semantic"} if name == "class_weights" else {})}
    if name == "object_shape_min":
        values["object_shape_max"] = (4096,) * 3
    if name == "object_shape_max":
        values["object_shape_min"] = (2,) * 3
    if name == "intensity":
        values["pixel_type"] = PixelType.UINT16
    assert getattr(config(**values), name) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(value):
    for config, name in BOUNDED:
        if isinstance(getattr(config(), name), float):
            with pytest.raises(UserError, match=name):
                config(**{name: value})


@pytest.mark.parametrize("config", CONFIGS)
def test_settings_do_not_change(config):
    name = next(iter(config.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config(), name, getattr(config(), name))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainingConfig(epoch=3), "There is no setting called 'epoch'. Check the spelling."),
        (
            lambda: TrainingConfig(epochs="many"),
            "The setting 'epochs' cannot be 'many': input should be a valid integer",
        ),
        (lambda: TrainingConfig(preset="huge"), "The setting 'preset' cannot be 'huge': input should be 'xxsmall'"),
        (lambda: TrainingConfig(adn_order="NN"), "The setting 'adn_order' cannot be 'NN': write each of N (norm)"),
        (
            lambda: SyntheticConfig(gamma=(2, 1)),
            "The setting 'gamma' cannot be (2, 1): a range goes from low to high; swap",
        ),
        (lambda: SyntheticConfig(shape=(8, 8)), "The setting 'shape"),
        (
            lambda: SyntheticConfig(object_shape_min=(50, 50, 50)),
            "The minimum object shape (50, 50, 50) is larger than the maximum (40, 40, 40); swap them.",
        ),
        (lambda: SyntheticConfig(rotation_planes=()), "Choose at least one rotation plane"),
        (
            lambda: SyntheticConfig(background_apply="add", background_generate="multiply"),
            "A baseline of 0 cannot be multiplied or divided; choose a larger background baseline",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value).startswith(message)


def test_a_difficulty_fills_what_is_not_given():
    hard = SyntheticConfig(difficulty="hard", photon_count=7)
    assert hard.photon_count == 7
    assert hard.read_noise == Difficulty.HARD.settings["read_noise"] > 0
    assert SyntheticConfig().read_noise == 0
    with pytest.raises(UserError, match="'difficulty' cannot be 'impossible'"):
        SyntheticConfig(difficulty="impossible")


@pytest.mark.parametrize(
    ("preset", "channels", "stride"),
    [
        ("xxsmall", (4, 8), 2),
        ("xsmall", (16, 32), 2),
        ("small", (32, 64, 128), 4),
        ("medium", (64, 128, 256), 4),
        ("large", (64, 128, 256, 512, 1024), 16),
        ("xlarge", (64, 128, 256, 512, 1024, 2048), 32),
        ("xxlarge", (64, 128, 256, 512, 1024, 2048, 4096), 64),
    ],
)
def test_presets_are_those_of_the_tutorial(preset, channels, stride):
    assert Preset(preset).channels == channels
    assert Preset(preset).total_stride == stride


def test_planes_and_axes_know_their_places():
    assert [plane.axes for plane in RotationPlane] == [(0, 1), (0, 2), (1, 2)]
    assert [axis.number for axis in type(EvaluationConfig().figure_axis)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "values", "matters"),
    [
        ("class_names", {"task": Task.SEMANTIC}, True),
        ("class_names", {"task": Task.INSTANCE}, False),
        ("foreground_fraction", {"patch": (PatchMode.AUTO,)}, True),
        ("foreground_fraction", {"patch": (8, 16, 32)}, True),
        ("foreground_fraction", {"patch": (PatchMode.WHOLE,)}, False),
        ("resize_mode", {"patch": (8, 16, 32)}, False),
        ("momentum", {"optimizer": Optimizer.SGD}, True),
        ("momentum", {"optimizer": Optimizer.ADAM}, False),
        ("momentum", {}, True),
        ("epochs", {"task": Task.INSTANCE}, True),
    ],
)
def test_settings_matter_beside_the_choices_that_they_are_declared_for(name, values, matters):
    assert TrainingConfig.is_relevant(name, values) is matters


def test_what_a_setting_is_for_names_settings_and_their_choices_and_is_told():
    conditional = {n: f for n, f in TrainingConfig.model_fields.items() if "visible_if" in f.json_schema_extra}
    assert len(conditional) >= 5
    for field in conditional.values():
        for other, choices in field.json_schema_extra["visible_if"].items():
            known = {str(member.value) for member in (*Task, *PatchMode, *Optimizer, *ArchitectureName)} | {NUMBERS}
            assert other in TrainingConfig.model_fields
            assert set(choices) <= known
    assert conditional["class_names"].description.endswith("Only for task semantic.")
    assert conditional["resize_mode"].description.endswith("Only for patch auto or whole.")


@pytest.mark.parametrize("name", ["[a]", "{}", ' {"a": 1}'])
def test_a_class_name_is_no_list(name: str) -> None:
    with pytest.raises(UserError, match=rf"{re.escape(repr(name))} begins with a bracket"):
        TrainingConfig(task=Task.SEMANTIC, class_names=("cell", name))
    assert TrainingConfig(task=Task.SEMANTIC, class_names=("a [b]",)).class_names == ("a [b]",)


def test_training_settings_are_in_the_order_of_the_form() -> None:
    """The classes that declare them are bases of `TrainingConfig`, whose order is that of the fields."""
    groups = [field.json_schema_extra["group"] for field in TrainingConfig.model_fields.values()]

    assert [group for group, _ in groupby(groups)] == [
        None,
        "Labels and classes",
        "Network",
        "Patches and data loading",
        "Optimisation",
        "Length of the run",
        "Hardware",
        "Tracking",
    ]
    assert next(iter(TrainingConfig().model_dump())) == "task"
