"""Units of NRRD and MetaImage: what a file says, what its convention says, and None where neither does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
LPS = "space: left-posterior-superior"
IN_3D = "space dimension: 3"
DIRECTIONS = "space directions: (0.5,0,0) (0,0.25,0) (0,0,2)"
SPACINGS = "spacings: 0.5 0.25 2"


def write_nrrd(path: Path, *lines: str) -> Path:
    header = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 4 3 2", "encoding: raw", *lines]
    path.write_bytes("\n".join([*header, "", ""]).encode() + ARRAY.tobytes())
    return path


def units(*names: str) -> str:
    return " ".join(f'"{name}"' for name in names)


@pytest.mark.parametrize(
    ("names", "um"),
    [(("um",) * 3, 1), (("µm",) * 3, 1), (("nm",) * 3, 1e-3), (("mm",) * 3, 1e3), (("micron", "um", "µm"), 1)],
)
@pytest.mark.parametrize("space", [LPS, IN_3D])
def test_space_units_of_nrrd(tmp_path, space, names, um):
    path = write_nrrd(tmp_path / "a.nrrd", space, DIRECTIONS, f"space units: {units(*names)}")
    assert read_volume(path).voxel_size_um == pytest.approx((2 * um, 0.25 * um, 0.5 * um))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((SPACINGS, f"units: {units('um', 'um', 'um')}"), (2, 0.25, 0.5)),
        ((SPACINGS, f"units: {units('nm', 'um', 'mm')}"), (2000, 0.25, 0.0005)),
        ((IN_3D, DIRECTIONS, f"space units: {units('nm', 'um', 'mm')}"), (2000, 0.25, 0.0005)),
        ((IN_3D, DIRECTIONS.replace("(0.5,0,0)", "(0.3,0.4,0)"), f"space units: {units(*['um'] * 3)}"), (2, 0.25, 0.5)),
        ((IN_3D, DIRECTIONS, f"space units: {units('um', 'um', 'pixel')}"), (None, 0.25, 0.5)),
        ((IN_3D, DIRECTIONS, f"space units: {units('', '', '')}"), None),
        ((LPS, DIRECTIONS), (2000, 250, 500)),
        (("space: RAS", DIRECTIONS), (2000, 250, 500)),
        ((IN_3D, DIRECTIONS), None),
        (("space: 3D-right-handed", DIRECTIONS), None),
        ((SPACINGS,), None),
        ((), None),
        ((f"units: {units('um', 'um', 'um')}",), None),
        ((LPS,), None),
    ],
)
def test_the_voxel_size_of_nrrd_is_what_the_file_says(tmp_path, lines, expected):
    size = read_volume(write_nrrd(tmp_path / "a.nrrd", *lines)).voxel_size_um
    assert size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("DistanceUnits = um\nElementSpacing = 0.5 0.25 2\n", (2, 0.25, 0.5)),
        ("DistanceUnits = mm\nElementSpacing = 0.5 0.25 2\n", (2000, 250, 500)),
        ("DistanceUnits = cm\nElementSpacing = 0.5 0.25 2\n", (20_000, 2500, 5000)),
        ("ElementSpacing = 0.5 0.25 2\n", (2000, 250, 500)),
        ("DistanceUnits = ?\nElementSpacing = 0.5 0.25 2\n", None),
        ("ElementSize = 0.5 0.25 2\n", (2000, 250, 500)),
        ("", None),
    ],
)
def test_distance_units_of_metaimage(tmp_path, lines, expected):
    header = (
        f"ObjectType = Image\nNDims = 3\n{lines}DimSize = 4 3 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(header.encode() + ARRAY.tobytes())
    size = read_volume(tmp_path / "a.mha").voxel_size_um
    assert size == (None if expected is None else pytest.approx(expected))


def test_an_mrc_without_cell_gives_no_voxel_size(tmp_path):
    write_volume(tmp_path / "a.mrc", ARRAY, (0.001, 0.002, 0.003))
    assert read_volume(tmp_path / "a.mrc").voxel_size_um == pytest.approx((0.001, 0.002, 0.003))
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    content[40:52] = bytes(12)  # the cell in Å
    (tmp_path / "a.mrc").write_bytes(content)
    assert read_volume(tmp_path / "a.mrc").voxel_size_um is None


def test_a_prediction_lies_where_its_source_in_micrometres_lies(tmp_path):
    scan = write_nrrd(
        tmp_path / "scan.nrrd", IN_3D, DIRECTIONS, f"space units: {units(*['um'] * 3)}", "space origin: (100,200,300)"
    )
    write_volume(tmp_path / "p.nrrd", ARRAY, geometry=read_volume(scan).geometry)
    written = SimpleITK.ReadImage(str(tmp_path / "p.nrrd"))
    assert written.GetOrigin() == pytest.approx((0.1, 0.2, 0.3))  # in mm
    assert read_volume(tmp_path / "p.nrrd").voxel_size_um == pytest.approx((2, 0.25, 0.5))


@pytest.mark.parametrize("name", ["Zähne.mhd", "Zähne.nhdr"])
def test_names_of_data_files_may_have_umlauts(tmp_path, name):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), str(tmp_path / name))
    np.testing.assert_array_equal(read_volume(tmp_path / name).array, ARRAY)
