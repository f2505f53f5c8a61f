"""A new format is known everywhere as soon as it is registered; listing formats loads no library."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import (
    add_sample,
    clean_dataset,
    create_dataset,
    files_to_clean,
    list_pairs,
    read_samples,
)
from napari_unet3d.data.formats import registry
from napari_unet3d.data.formats.base import Format
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

IMAGE = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)


CONTRIBUTING = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"<!-- example: a file format -->\n```python\n(.*?)```", CONTRIBUTING, re.DOTALL)
assert EXAMPLE is not None
MODULE: dict[str, Any] = {}
exec(compile(EXAMPLE[1], "npy_gz.py", "exec"), MODULE)
FORMAT: Format = MODULE["FORMAT"]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", [*registry.FORMATS, FORMAT])


@pytest.fixture
def dataset(registered: None, tmp_path: Path) -> Path:
    folder = create_dataset(tmp_path / "data")
    for kind, array in (("images", IMAGE), ("labels", (IMAGE > 9).astype(np.uint8))):
        write_volume(folder / "train" / kind / "1.npy.gz", array)
    return folder


def test_before_it_is_registered_it_is_unknown(tmp_path: Path) -> None:
    assert not registry.is_volume("a.npy.gz")
    with pytest.raises(UserError, match="no format that can be read"):
        write_volume(tmp_path / "a.npy.gz", IMAGE)


def test_volumes_are_written_and_read(dataset: Path) -> None:
    path = dataset / "train" / "images" / "1.npy.gz"
    assert (registry.volume_suffix(path), registry.volume_name(path)) == (".npy.gz", "1")
    np.testing.assert_array_equal(read_volume(path).array, IMAGE)


def test_a_damaged_file_is_explained_with_the_name_of_the_format(dataset: Path) -> None:
    path = dataset / "train" / "images" / "1.npy.gz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(
        UserError, match=r"it is damaged or not in the format Compressed NumPy .* Copy or export it again"
    ):
        read_volume(path)


def test_datasets_hold_it(dataset: Path) -> None:
    (pair,) = list_pairs(dataset)
    assert pair.is_complete
    (sample,) = read_samples(dataset)
    np.testing.assert_array_equal(sample.image, IMAGE)
    messages = [issue.message for issue in check_dataset(dataset)]
    assert not [message for message in messages if "ignored" in message]
    add_sample(dataset, Sample("1", IMAGE, IMAGE), Subset.TRAIN, overwrite=True)  # as 1.tif
    (pair,) = list_pairs(dataset)
    assert pair.image == dataset / "train" / "images" / "1.tif"


def test_it_is_cleaned_away(dataset: Path) -> None:
    files = files_to_clean(dataset)
    assert [path.name for path in files] == ["1.npy.gz"] * 2
    clean_dataset(dataset, files)
    assert not files_to_clean(dataset)


def test_dialogs_messages_and_documentation_name_it(registered: None, tmp_path: Path) -> None:
    assert "*.npy.gz" in registry.file_filter().split(";;")[0]
    assert "Compressed NumPy (*.npy.gz)" in registry.file_filter()
    assert "| Compressed NumPy | `.npy.gz` | none | read, write |" in registry.formats_table()
    with pytest.raises(UserError, match=r"\.npy\.gz\."):
        registry.volume_suffix("a.docx")


def test_the_dialog_offers_files_only() -> None:
    every, *groups, last = registry.file_filter().split(";;")
    assert every.startswith("Volumes (*.ome.tiff *.ome.tif *.tiff *.tif *.nii.gz")
    assert "NIfTI (*.nii.gz *.nii)" in groups
    assert not [group for group in groups if "zarr" in group]
    assert last == "All files (*)"


def test_what_needs_an_extra_says_so() -> None:
    rows = registry.formats_table().splitlines()
    assert rows[-1].startswith(
        "| NRRD, MetaImage, MRC | `.nrrd` `.nhdr` `.mha` `.mhd` `.mrc` `.rec` `.map` | in the header"
    )
    assert rows[-1].endswith("needs `pip install 'napari-unet3d[formats]'` |")
    assert len(rows) == 2 + len(registry.FORMATS)


def test_each_suffix_has_one_format() -> None:
    suffixes = registry.readable_suffixes()
    assert len(set(suffixes)) == len(suffixes) == 24
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    code = (
        "import sys; from napari_unet3d.data import checks, dataset, pairs, volumes; "
        "from napari_unet3d.data.formats.registry import is_volume, file_filter; "
        "assert is_volume('a.tif') and file_filter(); print(*sys.modules)"
    )
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("library", ["tifffile", "nibabel", "zarr", "SimpleITK", "torch", "qtpy"])
def test_listing_formats_loads_no_library(loaded: set[str], library: str) -> None:
    assert library not in loaded
