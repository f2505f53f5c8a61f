"""Annotations that are saved: found by the image, never over another file, never an earlier state over a later one."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from napari_unet3d.errors import UserError
from napari_unet3d.session import annotation_store as store
from napari_unet3d.session.annotation import AnnotationSession
from napari_unet3d.session.annotation_classes import AnnotationClasses


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet3d.session.recent_runs.plugin_data_folder", lambda: tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (6, 40, 30)).astype(np.uint8)


@pytest.fixture
def session(image):
    labels = np.zeros(image.shape, np.uint8)
    labels[2, 3:9, 4:8] = 2
    file = store.new_annotation_file("bone: ct/1", store.image_key(image))
    return AnnotationSession("bone: ct/1", labels, (1.0, 1.0, 1.0), AnnotationClasses(("wall",)), file)


def test_an_annotation_is_found_by_its_image_and_comes_back(image, session, data_folder):
    writer = store.AnnotationWriter()
    writer.write(writer.snapshot(session))
    assert data_folder in session.file.parents
    saved = store.saved_annotation(store.image_key(image.copy()))
    assert (saved.file, saved.name, saved.classes, saved.n_annotated) == (
        session.file, "bone: ct/1", AnnotationClasses(("wall",)), 24,
    )  # fmt: skip
    assert abs((datetime.now() - saved.saved).total_seconds()) < 60
    np.testing.assert_array_equal(store.read_annotation(saved, image.shape), session.labels)
    image[3, 20, 20] += 1
    assert store.saved_annotation(store.image_key(image[:, ::-1])) is None


def test_every_new_annotation_has_a_file_of_its_own(image, session):
    key, files = store.image_key(image), set()
    for _ in range(3):
        session.file = store.new_annotation_file("bone", key)
        assert not session.file.exists()
        writer = store.AnnotationWriter()
        writer.write(writer.snapshot(session))
        files.add(session.file)
    assert len(files) == 3


def test_an_earlier_state_never_replaces_a_later_one(image, session):
    writer = store.AnnotationWriter()
    early = writer.snapshot(session)
    session.labels[:] = 1
    late = writer.snapshot(session)
    writer.write(late)
    writer.write(early)
    saved = store.saved_annotation(store.image_key(image))
    assert (store.read_annotation(saved, image.shape) == 1).all()


def test_a_damaged_or_empty_file_is_passed_over_for_the_one_before(image, session):
    writer, key = store.AnnotationWriter(), store.image_key(image)
    writer.write(writer.snapshot(session))
    good = session.file
    session.file = store.new_annotation_file("bone: ct/1", key)
    session.labels[:] = 0
    writer.write(writer.snapshot(session))
    damaged = store.new_annotation_file("bone: ct/1", key)
    damaged.write_bytes(good.read_bytes()[:100])
    assert store.saved_annotation(key).file == good


def test_a_file_that_is_damaged_or_of_another_volume_is_explained(image, session):
    writer = store.AnnotationWriter()
    writer.write(writer.snapshot(session))
    saved = store.saved_annotation(store.image_key(image))
    with pytest.raises(UserError, match=r"has shape \(6, 40, 30\), and the image \(6, 40, 31\)"):
        store.read_annotation(saved, (6, 40, 31))
    content = bytearray(saved.file.read_bytes())
    content[40:80] = bytes(40)
    saved.file.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        store.read_annotation(saved, image.shape)
    saved.file.unlink()
    with pytest.raises(UserError, match="read"):
        store.read_annotation(saved, image.shape)


def test_a_folder_that_cannot_be_written_to_is_explained(session, data_folder):
    data_folder.write_text("a file in the way")
    writer = store.AnnotationWriter()
    with pytest.raises(UserError):
        writer.write(writer.snapshot(session))


def test_a_failed_write_leaves_the_file_as_it_was(image, session, monkeypatch):
    writer = store.AnnotationWriter()
    writer.write(writer.snapshot(session))
    before = session.file.read_bytes()

    def fail(*_args, **_arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(UserError):
        writer.write(writer.snapshot(session))
    assert session.file.read_bytes() == before
    assert list(session.file.parent.iterdir()) == [session.file]
