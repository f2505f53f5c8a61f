"""Many files at once: which volumes paths stand for, results that exist, and files that cannot be predicted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import ModelLoaded, PredictionFailed, PredictionWritten
from napari_unet3d.inference.input_files import find_input_files
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint

Untrained = Callable[..., Checkpoint]
CPU = PredictionConfig(device="cpu")
SHAPE = (4, 6, 8)


def write(*paths: Path) -> None:
    for number, path in enumerate(paths):
        write_volume(path, np.random.default_rng(number).integers(0, 99, SHAPE).astype(np.uint8))


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


class TestWhichVolumes:
    """Files, folders and wildcards."""

    def test_a_folder_stands_for_its_volumes_in_natural_order(self, tmp_path: Path) -> None:
        scans = tmp_path / "scans"
        write(scans / "s10.tif", scans / "s2.nii.gz", scans / "deeper" / "s3.tif", scans / "v.ome.zarr")
        (scans / "notes.txt").touch()
        (scans / ".hidden.tif").touch()
        found = find_input_files([scans])
        assert names(found.files) == ["s2.nii.gz", "s10.tif", "v.ome.zarr"]
        assert found.notices == []

    def test_wildcards_match_volumes_and_say_what_else(self, tmp_path: Path) -> None:
        write(tmp_path / "a" / "s1.tif", tmp_path / "b" / "deep" / "s2.tif", tmp_path / "a" / "v.ome.zarr")
        (tmp_path / "a" / "notes.txt").touch()
        assert names(find_input_files([tmp_path / "**" / "*.tif"]).files) == ["s1.tif", "s2.tif"]
        assert names(find_input_files([str(tmp_path / "a" / "s?.tif")]).files) == ["s1.tif"]
        every = find_input_files([tmp_path / "a" / "*"])
        assert names(every.files) == ["s1.tif", "v.ome.zarr"]
        assert "notes.txt" in every.notices[0]
        assert names(find_input_files([tmp_path / "**"]).files) == ["s1.tif", "v.ome.zarr", "s2.tif"]
        assert names(find_input_files([tmp_path / "[ab]"]).files) == ["s1.tif", "v.ome.zarr"]

    def test_a_name_with_the_characters_of_a_wildcard_is_a_name(self, tmp_path: Path) -> None:
        write(tmp_path / "scan[1].tif", tmp_path / "scan1.tif")
        assert names(find_input_files([tmp_path / "scan[1].tif"]).files) == ["scan[1].tif"]

    def test_what_a_folder_finds_again_is_predicted_once(self, tmp_path: Path) -> None:
        write(tmp_path / "a.tif", tmp_path / "b.tif")
        found = find_input_files([tmp_path, tmp_path / "b.tif", tmp_path / "*.tif"])
        assert names(found.files) == ["b.tif", "a.tif"]

    def test_a_file_that_is_named_twice_is_an_error_as_two_of_one_name_are(self, tmp_path: Path) -> None:
        write(tmp_path / "a.tif")
        with pytest.raises(UserError, match=r"Two results are called 'a_labels\.tif'"):
            next(predict_files(tmp_path / "no model", [tmp_path / "a.tif"] * 2, tmp_path / "out"))

    def test_earlier_results_beside_their_images_are_no_images(self, tmp_path: Path) -> None:
        write(*(tmp_path / f"{name}.tif" for name in ("a", "a_labels", "a_probability", "c_labels")))
        for path in (tmp_path, tmp_path / "*.tif"):
            found = find_input_files([path])
            assert names(found.files) == ["a.tif", "c_labels.tif"]
            assert "a_labels.tif, a_probability.tif" in found.notices[0]
        assert names(find_input_files([tmp_path / "a_labels.tif"]).files) == ["a_labels.tif"]

    def test_all_that_leads_to_no_volume_is_named_at_once(self, tmp_path: Path) -> None:
        write(tmp_path / "a.tif", tmp_path / "data" / "test" / "images" / "a.tif")
        (tmp_path / "notes.txt").touch()
        (tmp_path / "empty").mkdir()
        wrong = ["gone.tif", "notes.txt", "empty", "data", "*.nii", "*.txt"]
        with pytest.raises(UserError) as caught:
            find_input_files([tmp_path / "a.tif", *(tmp_path / name for name in wrong)])
        message = str(caught.value)
        for part in (
            "gone.tif does not exist",
            "notes.txt has no format that can be read",
            f"the folder {tmp_path / 'empty'} contains no volumes",
            f"did you mean {tmp_path / 'data' / 'test' / 'images'}?",
            "*.nii matches nothing",
            "*.txt matches 1 path(s), but no volume",
            "nothing was predicted",
        ):
            assert part in message

    def test_a_missing_path_is_found_before_the_model_is_loaded(self, tmp_path: Path) -> None:
        write(tmp_path / "a.tif")
        with pytest.raises(UserError, match=r"gone\.tif does not exist"):
            next(predict_files(tmp_path / "no model", [tmp_path / "a.tif", tmp_path / "gone.tif"], tmp_path / "out"))


class TestBadFiles:
    """A volume that cannot be read or predicted does not prevent the others."""

    def test_the_others_follow_and_the_error_lists_those_that_failed(
        self, untrained: Untrained, tmp_path: Path
    ) -> None:
        write(tmp_path / "a.tif", tmp_path / "c.tif", tmp_path / "e.tif")
        (tmp_path / "b.tif").write_bytes(b"II*\0 cut off")
        np.save(tmp_path / "d.npy", np.ones((2, 3, 4, 5)))
        events: list[object] = []
        with pytest.raises(UserError) as caught:
            events.extend(predict_files(untrained(), [tmp_path], tmp_path / "out", CPU))
        written = [event for event in events if isinstance(event, PredictionWritten)]
        failed = [event for event in events if isinstance(event, PredictionFailed)]
        assert [event.source.name for event in written if event.source] == ["a.tif", "c.tif", "e.tif"]
        assert [(event.n_written, event.n_failed, event.n_done) for event in written] == [
            (1, 0, 1),
            (2, 1, 3),
            (3, 2, 5),
        ]
        assert [(event.source.name, event.n_done, event.n_volumes) for event in failed] == [
            ("b.tif", 2, 5),
            ("d.npy", 4, 5),
        ]
        assert sorted(names(list((tmp_path / "out").iterdir()))) == ["a_labels.tif", "c_labels.tif", "e_labels.tif"]
        first, second, third = str(caught.value).splitlines()
        assert first == "2 of 5 volumes could not be predicted."
        assert f"{tmp_path / 'b.tif'} holds no image." in second
        assert "d.npy" in third
        assert "2 channels, but the training volumes have 1" in third

    def test_a_volume_whose_prediction_overflows_is_one_of_them(self, untrained: Untrained, tmp_path: Path) -> None:
        write_volume(tmp_path / "a.tif", np.full(SHAPE, np.nan, np.float32))
        write(tmp_path / "b.tif")
        with pytest.raises(UserError, match=r"1 of 2 volumes could not be predicted\.\n.*'a' .*NaN"):
            list(predict_files(untrained(), [tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out", CPU))
        assert names(list((tmp_path / "out").iterdir())) == ["b_labels.tif"]

    def test_a_folder_that_cannot_be_written_to_ends_at_once(self, untrained: Untrained, tmp_path: Path) -> None:
        write(tmp_path / "in" / "a.tif", tmp_path / "in" / "b.tif")
        (tmp_path / "out").touch()
        events: list[object] = []
        with pytest.raises(UserError, match="a part of that path is a file"):
            events.extend(predict_files(untrained(), [tmp_path / "in"], tmp_path / "out" / "more", CPU))
        assert not any(isinstance(event, PredictionFailed) for event in events)


class TestResultsThatExist:
    """They are replaced or skipped only when that is asked for."""

    @pytest.fixture
    def scans(self, tmp_path: Path) -> Path:
        write(tmp_path / "in" / "a.tif", tmp_path / "in" / "b.tif")
        write_volume(tmp_path / "out" / "a_labels.tif", np.full(SHAPE, 9, np.uint8))
        return tmp_path / "in"

    def test_nothing_is_predicted_then(self, untrained: Untrained, scans: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            next(predict_files(untrained(), [scans], tmp_path / "out", CPU))
        assert str(caught.value).startswith(f"{tmp_path / 'out' / 'a_labels.tif'} exists already and is not replaced.")
        assert "--skip-existing" in str(caught.value)
        write(tmp_path / "out" / "b_labels.tif")
        with pytest.raises(
            UserError, match=r"out contains a_labels\.tif, b_labels\.tif already; they are not replaced"
        ):
            next(predict_files(untrained(), [scans], tmp_path / "out", CPU))

    def test_overwrite_replaces_them(self, untrained: Untrained, scans: Path, tmp_path: Path) -> None:
        *_, last = predict_files(untrained(), [scans], tmp_path / "out", CPU, overwrite=True)
        assert isinstance(last, PredictionWritten)
        assert last.n_written == 2
        assert read_volume(tmp_path / "out" / "a_labels.tif").array.max() <= 1

    def test_skipped_ones_stay_and_are_named(self, untrained: Untrained, scans: Path, tmp_path: Path) -> None:
        notice, loaded, _, written = predict_files(untrained(), [scans], tmp_path / "out", CPU, skip_existing=True)
        assert notice == Notice("1 of 2 volumes have results and are skipped: a.tif.")
        assert isinstance(loaded, ModelLoaded)
        assert isinstance(written, PredictionWritten)
        assert (written.n_written, written.n_volumes) == (1, 1)
        assert (read_volume(tmp_path / "out" / "a_labels.tif").array == 9).all()
        assert [
            type(event) for event in predict_files(untrained(), [scans], tmp_path / "out", CPU, skip_existing=True)
        ] == [Notice]

    def test_what_is_missing_of_a_result_is_added(self, untrained: Untrained, scans: Path, tmp_path: Path) -> None:
        events = predict_files(untrained(), [scans], tmp_path / "out", CPU, skip_existing=True, probability=True)
        first, *_ = events_list = list(events)
        assert first == Notice("Kept as they are: a_labels.tif.")
        written = [event.files for event in events_list if isinstance(event, PredictionWritten)]
        assert [names(list(files)) for files in written] == [
            ["a_probability.tif"],
            ["b_labels.tif", "b_probability.tif"],
        ]
        assert (read_volume(tmp_path / "out" / "a_labels.tif").array == 9).all()

    def test_a_result_that_appears_meanwhile_is_not_replaced(self, untrained: Untrained, tmp_path: Path) -> None:
        write(tmp_path / "in" / "a.tif")
        events = predict_files(untrained(), [tmp_path / "in"], tmp_path / "out", CPU)
        next(events)
        write_volume(tmp_path / "out" / "a_labels.tif", np.full(SHAPE, 9, np.uint8))
        with pytest.raises(UserError, match=r"a_labels\.tif exists already and is not replaced"):
            list(events)
        assert (read_volume(tmp_path / "out" / "a_labels.tif").array == 9).all()

    def test_a_file_beside_its_image_is_not_even_overwritten(self, untrained: Untrained, tmp_path: Path) -> None:
        write(tmp_path / "a.tif", tmp_path / "a_labels.tif")
        with pytest.raises(UserError, match="next to its image"):
            next(predict_files(untrained(), [tmp_path / "a.tif"], tmp_path, CPU, overwrite=True))

    def test_both_choices_exclude_each_other(self, untrained: Untrained, scans: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="either overwritten or skipped"):
            next(predict_files(untrained(), [scans], tmp_path, CPU, overwrite=True, skip_existing=True))


def test_samples_of_one_name_in_two_folders_are_refused(
    untrained: Untrained, textured: Callable[..., Sample], tmp_path: Path
) -> None:
    write(tmp_path / "one" / "a.tif", tmp_path / "two" / "a.tif")
    with pytest.raises(UserError, match=r"Two results are called 'a_labels\.tif'"):
        next(predict_files(untrained(), [tmp_path / "*" / "*.tif"], tmp_path / "out", CPU))
