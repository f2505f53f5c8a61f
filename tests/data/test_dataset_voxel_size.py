"""The voxel size that is given for a dataset, and what is known of the voxel sizes of many files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d import TrainingConfig, train
from napari_unet3d.cli import main
from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import Subset, add_sample, list_pairs, read_pair
from napari_unet3d.data.dataset_voxel_size import VOXEL_SIZE_FILE, read_given_voxel_size, write_given_voxel_size
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.reading import read_header, read_image
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.data.voxel_size_survey import VolumeVoxelSize, VoxelSizes, survey_dataset, survey_files
from napari_unet3d.errors import UserError

LABELS = np.zeros((8, 16, 18), np.uint8)
LABELS[2:6, 4:12, 4:12] = 1
GIVEN = (2.0, 0.5, 0.25)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    sizes = {"a": None, "b": (3.0, 1.0, 1.0), "c": (None, 0.5, 0.5)}
    for number, (name, size) in enumerate(sizes.items()):
        image = np.random.default_rng(number).integers(0, 200, LABELS.shape).astype(np.uint8)
        add_sample(folder, Sample(name, image, LABELS, size), Subset.TRAIN)
    return folder


def samples(folder: Path) -> dict[str, Sample]:
    return {pair.name: read_pair(pair) for pair in list_pairs(folder)}


def test_the_given_size_completes_files_without_one_and_says_so(dataset: Path) -> None:
    before = samples(dataset)
    assert [each.voxel_size_um for each in before.values()] == [None, (3, 1, 1), (None, 0.5, 0.5)]
    write_given_voxel_size(dataset, GIVEN)
    after = samples(dataset)
    assert [each.voxel_size_um for each in after.values()] == [GIVEN, (3, 1, 1), (2, 0.5, 0.5)]
    assert after["b"].notices == before["b"].notices
    assert after["a"].notices[-1] == (
        "The voxel size of 'a' is unknown; with that of voxel_size.json of the dataset, 2 × 0.5 × 0.25 µm, it is taken "
        "as 2 × 0.5 × 0.25 µm."
    )
    write_given_voxel_size(dataset, None)
    assert samples(dataset)["a"].voxel_size_um is None


def test_training_and_check_use_it_and_an_option_that_differs_is_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_given_voxel_size(dataset, GIVEN)
    assert not any("volumes are in voxels" in issue.message for issue in check_dataset(dataset))
    config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu", val_fraction=0, spacing=("median",))
    events = train(dataset, tmp_path / "run", config)
    assert next(each for each in events if type(each).__name__ == "RunStarted").plan.spacing_um == (2, 0.5, 0.5)
    events.close()
    size = ["--voxel-size", "9", "9", "9"]
    command = ["train", str(dataset), "--run", str(tmp_path / "other"), "--epochs", "1", "--preset", "xxsmall"]
    assert main([*command, *size]) == 0
    said = capsys.readouterr()
    assert "9 × 9 × 9 µm is used for volumes without a voxel size only" in said.out + said.err


DAMAGED = ["[1, 2]", "[1, 2, 0]", "[1, 2, 1e300]", '"123"', "[[1], 2, 3]"]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', *(f'{{"voxel_size_um": {each}}}' for each in DAMAGED)])
def test_a_damaged_file_is_named(dataset: Path, text: str) -> None:
    (dataset / VOXEL_SIZE_FILE).write_text(text)
    with pytest.raises(UserError, match=r"voxel_size\.json holds no voxel size; write"):
        read_pair(list_pairs(dataset)[0])
    with pytest.raises(UserError, match="or delete the file"):
        list(check_dataset(dataset))


@given(st.tuples(*[st.floats(1e-4, 1e6)] * 3))
def test_what_is_given_is_read_again(tmp_path_factory: pytest.TempPathFactory, size: tuple) -> None:
    folder = tmp_path_factory.mktemp("dataset")
    write_given_voxel_size(folder, size)
    assert read_given_voxel_size(folder) == size


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".nii.gz", ".nrrd", ".mha", ".npy", ".ome.zarr", ".h5"])
def test_a_header_says_what_the_volume_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"volume{suffix}"
    write_volume(path, LABELS, GIVEN)
    header, volume = read_header(path), read_image(path)
    assert (header.shape, header.geometry) == (volume.array.shape, volume.geometry)


def test_a_survey_names_what_is_unknown_given_and_unreadable(dataset: Path, tmp_path: Path) -> None:
    (dataset / "train" / "images" / "b.tif").write_bytes(b"no TIFF")
    volumes = list(survey_dataset(dataset))
    assert VoxelSizes(volumes).describe() == (
        "Voxel size unknown or partly unknown, 2 volumes: distances and volumes are in voxels. 1 file cannot be read "
        "(train/b)"
    )
    sizes = VoxelSizes(volumes, GIVEN)
    assert (sizes.completed, sizes.unknown, sizes.unreadable) == (["train/a", "train/c"], [], ["train/b"])
    assert sizes.details()[:2] == [
        "train/a: 2 × 0.5 × 0.25 µm (given by you)",
        "train/c: 2 × 0.5 × 0.5 µm (given by you)",
    ]
    assert sizes.to_offer() == GIVEN
    assert VoxelSizes(volumes).to_offer() == (1, 0.5, 0.5)
    assert next(iter(survey_files([tmp_path / "missing.tif"]))).geometry is None


def test_the_size_of_labels_is_taken_as_in_training(tmp_path: Path) -> None:
    for kind, size in (("images", None), ("labels", GIVEN)):
        write_volume(tmp_path / "train" / kind / "a.tif", LABELS, size)
    (volume,) = survey_dataset(tmp_path)
    assert volume.geometry is not None
    assert volume.geometry.voxel_size_um == pytest.approx(read_pair(list_pairs(tmp_path)[0]).voxel_size_um)


def test_numbers_without_a_unit_stay_without_one(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / "train" / kind).mkdir(parents=True)
        file, tags = tmp_path / "train" / kind / "a.tif", {"spacing": 4.0, "axes": "ZYX"}
        tifffile.imwrite(file, LABELS, imagej=True, metadata=tags, resolution=(0.5, 0.5))
    (volume,) = survey_dataset(tmp_path)
    assert volume.geometry == read_pair(list_pairs(tmp_path)[0]).geometry
    assert VoxelSizes([volume]).unknown == ["train/a"]


KNOWN = [VolumeVoxelSize(str(n), Geometry((2.0, size, 0.5))) for n, size in enumerate((0.3, 0.5, 0.4))]


@pytest.mark.parametrize(
    ("volumes", "given_size", "text"),
    [
        (KNOWN[:1], None, "Voxel size 2 × 0.3 × 0.5 µm"),
        (KNOWN, None, "Voxel size 2 × 0.3–0.5 × 0.5 µm, 3 volumes"),
        (
            KNOWN,
            GIVEN,
            "Voxel size 2 × 0.3–0.5 × 0.5 µm, 3 volumes, from the files; the given 2 × 0.5 × 0.25 µm is not used",
        ),
        ([VolumeVoxelSize("a", Geometry())], None, "Voxel size unknown: distances and volumes are in voxels"),
        (
            [VolumeVoxelSize("a", Geometry())],
            GIVEN,
            "Voxel size 2 × 0.5 × 0.25 µm; given by you, since the files have none",
        ),
        ([], None, ""),
    ],
)
def test_the_voxel_sizes_in_words(volumes: list, given_size: tuple | None, text: str) -> None:
    assert VoxelSizes(volumes, given_size).describe() == text
