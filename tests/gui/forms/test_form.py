from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox

from napari_unet3d.configs import (
    Difficulty,
    EvaluationConfig,
    Loss,
    PredictionConfig,
    RotationPlane,
    SyntheticConfig,
    Task,
    TrainingConfig,
)
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.containers import label_of
from napari_unet3d.widgets.forms.form import ConfigForm

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
    form = ConfigForm(config_class, **options)
    qtbot.add_widget(form.native)
    return form


def type_into(qtbot, box, text):
    """Replace the text of a number box and leave it with Enter."""
    box.native.lineEdit().selectAll()
    qtbot.keyClicks(box.native.lineEdit(), text)
    qtbot.keyClick(box.native.lineEdit(), Qt.Key.Key_Return)


@pytest.mark.parametrize("config_class", CONFIGS)
def test_new_form_shows_defaults(qtbot, config_class):
    assert make(qtbot, config_class).value == config_class()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    box = form.editors["learning_rate"]
    assert box.native.text() == "0.01"
    type_into(qtbot, box, typed)
    assert form.value.learning_rate == value
    assert box.native.text() == shown


def test_number_out_of_bounds_is_not_taken(qtbot):
    form = make(qtbot, TrainingConfig)
    type_into(qtbot, form.editors["val_fraction"], "0.95")  # at most 0.9
    assert form.value.val_fraction <= 0.9


def test_difficulty_sets_its_rows_and_going_back_resets_them(qtbot):
    form = make(qtbot, SyntheticConfig)
    form.editors["shape"].value = (64, 96, 80)
    combo = form.editors["difficulty"].native
    changes = []
    form.changed.connect(changes.append)
    qtbot.keyClicks(combo, "Hard")
    assert changes
    assert form.editors["photon_count"].native.text() == f"{SyntheticConfig(difficulty='hard').photon_count:g}"
    assert form.value == SyntheticConfig(difficulty="hard", shape=(64, 96, 80))
    assert "changed" in form.section("Imaging").heading.text
    qtbot.keyClick(combo, Qt.Key.Key_Home)
    assert form.value == SyntheticConfig(shape=(64, 96, 80))
    assert "changed" not in form.section("Imaging").heading.text


def test_settings_that_do_not_go_together_are_explained(qtbot):
    form = make(qtbot, SyntheticConfig)
    form.editors["object_shape_min"].value = (50, 50, 50)
    with pytest.raises(UserError, match="minimum object shape"):
        _ = form.value


def test_reset_brings_the_defaults_back(qtbot):
    form = make(qtbot, TrainingConfig)
    form.editors["epochs"].value = 3
    qtbot.mouseClick(form.reset_button.native, Qt.MouseButton.LeftButton)
    assert form.value == TrainingConfig()


def test_rows_can_be_left_out_and_keep_their_default(qtbot):
    form = make(qtbot, TrainingConfig, without=("num_workers",))
    assert "num_workers" not in form.editors
    assert form.value == TrainingConfig()


def test_values_are_remembered_for_the_next_form(qtbot, memory_folder):
    form = make(qtbot, TrainingConfig, remember_as="train")
    form.editors["epochs"].value = 77
    form.editors["loss"].value = Loss.FOCAL
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
    form.editors["epochs"].value = 77
    assert form.value.epochs == 77


def test_remembered_file_is_plain_json(qtbot, memory_folder):
    form = make(qtbot, SyntheticConfig, remember_as="generate")
    form.editors["shape"].value = (16, 24, 32)
    assert json.loads((memory_folder / "generate.json").read_text())["shape"] == [16, 24, 32]


def test_wheel_over_a_box_without_focus_changes_nothing(qtbot):
    form = make(qtbot, TrainingConfig)
    form.native.show()
    box = form.editors["epochs"].native
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
    form.native.setFocus()
    QApplication.sendEvent(box, wheel)
    assert form.value.epochs == 30


def test_every_row_explains_itself(qtbot):
    for config_class in CONFIGS:
        form = make(qtbot, config_class)
        assert all(len(box.native.toolTip()) > 12 for box in form.editors.values())


