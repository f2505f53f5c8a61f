"""Worker processes answer for every part once, also if some of them die; results are those of one process."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr
from worker_tasks import Count, Environment, Refuse

from napari_unet3d.cli import main
from napari_unet3d.configs import EvaluationConfig, PredictionConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.data.dataset import add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.events import (
    BlockDone,
    EvaluationFinished,
    PredictionFailed,
    PredictionWritten,
    VolumeEvaluated,
)
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.inference.workers.local import LocalWorkers
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
CPU, TWO = PredictionConfig(device="cpu"), WorkersConfig(workers=2)
BLOCKS = BlockConfig(block_size=(8, 16, 16))


def test_every_part_is_answered_once_although_a_worker_dies(tmp_path: Path) -> None:
    with closing(LocalWorkers(2, 7, ["2", "5"])) as workers:
        answers = list(workers.run([Count(tmp_path, "a"), Count(tmp_path, "b", dies_before=1)]))
        environments = {answer for _, answer in workers.run([Environment(), Environment(), Environment()])}
        processes = set(workers.process_ids)
    assert sorted((task, number) for task, (number, _) in answers) == [(t, n) for t in range(2) for n in range(3)]
    of_b = [process for task, (_, process) in answers if task == 1]
    assert of_b[0] != of_b[1] == of_b[2]  # the first part was not done again
    assert of_b[1] in processes
    assert environments <= {("3", "2"), ("3", "5")}
    assert workers.description == "2 worker processes with 3 threads and a GPU of 2 each."
    assert not workers.process_ids


def test_errors_end_all_workers(tmp_path: Path) -> None:
    with closing(LocalWorkers(1, 1)) as workers:
        with pytest.raises(UserError, match="The scan is damaged"):
            list(workers.run([Refuse(), Count(tmp_path, "a")]))
        assert not workers.process_ids
        with pytest.raises(UserError, match=r"died 3 times at the same part \(exit code -9\)"):
            list(workers.run([Count(tmp_path, "b", dies_before=0, deaths=9)]))


@pytest.fixture
def run(untrained: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "run" / "model.safetensors", untrained(preset="xxsmall", patch=(16, 16, 16)))
    return tmp_path / "run"


def test_blocks_of_two_workers_of_which_one_dies(run: Path, tmp_path: Path) -> None:
    scan = tmp_path / "scan.h5"
    write_volume(scan, np.random.default_rng(0).integers(0, 200, (24, 27, 35)).astype(np.uint16), (2.0, 0.5, 1.0))
    mask = tmp_path / "mask.npy"
    write_volume(mask, np.pad(np.ones((20, 20, 30), np.uint8), ((0, 4), (7, 0), (5, 0))))
    others = {"blocks": BLOCKS, "probability": True, "mask": mask}
    list(predict_files(run, [scan], tmp_path / "alone.ome.zarr", CPU, **others))
    killed, done = 0, []
    for event in predict_files(run, [scan], tmp_path / "two.ome.zarr", CPU, **others, workers=TWO):
        if isinstance(event, BlockDone) and event.step == "predicted":
            done.append(event.n_done)
            if len(done) == 2:
                children = [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]
                os.kill(children[0].pid, signal.SIGKILL)
                killed += 1
    assert isinstance(event, PredictionWritten)
    assert (killed, done) == (1, list(range(1, len(done) + 1)))
    for kind in ("", "_probability"):
        one, other = (
            np.asarray(zarr.open_group(tmp_path / f"{name}{kind}.ome.zarr", mode="r")["0"][:])
            for name in ("alone", "two")
        )
        assert one.any()
        np.testing.assert_array_equal(one, other)


def test_files_are_spread_and_failures_are_named(run: Path, textured: Callable[..., Sample], tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for number in range(3):
        sample = textured(seed=number)
        write_volume(scans / f"{number}.tif", sample.image, sample.voxel_size_um)
    (scans / "bad.tif").write_bytes(b"II*\0")
    events = list_until_error(run, scans, tmp_path / "two")
    written = [event for event in events if isinstance(event, PredictionWritten)]
    assert sorted(event.files[0].name for event in written) == [f"{n}_labels.tif" for n in range(3)]
    assert all(event.prediction is None for event in written)
    (failed,) = (event for event in events if isinstance(event, PredictionFailed))
    assert failed.source == scans / "bad.tif"
    assert any("2 worker processes" in event.message for event in events if isinstance(event, Notice))
    (scans / "bad.tif").unlink()
    command = ["predict", str(run), str(scans), "--out", str(tmp_path / "alone"), "--device", "cpu"]
    assert main(command) == 0
    for number in range(3):
        one, other = (read_volume(tmp_path / name / f"{number}_labels.tif") for name in ("alone", "two"))
        np.testing.assert_array_equal(one.array, other.array)
        assert one.geometry == other.geometry


def list_until_error(run: Path, scans: Path, out: Path) -> list[object]:
    events: list[object] = []
    with pytest.raises(UserError, match="1 of 4 volumes could not be predicted"):
        events.extend(predict_files(run, [scans], out, CPU, workers=TWO))
    return events


def test_evaluation_with_workers(run: Path, textured: Callable[..., Sample], tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        add_sample(tmp_path / "data", textured(name, seed=number), Subset.TEST)
    config = EvaluationConfig(device="cpu", test_augmentation="light")
    *_, alone = evaluate(run, tmp_path / "data", out=tmp_path / "alone", config=config)
    *events, two = evaluate(run, tmp_path / "data", out=tmp_path / "two", config=config, workers=TWO)
    assert isinstance(alone, EvaluationFinished)
    assert isinstance(two, EvaluationFinished)
    assert (two.volumes, two.mean) == (alone.volumes, alone.mean)
    evaluated = [event for event in events if isinstance(event, VolumeEvaluated)]
    assert [event.scores.name for event in evaluated] == ["a", "b"]
    for name in ("metrics.csv", "errors.csv", "metrics.json"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert not list((tmp_path / "two").rglob(".*"))


def test_models_in_memory_are_refused(untrained: Callable[..., Checkpoint], tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    with pytest.raises(UserError, match="only in memory"):
        next(predict_files(untrained(), [tmp_path / "a.tif"], tmp_path / "out", CPU, workers=TWO))


def test_a_scheduler_that_is_not_there(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tif").touch()
    command = ["predict", str(run), str(tmp_path / "a.tif"), "--out", str(tmp_path / "out")]
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"]) == 1
    assert "Leave out --workers or --scheduler" in capsys.readouterr().err
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 1
    has_dask = importlib.util.find_spec("distributed") is not None
    expected = "There is no Dask scheduler at tcp://127.0.0.1:9" if has_dask else "napari-unet3d[cluster]"
    assert expected in capsys.readouterr().err
