"""OME-Zarr, with ome-zarr-models as the judge of what is written and the author of what is read."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v04.axes import Axis as Axis04
from ome_zarr_models.v04.image import Image as Image04
from ome_zarr_models.v05.axes import Axis as Axis05
from ome_zarr_models.v05.image import Image as Image05
from pydantic_zarr.v2 import ArraySpec as ArraySpec2
from pydantic_zarr.v3 import ArraySpec as ArraySpec3

from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

ARRAY = np.arange(6 * 7 * 8, dtype=np.uint16).reshape(6, 7, 8)


def write_ome_zarr(path, version, arrays, axes, scales, units):
    """Write as the schema's own library does; `scales` belong to `arrays`, both from high to low resolution."""
    names = [str(level) for level in range(len(arrays))]
    image_class, axis_class = (Image04, Axis04) if version == "0.4" else (Image05, Axis05)
    kinds = {"t": "time", "c": "channel"}
    specs = [
        ArraySpec2.from_array(array) if version == "0.4" else ArraySpec3.from_array(array, dimension_names=tuple(axes))
        for array in arrays
    ]
    image = image_class.new(
        array_specs=specs,
        paths=names,
        axes=[axis_class(name=a, type=kinds.get(a, "space"), unit=u) for a, u in zip(axes, units, strict=True)],
        scales=scales,
        translations=[None] * len(arrays),
    )
    group = image.to_zarr(zarr.storage.LocalStore(path), path="")
    for name, array in zip(names, arrays, strict=True):
        group[name][...] = array


def test_what_is_written_is_valid_and_has_units(tmp_path):
    write_volume(tmp_path / "a.ome.zarr", ARRAY, (2.0, 0.5, 0.25))
    image = open_ome_zarr(tmp_path / "a.ome.zarr", version="0.5")
    multiscale = image.ome_attributes.multiscales[0]
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        ("z", "space", "micrometer"),
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    assert list(multiscale.datasets[0].coordinateTransformations[0].scale) == [2.0, 0.5, 0.25]
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.ome.zarr" / "0", mode="r")[...], ARRAY)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_highest_resolution_is_read_in_micrometres(tmp_path, version):
    arrays = [ARRAY, ARRAY[:, ::2, ::2]]
    scales = [[2, 500, 250], [2, 1000, 500]]
    write_ome_zarr(tmp_path / "a.zarr", version, arrays, "zyx", scales, ["micrometer", "nanometer", "nanometer"])
    volume = read_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um == pytest.approx((2, 0.5, 0.25))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_one_time_point_and_channel_are_dropped(tmp_path, version):
    units = ["second", None, "millimeter", "millimeter", "millimeter"]
    write_ome_zarr(tmp_path / "a.zarr", version, [ARRAY[None, None]], "tczyx", [[9, 1, 0.3, 0.2, 0.1]], units)
    volume = read_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um == pytest.approx((300, 200, 100))


def test_channels_are_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", "0.5", [np.stack([ARRAY, ARRAY])], "czyx", [[1] * 4], [None] * 4)
    with pytest.raises(UserError, match=r"has 2 channels .* save one"):
        read_volume(tmp_path / "a.zarr")


def test_axes_in_another_order_are_turned(tmp_path):
    write_volume(tmp_path / "a.zarr", ARRAY, (2.0, 0.5, 0.25))
    edit(tmp_path / "a.zarr", lambda image: image["axes"].reverse())
    volume = read_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.array, ARRAY.transpose())
    assert volume.voxel_size_um == (0.25, 0.5, 2.0)


def edit(path, change):
    file = path / "zarr.json"
    metadata = json.loads(file.read_text())
    change(metadata["attributes"]["ome"]["multiscales"][0])
    file.write_text(json.dumps(metadata))


def test_a_scale_of_all_levels_multiplies_that_of_the_first(tmp_path):
    write_volume(tmp_path / "a.zarr", ARRAY, (2.0, 0.5, 0.25))
    both = [{"type": "scale", "scale": [1, 10, 100]}]
    edit(tmp_path / "a.zarr", lambda image: image.update(coordinateTransformations=both))
    assert read_volume(tmp_path / "a.zarr").voxel_size_um == (2, 5, 25)


def test_old_files_without_axes_and_units_have_no_voxel_size(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("s0", data=ARRAY[None, None])
    group.attrs["multiscales"] = [{"version": "0.1", "datasets": [{"path": "s0"}]}]
    volume = read_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um is None


def test_a_bioformats2raw_folder_and_a_plain_array_are_read(tmp_path):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    root.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    write_volume(tmp_path / "a.zarr" / "0.zarr", ARRAY, (2.0, 0.5, 0.25))
    (tmp_path / "a.zarr" / "0.zarr").rename(tmp_path / "a.zarr" / "0")
    assert read_volume(tmp_path / "a.zarr").voxel_size_um == (2, 0.5, 0.25)
    zarr.create_array(tmp_path / "b.zarr", data=ARRAY)
    np.testing.assert_array_equal(read_volume(tmp_path / "b.zarr").array, ARRAY)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.update(datasets=[]),
        lambda image: image.update(datasets=[{"path": "7"}]),
        lambda image: image.update(datasets=7),
        lambda image: image.update(axes=["z"]),
        lambda image: image["datasets"][0].update(coordinateTransformations=[{"type": "scale", "scale": ["a"]}]),
        lambda image: image.update(axes=[{}, {}, {}]),
    ],
)
def test_broken_metadata_is_one_message(tmp_path, change):
    write_volume(tmp_path / "a.zarr", ARRAY)
    edit(tmp_path / "a.zarr", change)
    with pytest.raises(UserError, match=r"Cannot read .*a\.zarr: it is damaged or not in the format OME-Zarr"):
        read_volume(tmp_path / "a.zarr")


def test_a_group_without_an_image_and_an_empty_folder_are_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(UserError, match=r"without a 3D image. Choose the folder"):
        read_volume(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(UserError, match="damaged or not in the format OME-Zarr"):
        read_volume(tmp_path / "b.zarr")


def test_a_cut_chunk_or_header_is_one_message(tmp_path):
    write_volume(tmp_path / "whole.zarr", ARRAY)
    for file in [path.relative_to(tmp_path / "whole.zarr") for path in (tmp_path / "whole.zarr").rglob("*")]:
        if not (tmp_path / "whole.zarr" / file).is_file():
            continue
        shutil.copytree(tmp_path / "whole.zarr", tmp_path / "cut.zarr")
        content = (tmp_path / "cut.zarr" / file).read_bytes()
        (tmp_path / "cut.zarr" / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match="damaged"):
            read_volume(tmp_path / "cut.zarr")
        shutil.rmtree(tmp_path / "cut.zarr")
