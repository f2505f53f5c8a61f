"""Datasets of nnU-Net as datasets of this package: nothing is lost in a round trip, and nothing is made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet3d.cli import main
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, read_samples
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.nnunet.events import DatasetImported
from napari_unet3d.data.nnunet.exporting import export_dataset
from napari_unet3d.data.nnunet.importing import import_dataset
from napari_unet3d.data.nnunet.spacing import with_spacing
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_channels, write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.files import read_settings
from napari_unet3d.inference.evaluate_predictions import evaluate_predictions

SHAPE = (3, 5, 7)
IMAGE = np.random.default_rng(0).integers(0, 1000, SHAPE, dtype=np.uint16)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[0, 0, :3] = 1, 2, 3
PLACED = make_geometry((2.0, 0.5, 0.25), np.diag([-1.0, 1, 1]), (10.0, 20.0, 30.0), "NIfTI")
LABEL_NAMES = {"background": 0, "wall": 1, "lumen": 2, "ignore": 3}


def write_case(
    folder: Path, name: str, *channels: np.ndarray, labels: np.ndarray | None = LABELS, end: str = "Tr"
) -> None:
    for index, channel in enumerate(channels or (IMAGE,)):
        write_volume(folder / f"images{end}" / f"{name}_{index:04d}.tif", channel)
    if labels is not None:
        write_volume(folder / f"labels{end}" / f"{name}.tif", labels)


def describe(folder: Path, **changes: Any) -> Path:
    content = {"channel_names": {"0": "image"}, "labels": LABEL_NAMES, "numTraining": 1, "file_ending": ".tif"}
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content | changes), encoding="utf-8")
    return folder


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    """A dataset of one case with two classes and an ignore label."""
    write_case(tmp_path / "Dataset001_a", "a")
    return describe(tmp_path / "Dataset001_a")


def run(folder: Path, **options: Any) -> tuple[DatasetImported, list[str]]:
    """Return the result and what was said."""
    events = list(import_dataset(folder, folder.parent / "imported", **options))
    assert isinstance(events[-1], DatasetImported)
    return events[-1], [event.message for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize("geometry", [Geometry((2.0, 0.5, 0.25)), PLACED, Geometry()], ids=["µm", "placed", "unknown"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_export_and_import_keep_everything(tmp_path: Path, geometry: Geometry, n_channels: int) -> None:
    names = ("dapi", "membrane")[:n_channels] if n_channels > 1 else ()
    image = np.random.default_rng(1).normal(size=(n_channels, *SHAPE)).astype(np.float32)
    mask = np.ones(SHAPE, bool)
    mask[2] = False
    for name, subset in (("a", Subset.TRAIN), ("b 1", Subset.TEST)):
        labels = np.where(mask, LABELS, 0)
        add_sample(tmp_path / "data", Sample(name, image, labels, None, mask, None, geometry, (), names), subset)
    options: dict[str, Any] = {"task": "semantic", "class_names": ("wall", "lumen", "septum")}
    *_, exported = export_dataset(tmp_path / "data", tmp_path / "raw", **options)
    done, _ = run(exported.folder)
    assert (done.n_train, done.n_test, done.n_without_labels) == (1, 1, 0)
    for subset in Subset:
        (before,), (after,) = (read_samples(each, subset) for each in (tmp_path / "data", done.folder))
        np.testing.assert_array_equal(after.image, before.image)
        np.testing.assert_array_equal(after.labels, before.labels)
        np.testing.assert_array_equal(after.label_mask, before.label_mask)
        assert (after.name, after.channel_names) == (before.name, before.channel_names)
        np.testing.assert_allclose(after.spacing, before.spacing, rtol=1e-6)
        assert after.geometry.unit == before.geometry.unit
        assert (after.geometry.directions is None) == (before.geometry.directions is None)
        if before.geometry.directions is not None and before.geometry.origin is not None:
            np.testing.assert_allclose(after.geometry.directions, before.geometry.directions, atol=1e-6)
            np.testing.assert_allclose(after.geometry.origin, before.geometry.origin, rtol=1e-6)
    config = TrainingConfig(**read_settings(done.settings_file))
    assert (config.task, config.class_names) == ("semantic", ("wall", "lumen", "septum"))


def test_the_ignore_label_becomes_a_mask_and_classes_keep_their_names(nnunet: Path) -> None:
    done, said = run(nnunet)
    (sample,) = read_samples(done.folder)
    assert sample.labels is not None
    assert sample.label_mask is not None
    assert sample.labels[0, 0, :4].tolist() == [1, 2, 0, 0]
    np.testing.assert_array_equal(~sample.label_mask, LABELS == 3)
    assert json.loads(done.settings_file.read_text()) == {"task": "semantic", "class_names": ["wall", "lumen"]}
    assert said == []


def test_a_class_that_does_not_occur_has_no_name_for_a_training(nnunet: Path) -> None:
    describe(nnunet, labels={"background": 0, "wall": 1, "lumen": 2, "septum": 3, "vein": 4, "ignore": 5})
    done, said = run(nnunet)
    assert json.loads(done.settings_file.read_text())["class_names"] == ["wall", "lumen", "septum"]
    assert said == ["No training volume has the class 'vein', so its name is not among the settings."]


def test_one_class_is_the_task_binary(nnunet: Path) -> None:
    describe(nnunet, labels={"background": 0, "nuclei": 1}, channel_names={"0": "dapi"}, numTraining=5)
    write_case(nnunet, "a", labels=LABELS == 1)
    done, said = run(nnunet)
    assert json.loads(done.settings_file.read_text()) == {"task": "binary"}
    assert [message.split(",")[0] for message in said] == [
        "dataset.json says 5 training cases",
        "The name of the only channel",
        "The name of the only class",
    ]


def test_images_without_labels_are_no_test_volumes(nnunet: Path) -> None:
    write_case(nnunet, "b", IMAGE, labels=None, end="Ts")
    write_case(nnunet, "c", IMAGE, end="Ts")
    done, said = run(nnunet)
    assert (done.n_test, done.n_without_labels) == (1, 1)
    np.testing.assert_array_equal(read_channels(done.folder / "without_labels/b.tif").array, IMAGE)
    assert [each.name for each in read_samples(done.folder, Subset.TEST)] == ["c"]
    assert any("1 images of imagesTs have no labels" in message for message in said)


def test_volumes_of_which_nothing_is_annotated_are_left_out(nnunet: Path) -> None:
    write_case(nnunet, "b", IMAGE, labels=np.full(SHAPE, 3, np.uint8))
    done, said = run(describe(nnunet, numTraining=2))
    assert done.n_train == 1
    assert said == ["'b' is left out, since all of its voxels have the label ignore."]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, r"regions .*\(whole\)"),
        ({"labels": {"background": 0, "wall": 1, "lumen": 3}}, "without gaps"),
        ({"labels": {"wall": 0, "lumen": 1}}, "Background must be 0"),
        ({"labels": {"background": 0, "ignore": 1, "wall": 2, "lumen": 3}}, "must be the highest, 3"),
        ({"labels": {"background": 0, "wall": 1}}, "has the label 2, which dataset.json does not name"),
        ({"labels": {"background": "0", "wall": 1}}, "labels.background"),
        ({"channel_names": {"1": "image"}}, "number them from 0 on"),
        ({"channel_names": {"0": "a", "1": "b"}}, r"channels 0000, but dataset.json names 2"),
        ({"file_ending": ".png"}, "end in '.png'"),
        ({"file_ending": ".nii.gz"}, "no images with the file ending"),
        ({"dataset": {"a": {"images": ["/etc/a.tif"], "label": "a.tif"}}}, "lists the file of each case"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(nnunet: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(describe(nnunet, **changes))
    assert sorted(path.name for path in nnunet.parent.iterdir()) == [nnunet.name]


def test_datasets_of_the_first_version_are_named(nnunet: Path) -> None:
    (nnunet / "dataset.json").write_text('{"modality": {"0": "CT"}, "labels": {"0": "background"}}')
    with pytest.raises(UserError, match="nnUNetv2_convert_old_nnUNet_dataset"):
        run(nnunet)


def test_missing_labels_and_names_without_a_channel_are_refused(nnunet: Path) -> None:
    write_case(nnunet, "b", labels=None)
    with pytest.raises(UserError, match=r"labelsTr has no labels for .*b_0000.tif"):
        run(nnunet)
    tifffile.imwrite(nnunet / "imagesTr" / "c.tif", IMAGE, photometric="minisblack")
    with pytest.raises(UserError, match=r"c.tif has no number of a channel"):
        run(nnunet)


@pytest.mark.parametrize(
    ("other", "geometry", "message"),
    [
        (IMAGE[:2], Geometry((2.0, 0.5, 0.25)), "channels of one volume have one shape"),
        (IMAGE, Geometry((2.0, 0.5, 0.5)), "channels of one volume have one voxel size"),
        (IMAGE, Geometry(), "channels of one volume have one voxel size"),
        (IMAGE, make_geometry(PLACED.sizes, np.eye(3), PLACED.origin, "NIfTI"), "lie in different places"),
    ],
)
def test_channels_of_different_grids_are_refused(
    nnunet: Path, other: np.ndarray, geometry: Geometry, message: str
) -> None:
    describe(nnunet, channel_names={"0": "a", "1": "b"}, file_ending=".nii.gz")
    write_volume(nnunet / "imagesTr/a_0000.nii.gz", IMAGE, geometry=PLACED)
    write_volume(nnunet / "imagesTr/a_0001.nii.gz", other, geometry=geometry)
    write_volume(nnunet / "labelsTr/a.nii.gz", LABELS, geometry=PLACED)
    with pytest.raises(UserError, match=message):
        run(nnunet)


def test_a_folder_with_files_is_not_written_to(nnunet: Path) -> None:
    (nnunet.parent / "imported").mkdir()
    run(nnunet)
    with pytest.raises(UserError, match="contains files already"):
        run(nnunet)


class TestSpacing:
    """The file beside TIFF has no unit; the header of the TIFF file or the user tells it."""

    def write(self, folder: Path, spacing: object) -> Path:
        for each in ("imagesTr", "labelsTr"):
            (folder / each / "a.json").write_text(json.dumps({"spacing": spacing}))
        return folder

    def test_numbers_without_a_unit_stay_so_and_are_said(self, nnunet: Path) -> None:
        done, said = run(self.write(nnunet, [2.0, 0.5, 0.25]))
        (sample,) = read_samples(done.folder)
        assert (sample.geometry.unit, sample.spacing) == ("voxels", (8.0, 2.0, 1.0))
        assert said == [
            "The voxel size of a_0000.tif is 2 × 0.5 × 0.25 without a unit; say its unit with the spacing unit."
        ]

    def test_the_unit_can_be_given(self, nnunet: Path) -> None:
        done, said = run(self.write(nnunet, [2.0, 0.5, 0.25]), spacing_unit="mm")
        (sample,) = read_samples(done.folder)
        np.testing.assert_allclose(sample.voxel_size_um or (), (2000.0, 500.0, 250.0))
        assert said == []
        with pytest.raises(UserError, match="'parsec', which is no unit of length"):
            run(nnunet, spacing_unit="parsec")

    @pytest.mark.parametrize("spacing", [[1, 1], [1, 0, 1], ["a", 1, 1], 3, [1e999, 1, 1]])
    def test_damaged_files_are_named(self, nnunet: Path, spacing: object) -> None:
        with pytest.raises(UserError, match=r"a\.json"):
            run(self.write(nnunet, spacing))

    def test_the_header_tells_the_unit_or_contradicts(self) -> None:
        header = Geometry((None, 0.5, 0.25))
        assert with_spacing(header, (2e-3, 0.5e-3, 0.25e-3), "a") == (Geometry((2.0, 0.5, 0.25)), "")
        found, said = with_spacing(Geometry((2.0, 0.5, 0.25)), (0.25, 0.5, 2.0), "a")
        assert found == Geometry((2.0, 0.5, 0.25))
        assert "the header is used" in said


def test_predictions_as_nnunet_names_them_are_scored(nnunet: Path) -> None:
    truth = np.where(LABELS == 3, 0, LABELS)
    for name in ("case_1", "case 2"):
        write_case(nnunet, name, IMAGE, labels=truth, end="Ts")
    done, _ = run(nnunet)
    predictions = nnunet.parent / "predictions"
    for name in ("case_1", "case 2"):
        predicted = truth if name == "case_1" else np.where(truth == 2, 0, truth)
        predictions.mkdir(exist_ok=True)
        tifffile.imwrite(predictions / f"{name}.tif", predicted, photometric="minisblack", compression="zlib")
        (predictions / f"{name}.json").write_text('{"spacing": [1, 1, 1]}')
    for name in ("dataset.json", "plans.json", "predict_from_raw_data_args.json"):
        (predictions / name).write_text("{}")
    for dataset in (done.folder, nnunet):  # imported, and as it is
        *_, scored = evaluate_predictions(predictions, dataset, task="semantic", class_names=("wall", "lumen"))
        dice = {each.name.removesuffix("_0000"): [scores.dice for scores in each.classes] for each in scored.volumes}
        assert dice == {"case 2": [1.0, 0.0], "case_1": [1.0, 1.0]}


def test_the_command_writes_and_reads(nnunet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, raw = nnunet.parent / "cells", nnunet.parent / "raw"
    assert main(["dataset", "import", str(nnunet), "--from", "nnunet", "--out", str(out)]) == 0
    assert f"{out}: 1 training volumes, 0 test volumes; train with --config" in capsys.readouterr().out
    options = ["--task", "semantic", "--class-names", "wall", "lumen"]
    assert main(["dataset", "export", str(out), "--to", "nnunet", "--out", str(raw), *options]) == 0
    folder = raw / "Dataset501_cells"
    said = capsys.readouterr()
    assert said.out == f"{folder}: 1 training cases, 0 test cases; labels 0 background, 1 wall, 2 lumen, 3 ignore\n"
    assert "voxel size is unknown" in said.err
    np.testing.assert_array_equal(tifffile.imread(folder / "labelsTr/a.tif"), LABELS)
    assert main(["dataset", "export", str(folder), "--to", "nnunet", "--out", str(raw)]) == 1
    assert main(["dataset", "import", str(folder), "--out", str(out)]) == 2
