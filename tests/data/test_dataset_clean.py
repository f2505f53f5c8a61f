"""Cleaning a dataset folder: exactly what is named, and never anything outside."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.dataset import (
    Subset,
    add_sample,
    clean_dataset,
    create_dataset,
    files_to_clean,
    files_to_keep,
    list_pairs,
)
from napari_unet3d.data.pairs import provenance_file
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.trash import list_trash, restore
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

BEGINNINGS = {".tif": b"II*\0"} | dict.fromkeys([".json", ".zarray", ".zgroup"], b'{"zarr_format": 2}')
IMAGE = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def touch(folder: Path, *names: str) -> None:
    """Make files that begin as their suffix says, since cleaning looks at their first bytes."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BEGINNINGS.get(path.suffix or path.name, b""))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return create_dataset(tmp_path / "data")


def test_clean_names_volumes_and_moves_exactly_what_is_asked(dataset):
    write_volume(dataset / "train/images/1.ome.zarr", IMAGE)
    write_volume(dataset / "train/labels/1.npy", IMAGE)
    touch(dataset, "train/images/.gitkeep", "train/images/folder/2.tif", "train/notes.txt", "readme.txt")
    touch(dataset, "test/images/2.tif")
    files = files_to_clean(dataset)
    assert [str(path.relative_to(dataset)) for path in files] == [
        os.path.join("train", "images", "1.ome.zarr"),
        os.path.join("train", "labels", "1.npy"),
        os.path.join("train", "labels", "1.npy.json"),
        os.path.join("test", "images", "2.tif"),
    ]
    trashed = clean_dataset(dataset, files[:3])
    assert files_to_clean(dataset) == files[3:]
    assert list_trash(dataset) == [trashed]
    for kept in ("train/images/.gitkeep", "train/images/folder/2.tif", "train/notes.txt", "readme.txt"):
        assert (dataset / kept).exists()
    restore(trashed)
    assert files_to_clean(dataset) == files
    np.testing.assert_array_equal(read_volume(dataset / "train/images/1.ome.zarr").array, IMAGE)


def test_clean_removes_links_and_never_what_they_point_to(dataset, tmp_path):
    outside = tmp_path / "outside"
    write_volume(outside / "a.tif", IMAGE)
    write_volume(outside / "b.ome.zarr", IMAGE)
    (dataset / "train/images/a.tif").symlink_to(outside / "a.tif")
    (dataset / "train/images/b.ome.zarr").symlink_to(outside / "b.ome.zarr", target_is_directory=True)
    (dataset / "train/images/all").symlink_to(outside, target_is_directory=True)
    (dataset / "train/images/broken.tif").symlink_to(tmp_path / "gone.tif")
    files = files_to_clean(dataset)
    assert [path.name for path in files] == ["a.tif", "b.ome.zarr", "broken.tif"]
    trashed = clean_dataset(dataset, files)
    assert [path.name for path in (dataset / "train/images").iterdir()] == ["all"]
    assert all((trashed.folder / path).is_symlink() for path in trashed.files)
    np.testing.assert_array_equal(read_volume(outside / "a.tif").array, IMAGE)
    np.testing.assert_array_equal(read_volume(outside / "b.ome.zarr").array, IMAGE)


def test_a_trash_that_is_a_link_is_not_followed(dataset, tmp_path):
    touch(dataset, "train/images/1.tif")
    (tmp_path / "outside").mkdir()
    (dataset / "trash").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(UserError, match="trash is a link, which is not followed"):
        clean_dataset(dataset, files_to_clean(dataset))
    assert (dataset / "train/images/1.tif").exists()
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("link", ["train", "train/images"])
def test_clean_does_not_enter_folders_that_are_links(dataset, tmp_path, link):
    touch(tmp_path, "outside/images/a.tif", "outside/a.tif", "outside/labels/a.tif")
    for path in sorted((dataset / link).rglob("*"), reverse=True):
        path.rmdir()
    (dataset / link).rmdir()
    (dataset / link).symlink_to(tmp_path / "outside", target_is_directory=True)
    assert files_to_clean(dataset) == []
    with pytest.raises(UserError, match="nothing was removed"):
        clean_dataset(dataset, [dataset / "train" / "images" / "a.tif"])
    assert len(list((tmp_path / "outside").rglob("a.tif"))) == 3


def test_a_link_inside_an_ome_zarr_folder_is_not_followed(dataset, tmp_path):
    touch(tmp_path, "outside/precious.txt")
    write_volume(dataset / "train/images/1.ome.zarr", IMAGE)
    (dataset / "train/images/1.ome.zarr/link").symlink_to(tmp_path / "outside", target_is_directory=True)
    clean_dataset(dataset, files_to_clean(dataset))
    assert (tmp_path / "outside/precious.txt").exists()
    assert files_to_clean(dataset) == []


