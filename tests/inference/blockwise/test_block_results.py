"""What is written block by block: its places, levels and metadata, parts of volumes, and when blocks are used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr

from napari_unet3d.cli.app import main
from napari_unet3d.configs import PredictionConfig, Task
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import BlockDone, PredictionWritten
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint

Model, Blocks = Callable[..., Checkpoint], Callable[..., dict[str, np.ndarray]]
CPU = PredictionConfig(device="cpu")
LARGE = BlockConfig(block_size=(8, 32, 32))
SHAPE = (18, 27, 35)
SCALES = ((2.0, 0.5, 0.5), (2.0, 1.0, 1.0), (4.0, 2.0, 2.0))


def write_pyramid(path: Path, zarr_format: int, *, channels: bool = False, is_sharded: bool = False) -> np.ndarray:
    """Write an OME-Zarr image of three levels with a translation, and return its highest level."""
    image = np.random.default_rng(7).integers(0, 200, SHAPE).astype(np.uint8)
    leading = ("c",) if channels else ()
    group: Any = zarr.open_group(path, mode="w", zarr_format=3 if zarr_format == 3 else 2)
    datasets, level = [], image
    for number, scale in enumerate(SCALES):
        place = [
            {"type": "scale", "scale": [*(1.0 for _ in leading), *scale]},
            {"type": "translation", "translation": [*(0.0 for _ in leading), 10.0, 20.0, 30.0]},
        ]
        datasets.append({"path": f"s{number}", "coordinateTransformations": place})
        stored = level[None] if channels else level
        chunks = (*(1 for _ in leading), 8, 8, 16)
        how: dict[str, Any] = {"dimension_names": [*leading, *"zyx"]} if zarr_format == 3 else {}
        if is_sharded:
            how["shards"] = (*(1 for _ in leading), 8, 16, 32)
        group.create_array(f"s{number}", data=stored, chunks=chunks, **how)
        steps = [round(new / old) for new, old in zip(SCALES[min(number + 1, 2)], scale, strict=True)]
        level = level[:: steps[0], :: steps[1], :: steps[2]]
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if channels else []
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    entry = {"axes": axes, "datasets": datasets}
    if zarr_format == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [entry]}
    else:
        group.attrs["multiscales"] = [{**entry, "version": "0.4"}]
    return image


def levels_of(path: Path) -> list[tuple[tuple[int, ...], list[dict[str, Any]]]]:
    group: Any = zarr.open_group(path, mode="r")
    attributes = group.attrs.asdict()
    datasets = attributes.get("ome", attributes)["multiscales"][0]["datasets"]
    return [(group[each["path"]].shape, each["coordinateTransformations"]) for each in datasets]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("channels", [False, True])
def test_the_levels_of_the_image_are_those_of_the_labels(
    zarr_format: int, channels: bool, model_for: Model, by_blocks: Blocks, tmp_path: Path
) -> None:
    source, out = tmp_path / "image.ome.zarr", tmp_path / "out.ome.zarr"
    write_pyramid(source, zarr_format, channels=channels)
    by_blocks(model_for(), source, out, probability=True)
    for written in (out, tmp_path / "out_probability.ome.zarr"):
        own, expected = levels_of(written), levels_of(source)
        assert [shape for shape, _ in own] == [shape[-3:] for shape, _ in expected]
        for (_, place), (_, theirs) in zip(own, expected, strict=True):
            assert [each[each["type"]] for each in place] == [each[each["type"]][-3:] for each in theirs]
        open_ome_zarr(zarr.open_group(written, mode="r"))
    group: Any = zarr.open_group(out, mode="r")
    assert group["0"].chunks == (8, 8, 16)
    assert np.array_equal(group["1"][:], group["0"][:, ::2, ::2])
    assert np.array_equal(group["2"][:], group["1"][::2, ::2, ::2])
    assert "image-label" in group.attrs["ome"]
    assert group.attrs["napari-unet3d"]["normalisation"]["channels"][0]["scale"] > 0
    volume = read_volume(out)
    assert volume.voxel_size_um == SCALES[0]
    assert volume.geometry.origin == (30.0, 20.0, 10.0)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_labels_go_into_their_image(zarr_format: int, model_for: Model, by_blocks: Blocks, tmp_path: Path) -> None:
    source, model = tmp_path / "image.ome.zarr", model_for(Task.INSTANCE)
    image = write_pyramid(source, zarr_format)
    outside = by_blocks(model, source, tmp_path / "out.ome.zarr", blocks=LARGE)
    *_, last = predict_files(model, [source], None, CPU, in_place=True, blocks=LARGE)
    assert isinstance(last, PredictionWritten)
    assert last.files == (source / "labels" / "prediction", tmp_path / "image_objects.csv")
    group: Any = zarr.open_group(source, mode="r")
    attributes = group["labels"].attrs.asdict()
    assert attributes.get("ome", attributes)["labels"] == ["prediction"]
    assert np.array_equal(group["labels/prediction/0"][:], outside["labels"])
    assert int(group["labels/prediction"].metadata.zarr_format) == zarr_format
    assert np.array_equal(read_volume(source).array, image)
    for name in ("", "labels", "labels/prediction"):
        assert open_ome_zarr(group[name] if name else group) is not None
    with pytest.raises(UserError, match="exists already and is not replaced"):
        list(predict_files(model, [source], None, CPU, in_place=True))
    list(predict_files(model, [source], None, CPU, in_place=True, overwrite=True, blocks=LARGE))
    assert not (tmp_path / "image_prediction.unfinished").exists()


def test_shards_of_the_image_are_those_of_the_labels(model_for: Model, by_blocks: Blocks, tmp_path: Path) -> None:
    source, blocks = tmp_path / "image.ome.zarr", BlockConfig(block_size=(8, 16, 32))
    write_pyramid(source, 3, is_sharded=True)
    found = by_blocks(model_for(), source, tmp_path / "out.ome.zarr", blocks=blocks)
    group: Any = zarr.open_group(tmp_path / "out.ome.zarr", mode="r")
    assert (group["0"].chunks, group["0"].shards) == ((8, 8, 16), (8, 16, 32))
    other = by_blocks(model_for(), source, tmp_path / "other.ome.zarr", blocks=BlockConfig(block_size=8))
    assert np.array_equal(found["labels"], other["labels"])
    assert np.array_equal(group["1"][:], found["labels"][:, ::2, ::2])


def test_levels_are_computed_for_other_formats(model_for: Model, by_blocks: Blocks, tmp_path: Path) -> None:
    source, image = tmp_path / "long.tif", np.zeros((4, 6, 300), np.uint8)
    image[:, :, 100:200] = np.random.default_rng(0).integers(0, 99, (4, 6, 100))
    write_volume(source, image, (2.0, 0.5, 0.5))
    by_blocks(model_for(), source, tmp_path / "out", blocks=BlockConfig(blocks=True), probability=True)
    out = tmp_path / "out" / "long_labels.ome.zarr"
    (first, _), (second, place) = levels_of(out)
    assert (first, second) == ((4, 6, 300), (4, 3, 150))
    assert place == [
        {"type": "scale", "scale": [2.0, 1.0, 1.0]},
        {"type": "translation", "translation": [0, 0.25, 0.25]},
    ]
    group: Any = zarr.open_group(tmp_path / "out" / "long_probability.ome.zarr", mode="r")
    mean = group["0"][:].reshape(4, 3, 2, 150, 2).mean((2, 4))
    np.testing.assert_allclose(group["1"][:], mean, rtol=1e-5)


class TestParts:
    """A region, a mask, and blocks that are not empty."""

    def test_a_region_is_predicted_as_in_the_whole(
        self, model_for: Model, noisy_file: Path, by_blocks: Blocks, tmp_path: Path
    ) -> None:
        whole = by_blocks(model_for(), noisy_file, tmp_path / "whole", probability=True)
        blocks = BlockConfig(block_size=(8, 16, 16), region=("3:11", ":", "20:"))
        part = by_blocks(model_for(), noisy_file, tmp_path / "part", blocks=blocks, probability=True)
        inside = np.zeros(SHAPE, bool)
        inside[3:11, :, 20:] = True
        for kind in ("labels", "probability"):
            assert np.array_equal(part[kind], np.where(inside, whole[kind], 0))

    def test_only_the_blocks_of_a_region_are_predicted(
        self, model_for: Model, noisy_file: Path, tmp_path: Path
    ) -> None:
        blocks = BlockConfig(block_size=(9, 9, 35), region=("0:9", "10:12", ":"))
        events = list(predict_files(model_for(), [noisy_file], tmp_path, CPU, blocks=blocks))
        done = [event for event in events if isinstance(event, BlockDone) and event.step == "predicted"]
        assert [(event.n_done, event.n_total, event.box) for event in done] == [(1, 1, np.s_[0:9, 9:18, 0:35])]

    @pytest.mark.parametrize("region", ["0:19 0:5 0:5", "18: : :"])
    def test_a_region_beyond_the_volume(self, region: str, model_for: Model, noisy_file: Path, tmp_path: Path) -> None:
        blocks = BlockConfig(region=tuple(region.split()))
        with pytest.raises(UserError, match=r"goes beyond the volume of 18 × 27 × 35 voxels"):
            list(predict_files(model_for(), [noisy_file], tmp_path, CPU, blocks=blocks))
        assert list(tmp_path.iterdir()) == []  # nothing is left of it

    @pytest.mark.parametrize(
        ("region", "message"),
        [(("1:2",), "three ranges"), (("5:2", ":", ":"), "is empty"), (("a", ":", ":"), "no range")],
    )
    def test_what_is_no_region(self, region: tuple[str, ...], message: str) -> None:
        with pytest.raises(UserError, match=message):
            BlockConfig(region=region)

    def test_a_mask(self, model_for: Model, noisy_file: Path, by_blocks: Blocks, tmp_path: Path) -> None:
        mask = np.zeros(SHAPE, np.uint8)
        mask[2:9, 3:20, 1:9] = 1
        write_volume(tmp_path / "mask.tif", mask)
        model, how = model_for(Task.INSTANCE), {"blocks": LARGE, "probability": True}
        whole = by_blocks(model, noisy_file, tmp_path / "whole", **how)
        part = by_blocks(model, noisy_file, tmp_path / "part", mask=tmp_path / "mask.tif", **how)
        assert np.array_equal(part["probability"], np.where(mask, whole["probability"], 0))
        assert part["labels"].any()
        assert not part["labels"][mask == 0].any()
        write_volume(tmp_path / "other.tif", mask[:, :, 1:])
        with pytest.raises(UserError, match=r"has 18 × 27 × 34 voxels and the image 18 × 27 × 35"):
            list(predict_files(model_for(), [noisy_file], tmp_path / "x", CPU, mask=tmp_path / "other.tif"))

    def test_empty_blocks_are_left_out(self, model_for: Model, by_blocks: Blocks, tmp_path: Path) -> None:
        image = np.zeros((16, 32, 32), np.uint16)
        image[:, :16, :16] = np.random.default_rng(0).integers(0, 99, (16, 16, 16))
        write_volume(tmp_path / "sparse.npy", image)
        how = {"block_size": (8, 16, 16)}
        full = by_blocks(
            model_for(), tmp_path / "sparse.npy", tmp_path / "full", blocks=BlockConfig(**how), probability=True
        )
        blocks = BlockConfig(**how, skip_empty=True)
        events = list(predict_files(model_for(), [tmp_path / "sparse.npy"], tmp_path / "a", CPU, blocks=blocks))
        assert [event.n_total for event in events if isinstance(event, BlockDone) and event.step == "predicted"] == [
            2,
            2,
        ]
        found = by_blocks(model_for(), tmp_path / "sparse.npy", tmp_path / "b", blocks=blocks, probability=True)
        assert np.array_equal(found["probability"][:, :16, :16], full["probability"][:, :16, :16])
        assert full["probability"][:, 16:].all()
        assert not found["probability"][:, 16:].any()


class TestChoice:
    """When volumes are predicted block by block, and what cannot be."""

    @pytest.fixture
    def _no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("napari_unet3d.data.volume_parts._FRACTION_OF_MEMORY", 0.0)

    @pytest.mark.usefixtures("_no_memory")
    def test_a_volume_that_does_not_fit_is_predicted_so(
        self, model_for: Model, noisy_file: Path, tmp_path: Path
    ) -> None:
        events = list(predict_files(model_for(), [noisy_file], tmp_path, CPU))
        assert any(isinstance(event, BlockDone) for event in events)
        (notice,) = (event.message for event in events if isinstance(event, Notice) and "block" in event.message)
        assert notice.startswith("'noisy' (18 × 27 × 35 voxels) is predicted in 1 block of up to 18 × 27 × 35 voxels")
        assert isinstance(events[-1], PredictionWritten)
        assert events[-1].files == (tmp_path / "noisy_labels.ome.zarr",)
        with pytest.raises(UserError, match=r"noisy_labels\.ome\.zarr exists already"):
            list(predict_files(model_for(), [noisy_file], tmp_path, CPU))
        skipped = list(predict_files(model_for(), [noisy_file], tmp_path, CPU, skip_existing=True))
        assert [type(event) for event in skipped] == [Notice]

    @pytest.mark.usefixtures("_no_memory")
    def test_files_that_are_not_read_in_parts_are_predicted_in_memory(self, model_for: Model, tmp_path: Path) -> None:
        write_volume(tmp_path / "a.nii.gz", np.ones((4, 5, 6), np.uint8))
        *_, last = predict_files(model_for(), [tmp_path / "a.nii.gz"], tmp_path / "out", CPU)
        assert isinstance(last, PredictionWritten)
        assert last.files[0].name == "a_labels.nii.gz"

    def test_and_refused_if_blocks_are_asked_for(self, model_for: Model, tmp_path: Path) -> None:
        write_volume(tmp_path / "a.nii.gz", np.ones((4, 5, 6), np.uint8))
        with pytest.raises(UserError, match=r"a\.nii\.gz cannot be read in parts\. Save the volume as OME-Zarr"):
            list(predict_files(model_for(), [tmp_path / "a.nii.gz"], tmp_path, CPU, blocks=BlockConfig(blocks=True)))

    def test_values_that_are_not_finite(self, model_for: Model, tmp_path: Path) -> None:
        image = np.ones((4, 5, 6), np.float32)
        image[1, 2, 3] = np.nan
        write_volume(tmp_path / "a.npy", image)
        with pytest.raises(UserError, match=r"'a' has 1 values that are NaN or infinite"):
            list(predict_files(model_for(), [tmp_path / "a.npy"], tmp_path, CPU, blocks=BlockConfig(blocks=True)))

    def test_one_output_for_several_volumes(self, model_for: Model, noisy_file: Path, tmp_path: Path) -> None:
        shutil.copy(noisy_file, tmp_path / "other.h5")
        files = [noisy_file, tmp_path / "other.h5"]
        with pytest.raises(
            UserError, match=r"An output that ends in \.ome\.zarr can only be given for a single volume"
        ):
            list(predict_files(model_for(), files, tmp_path / "a.ome.zarr", CPU))
        with pytest.raises(UserError, match="No output was given"):
            list(predict_files(model_for(), files, None, CPU))

    def test_in_place_is_for_ome_zarr(self, model_for: Model, noisy_file: Path) -> None:
        with pytest.raises(UserError, match=r"noisy\.h5 is not OME-Zarr"):
            list(predict_files(model_for(), [noisy_file], None, CPU, in_place=True))


def test_the_command(model_for: Model, noisy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "model.safetensors", model_for())
    what = ["predict", str(tmp_path / "model.safetensors"), str(noisy_file), "--device", "cpu"]
    out = tmp_path / "result.ome.zarr"
    options = ["--block-size", "8", "16", "16", "--region", "0:8", "0:16", ":", "--skip-empty"]
    assert main([*what, "--out", str(out), *options]) == 0
    told = capsys.readouterr()
    assert told.out.split() == [str(out)]
    assert "MiB at a time" in told.err
    assert zarr.open_group(out, mode="r")["0"].shape == SHAPE  # type: ignore[union-attr]
    assert main([*what, "--in-place"]) == 1
    assert "is not OME-Zarr" in capsys.readouterr().err
    assert main(what) == 1
    assert "No output was given" in capsys.readouterr().err
