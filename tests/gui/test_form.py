from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_unet3d.configs import (
    Difficulty,
    EvaluationConfig,
    Loss,
    PredictionConfig,
    RotationPlane,
    SyntheticConfig,
    TrainingConfig,
)
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.form import SettingsForm

CONFIGS = (SyntheticConfig, TrainingConfig, PredictionConfig, EvaluationConfig)

_range = st.floats(0.05, 0.95, allow_subnormal=False)
_pair = st.tuples(_range, _range).map(sorted).map(tuple)
_side = st.integers(4, 4096)

DRAWN = st.one_of(
    st.builds(
        TrainingConfig,
        epochs=st.integers(1, 1_000_000),
        learning_rate=st.floats(1e-8, 10),
        weight_decay=st.floats(0, 1),
        seed=st.integers(0, 2**31 - 1),
        loss=st.sampled_from(Loss),
        bias=st.booleans(),
        adn_order=st.sampled_from(["NDA", "AN", "A"]),
    ),
    st.builds(
        SyntheticConfig,
        difficulty=st.sampled_from(Difficulty),
        shape=st.tuples(_side, _side, _side),
        voxel_size_um=st.tuples(st.floats(0.0001, 1e6), st.floats(0.0001, 1e6), st.floats(0.0001, 1e6)),
        decay=_pair.map(lambda pair: (pair[0] + 1, pair[1] + 1)),
        noise_scale=_pair,
        rotation_planes=st.sets(st.sampled_from(RotationPlane), min_size=1).map(
            lambda chosen: tuple(plane for plane in RotationPlane if plane in chosen)
        ),
    ),
    st.builds(EvaluationConfig, threshold=st.floats(0, 1)),
)


def make(qtbot, config_class, **options):
    form = SettingsForm(config_class, **options)
    qtbot.add_widget(form)
    return form


def type_into(qtbot, box, text):
    """Replace the text of a number box and leave it with Enter."""
    box.native.lineEdit().selectAll()
    qtbot.keyClicks(box.native.lineEdit(), text)
    qtbot.keyClick(box.native.lineEdit(), Qt.Key.Key_Return)


@pytest.mark.parametrize("config_class", CONFIGS)
def test_new_form_shows_defaults(qtbot, config_class):
    assert make(qtbot, config_class).value == config_class()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=DRAWN)
def test_form_gives_back_what_it_was_given(qtbot, config):
    form = make(qtbot, type(config))
    form.value = config
    assert form.value == config


@pytest.mark.parametrize(
    ("typed", "value", "shown"),
    [("1e-5", 1e-5, "0.00001"), ("0,002", 0.002, "0.002"), ("0.0100", 0.01, "0.01"), ("3", 3.0, "3")],
)
def test_learning_rate_can_be_typed_and_shows_no_trailing_zeros(qtbot, typed, value, shown):
    form = make(qtbot, TrainingConfig)
    box = form.boxes["learning_rate"]
    assert box.native.text() == "0.01"
    type_into(qtbot, box, typed)
    assert form.value.learning_rate == value
    assert box.native.text() == shown


def test_number_out_of_bounds_is_not_taken(qtbot):
    form = make(qtbot, TrainingConfig)
    type_into(qtbot, form.boxes["val_fraction"], "0.95")  # at most 0.9
    assert form.value.val_fraction <= 0.9


def test_difficulty_sets_its_rows_and_going_back_resets_them(qtbot):
    form = make(qtbot, SyntheticConfig)
    form.boxes["shape"].value = (64, 96, 80)
    combo = form.boxes["difficulty"].native
    with qtbot.wait_signal(form.changed):
        qtbot.keyClicks(combo, "Hard")
    assert form.boxes["photons"].native.text() == f"{SyntheticConfig(difficulty='hard').photons:g}"
    assert form.value == SyntheticConfig(difficulty="hard", shape=(64, 96, 80))
    assert "changed" in form.section("Imaging").text()
    qtbot.keyClick(combo, Qt.Key.Key_Home)
    assert form.value == SyntheticConfig(shape=(64, 96, 80))
    assert "changed" not in form.section("Imaging").text()


def test_settings_that_do_not_go_together_are_explained(qtbot):
    form = make(qtbot, SyntheticConfig)
    form.boxes["object_shape_min"].value = (50, 50, 50)
    with pytest.raises(UserError, match="smallest object shape"):
        _ = form.value


def test_reset_brings_the_defaults_back(qtbot):
    form = make(qtbot, TrainingConfig)
    form.boxes["epochs"].value = 3
    qtbot.mouseClick(form.reset_button, Qt.MouseButton.LeftButton)
    assert form.value == TrainingConfig()


def test_rows_can_be_left_out_and_keep_their_default(qtbot):
    form = make(qtbot, TrainingConfig, without=("workers",))
    assert "workers" not in form.boxes
    assert form.value == TrainingConfig()


def test_values_are_remembered_for_the_next_form(qtbot, memory_folder):
    form = make(qtbot, TrainingConfig, remember_as="train")
    form.boxes["epochs"].value = 77
    form.boxes["loss"].value = Loss.FOCAL
    assert make(qtbot, TrainingConfig, remember_as="train").value == TrainingConfig(epochs=77, loss=Loss.FOCAL)
    assert make(qtbot, TrainingConfig, remember_as="other").value == TrainingConfig()
    assert [path.name for path in memory_folder.iterdir()] == ["train.json"]


@pytest.mark.parametrize(
    "written", ['{"epochs": 5', '{"epochs": 5, "no_such_setting": 1}', '{"epochs": -1}', "[1]", "\xff"]
)
def test_broken_or_older_memory_falls_back_to_defaults(qtbot, memory_folder, written):
    memory_folder.mkdir()
    (memory_folder / "train.json").write_bytes(written.encode("latin-1"))
    assert make(qtbot, TrainingConfig, remember_as="train").value == TrainingConfig()


def test_memory_that_cannot_be_written_does_not_disturb(qtbot, memory_folder):
    memory_folder.write_text("a file where the folder should be")
    form = make(qtbot, TrainingConfig, remember_as="train")
    form.boxes["epochs"].value = 77
    assert form.value.epochs == 77


def test_remembered_file_is_plain_json(qtbot, memory_folder):
    form = make(qtbot, SyntheticConfig, remember_as="generate")
    form.boxes["shape"].value = (16, 24, 32)
    assert json.loads((memory_folder / "generate.json").read_text())["shape"] == [16, 24, 32]


def test_wheel_over_a_box_without_focus_changes_nothing(qtbot):
    form = make(qtbot, TrainingConfig)
    form.show()
    box = form.boxes["epochs"].native
    wheel = QWheelEvent(
        QPointF(5, 5),
        box.mapToGlobal(QPointF(5, 5)),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    form.setFocus()
    QApplication.sendEvent(box, wheel)
    assert form.value.epochs == 30


def test_every_row_explains_itself(qtbot):
    for config_class in CONFIGS:
        form = make(qtbot, config_class)
        assert all(len(box.native.toolTip()) > 12 for box in form.boxes.values())


def test_form_fits_a_narrow_dock_with_every_part_open(qtbot):
    for config_class in CONFIGS:
        form = make(qtbot, config_class)
        for group in form._sections:
            form.section(group).expand(False)
        assert form.minimumSizeHint().width() <= 330