def test_form_fits_a_narrow_dock_with_every_part_open(qtbot):
    for config_class in CONFIGS:
        form = make(qtbot, config_class)
        for group in form._sections:
            form.expand(group)
        assert form.native.minimumSizeHint().width() <= 330


def shown(form):
    return {name for name, box in form.editors.items() if box.native.isVisibleTo(form.native)}


def test_rows_without_a_meaning_are_hidden_and_count_as_their_default(qtbot):
    form = make(qtbot, TrainingConfig)
    for group in form._sections:
        form.expand(group)
    always = shown(form)
    assert not always & {"class_names", "class_weights", "momentum"}
    form.editors["task"].value = Task.SEMANTIC
    assert shown(form) - always == {"class_names", "class_weights"}
    qtbot.keyClicks(form.editors["class_names"].native, "wall, cell")
    assert form.value.class_names == ("wall", "cell"), "without leaving the line"
    assert "1 changed" in form.section("Labels and classes").heading.text
    form.editors["task"].value = Task.BINARY
    assert form.value == TrainingConfig(), "names of classes would be refused for another task"
    assert "changed" not in form.section("Labels and classes").heading.text
    form.editors["task"].value = Task.SEMANTIC
    assert form.value.class_names == ("wall", "cell"), "they come back with the task"


@pytest.mark.parametrize(
    ("patch", "hidden"),
    [(("auto",), set()), (("whole",), {"foreground_fraction"}), ((16, 32, 64), {"resize_mode", "shuffle"})],
)
def test_patches_and_whole_volumes_have_rows_of_their_own(qtbot, patch, hidden):
    form = make(qtbot, TrainingConfig)
    for group in form._sections:
        form.expand(group)
    form.value = TrainingConfig(patch=patch)
    assert {"foreground_fraction", "resize_mode", "shuffle", "steps_per_epoch"} - shown(form) == hidden
    assert form.value.patch == patch


def test_numbers_begin_with_something_sensible_when_they_are_chosen(qtbot):
    form = make(qtbot, TrainingConfig)
    combos = {name: form.editors[name].native.findChild(QComboBox) for name in ("patch", "spacing")}
    for combo in combos.values():
        combo.setCurrentText("z y x")
    assert (form.value.patch, form.value.spacing) == ((32, 32, 32), (1.0, 1.0, 1.0))


def test_zeros_are_shown_as_text(qtbot):
    form = make(qtbot, TrainingConfig)
    words = {"batch_size": "auto", "steps_per_epoch": "auto", "ema_decay": "off", "max_grad_norm": "off"}
    form.value = TrainingConfig(max_grad_norm=0)
    assert {name: form.editors[name].native.text() for name in words} == words
    assert form.editors["max_minutes"].native.text() == "no limit"


def test_a_list_takes_numbers_as_they_are_typed_and_drops_what_is_none(qtbot):
    form = make(qtbot, TrainingConfig)
    form.editors["task"].value = Task.SEMANTIC
    line = form.editors["class_weights"].native
    qtbot.keyClicks(line, "0.5, 2, x")
    assert form.value.class_weights == (0.5, 2.0)
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert line.text() == "0.5, 2"


def test_locked_rows_are_left_to_something_else(qtbot):
    form = make(qtbot, TrainingConfig)
    form.value = TrainingConfig(preset="small", epochs=7)
    form.set_locked({"preset"})
    assert not form.editors["preset"].native.isEnabled()
    assert not label_of(form.editors["preset"]).isEnabled()
    assert label_of(form.editors["epochs"]).isEnabled()
    assert form.unlocked_values.model_fields_set.isdisjoint({"preset"})
    assert form.unlocked_values.epochs == 7
    form.set_locked(())
    assert form.editors["preset"].native.isEnabled()
    assert form.unlocked_values == TrainingConfig(preset="small", epochs=7)


@pytest.mark.parametrize("decay", [(1.25, 1.28125), (1.25, 1.5), (1.26, 1.34)])
def test_numbers_half_way_between_two_that_are_shown_are_kept(qtbot, decay):
    form = make(qtbot, SyntheticConfig)
    form.value = SyntheticConfig(decay=decay)
    assert form.value.decay == decay
    form.editors["decay"][0].native.setValue(1.2)
    assert form.value.decay == (1.2, decay[1])
