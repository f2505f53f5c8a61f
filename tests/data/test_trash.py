"""Volumes that are removed from a dataset go to its trash, and come back as they were."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.dataset import Subset, add_sample, list_pairs
from napari_unet3d.data.pairs import folder_notices
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.trash import files_of, list_trash, move_to_trash, restore
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def pair_of(folder: Path, name: str):
    return next(pair for pair in list_pairs(folder) if pair.name == name)


def sample(name: str) -> Sample:
    return Sample(name, np.full((4, 5, 6), 7, np.uint8), np.ones((4, 5, 6), np.uint8), (2.0, 1.0, 1.0))


def test_a_volume_goes_with_all_that_belongs_to_it_and_comes_back(dataset):
    mask = np.zeros((4, 5, 6), bool)
    mask[1] = True
    add_sample(dataset, replace(sample("m"), label_mask=mask, provenance=Provenance(volume="a")), Subset.TRAIN)
    for kind, array in (("images", sample("n").image), ("labels", sample("n").labels)):
        write_volume(dataset / "test" / kind / "n.npy", array, geometry=sample("n").geometry)
    before = content(dataset)
    names = [pair.name for pair in list_pairs(dataset)]

    trashed = move_to_trash([pair_of(dataset, "m"), pair_of(dataset, "n")])
    assert trashed.names == ("m", "n")
    assert len(trashed.files) == 4 + 4  # with provenance, and a voxel size beside each .npy
    assert [pair.name for pair in list_pairs(dataset)] == [name for name in names if name not in "mn"]
    assert trashed.folder.parent == dataset / "trash"
    assert not folder_notices(dataset), "the trash is no dataset"
    assert list_trash(dataset) == [replace(trashed, files=tuple(sorted(trashed.files)))]

    restore(list_trash(dataset)[0])
    assert content(dataset) == before
    assert not (dataset / "trash").exists()


def test_the_latest_comes_first_and_a_folder_is_one_volume(dataset):
    move_to_trash([pair_of(dataset, "a")])
    move_to_trash([pair_of(dataset, "b")])
    assert [each.names for each in list_trash(dataset)] == [("b",), ("a",)]
    for kind in ("images", "labels"):
        write_volume(dataset / "train" / kind / "z.ome.zarr", sample("z").labels)
    trashed = move_to_trash([pair_of(dataset, "z")])
    assert {str(path) for path in list_trash(dataset)[0].files} == {
        os.path.join("train", kind, "z.ome.zarr") for kind in ("images", "labels")
    }
    restore(list_trash(dataset)[0])
    assert pair_of(dataset, "z").is_complete
    assert not trashed.folder.exists()


def test_nothing_is_replaced_and_nothing_is_lost(dataset):
    trashed = move_to_trash([pair_of(dataset, "a")])
    add_sample(dataset, sample("a"), Subset.TRAIN)
    before = content(dataset)
    with pytest.raises(UserError, match=r"a\.ome\.tif exists already, so nothing was restored|a\.tif exists already"):
        restore(trashed)
    assert content(dataset) == before


def test_of_several_files_all_are_moved_or_none(dataset, monkeypatch):
    before, move = content(dataset), shutil.move

    def failing(source, target):
        if "labels" in str(target) and "trash" in str(target):
            raise OSError(errno.EACCES, "no")
        move(source, target)

    monkeypatch.setattr(shutil, "move", failing)
    with pytest.raises(UserError, match=r"Cannot move .*permission denied"):
        move_to_trash([pair_of(dataset, "a")])
    assert content(dataset) == before


def test_links_are_moved_not_what_they_lead_to(dataset, tmp_path):
    outside = tmp_path / "precious.tif"
    outside.write_bytes(pair_of(dataset, "a").image.read_bytes())
    link = dataset / "train" / "images" / "link.tif"
    link.symlink_to(outside)
    assert link in files_of(pair_of(dataset, "link"))
    move_to_trash([pair_of(dataset, "link")])
    assert not os.path.lexists(link)
    assert outside.exists()
    restore(list_trash(dataset)[0])
    assert link.resolve() == outside.resolve()