@pytest.mark.parametrize(
    "stranger", ["../precious.tif", "train/images/../../../precious.tif", "train", "train/images/sub/2.tif"]
)
def test_clean_refuses_all_when_one_file_is_not_its_own(dataset, tmp_path, stranger):
    touch(tmp_path, "precious.tif")
    touch(dataset, "train/images/1.tif", "train/images/sub/2.tif")
    with pytest.raises(UserError, match=r"is not a volume of the dataset .*nothing was removed"):
        clean_dataset(dataset, [dataset / "train/images/1.tif", dataset / stranger])
    assert (tmp_path / "precious.tif").exists()
    assert (dataset / "train/images/1.tif").exists()


def test_clean_refuses_a_folder_that_is_no_dataset(tmp_path):
    touch(tmp_path, "1.tif")
    with pytest.raises(UserError, match="is not a dataset"):
        files_to_clean(tmp_path)
    with pytest.raises(UserError, match="is not a dataset"):
        clean_dataset(tmp_path, [tmp_path / "1.tif"])
    assert (tmp_path / "1.tif").exists()


def test_a_dataset_reached_through_a_link_is_still_its_own(dataset, tmp_path, monkeypatch):
    touch(dataset, "train/images/1.tif")
    (tmp_path / "link").symlink_to(dataset, target_is_directory=True)
    clean_dataset(tmp_path / "link", files_to_clean(tmp_path / "link"))
    assert files_to_clean(dataset) == []
    touch(dataset, "train/images/1.tif")
    monkeypatch.chdir(dataset)
    clean_dataset(".", [Path("train/images/1.tif")])
    assert files_to_clean(dataset) == []


STRANGERS = ["notes.tif/precious.txt", "raw.zarr/precious.txt", "a.zarr", "readme.txt", "b.json", "gone.npy.json"]
LETTERS = {"letter.tif": "Dear Sir", "letter.nii.gz": "Dear Sir", "letter.h5": "Dear Sir", "docs.zarr/zarr.json": "{}"}


def test_clean_leaves_what_only_looks_like_a_volume_and_names_it(dataset, tmp_path):
    own = dataset / "train/images"
    touch(own, *STRANGERS, ".hidden")
    for name, text in LETTERS.items():
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_text(text)
    touch(tmp_path, "outside/precious.txt")
    (own / "link.tif").symlink_to(tmp_path / "outside", target_is_directory=True)
    (own / "link.zarr").symlink_to(tmp_path / "outside", target_is_directory=True)
    write_volume(own / "volume.zarr", IMAGE)
    write_volume(own / "volume.tif", IMAGE)
    names = sorted({name.split("/")[0] for name in (*STRANGERS, *LETTERS)} | {"link.tif", "link.zarr"})
    assert [path.name for path in files_to_clean(dataset)] == ["volume.tif", "volume.zarr"]
    assert [path.name for path in files_to_keep(dataset)] == names
    for name in names:
        with pytest.raises(UserError, match="nothing was removed"):
            clean_dataset(dataset, [own / "volume.tif", own / name])
    clean_dataset(dataset, files_to_clean(dataset))
    assert sorted(path.name for path in own.iterdir()) == [".hidden", *names]
    assert (own / "notes.tif/precious.txt").exists()
    assert {name: (own / name).read_text() for name in LETTERS} == LETTERS
    assert (tmp_path / "outside/precious.txt").exists()


@pytest.mark.parametrize("metadata", ["zarr.json", ".zarray", ".zgroup"])
def test_a_folder_is_a_volume_by_its_zarr_metadata(dataset, metadata):
    touch(dataset / "train/images/1.zarr", metadata)
    touch(dataset / "train/images/2.tif", metadata)
    assert [path.name for path in files_to_clean(dataset)] == ["1.zarr"]


def test_clean_takes_the_json_files_of_volumes_along(dataset):
    mask = np.ones(IMAGE.shape, bool)
    add_sample(
        dataset,
        Sample("1", IMAGE, IMAGE, label_mask=mask, provenance=Provenance(volume="2", subset="train")),
        Subset.TRAIN,
    )
    (pair,) = list_pairs(dataset)
    assert provenance_file(pair.label_mask) in files_to_clean(dataset)
    clean_dataset(dataset, files_to_clean(dataset))
    assert not [path for path in dataset.rglob("*") if path.is_file() and dataset / "trash" not in path.parents]


def test_overwriting_a_volume_does_not_delete_a_folder_of_its_name(dataset):
    touch(dataset, "train/images/1.nii/precious.txt")
    with pytest.raises(UserError, match=r"1\.nii is not a volume, so it is not replaced. Move it"):
        add_sample(dataset, Sample("1", IMAGE, IMAGE), Subset.TRAIN, overwrite=True)
    assert (dataset / "train/images/1.nii/precious.txt").exists()
    assert not (dataset / "train/images/1.tif").exists()


FORMATS = [".tif", ".ome.tif", ".nii", ".nii.gz", ".npy", ".h5", ".mha", ".nrrd", ".mrc", ".ome.zarr"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_this_package_writes_is_known_as_a_volume(dataset, suffix):
    path = dataset / f"train/images/1{suffix}"
    write_volume(path, IMAGE)
    assert path in files_to_clean(dataset)
