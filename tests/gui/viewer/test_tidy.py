from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.widgets.viewer.layer_metadata import layers_to_tidy
from napari_unet3d.widgets.viewer.layers import show_image, show_labels, show_sample

SIZE = (2.0, 1.0, 0.5)


@pytest.fixture
def volumes(viewer):
    """An earlier volume 'a', all of it hidden, a person's own hidden layer, and 'b' with its difference in view."""
    mask = np.zeros((4, 5, 6), np.uint8)
    for name in ("a", "b"):
        show_sample(viewer, Sample(name, mask, mask, SIZE))
        show_image(viewer, f"{name} probability", mask, Geometry(SIZE))
        show_labels(viewer, f"{name} difference", mask, Geometry(SIZE))
    viewer.add_image(mask, name="mine", scale=SIZE)
    viewer.add_labels(mask, name="a of mine", scale=SIZE)
    for layer in viewer.layers:
        layer.visible = layer.name in ("b", "b difference")
    return viewer.layers


OF_A = ["a", "a labels", "a probability", "a difference"]


def names(layers):
    return [layer.name for layer in layers]


def test_only_our_hidden_layers_of_volumes_out_of_view_are_removed(volumes, viewer, open_dock, answer):
    assert names(layers_to_tidy(viewer)) == OF_A
    asked = answer(QMessageBox.StandardButton.Ok)
    dock = open_dock("Dataset")
    dock.footer.tidy_button.native.click()
    assert "4 hidden layers" in asked[0]
    assert names(volumes) == ["b", "b labels", "b probability", "b difference", "mine", "a of mine"]
    assert dock.message.text() == "Removed 4 hidden layers."
    dock.footer.tidy_button.native.click()
    assert "nothing to tidy" in dock.message.text()


def test_a_validation_volume_is_one_with_what_was_predicted_of_it(viewer):
    mask = np.zeros((4, 5, 6), np.uint8)
    show_image(viewer, "c validation", mask, Geometry(SIZE))
    for kind in ("prediction", "difference"):
        show_labels(viewer, f"c live {kind}", mask, Geometry(SIZE), visible=kind == "difference")
    assert layers_to_tidy(viewer) == []
    viewer.layers["c validation"].visible = False
    assert layers_to_tidy(viewer) == [], "its difference is in view"
    viewer.layers["c live difference"].visible = False
    assert names(layers_to_tidy(viewer)) == ["c validation", "c live prediction", "c live difference"]


def test_nothing_goes_without_a_yes(volumes, viewer, open_dock, answer):
    answer(QMessageBox.StandardButton.Cancel)
    open_dock("Dataset").footer.tidy_button.native.click()
    assert names(layers_to_tidy(viewer)) == OF_A


def test_what_belongs_to_a_layer_of_the_person_stays_while_that_is_in_view(volumes, viewer):
    volumes["a"].metadata.clear()  # the person's own volume, which the plugin has predicted
    assert names(layers_to_tidy(viewer)) == OF_A[1:]
    volumes["a"].visible = True
    assert not layers_to_tidy(viewer)


@pytest.fixture
def answer(monkeypatch):
    def _answer(button):
        asked = []
        monkeypatch.setattr(QMessageBox, "question", lambda *args: (asked.append(args[2]), button)[1])
        return asked

    return _answer
