"""Workers of a Dask cluster answer for every part, also if they die, and nothing waits for a cluster that is gone."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from worker_tasks import Count, Refuse, Wait

import napari_unet3d
from napari_unet3d.configs import PredictionConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import BlockDone, PredictionWritten
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.inference.workers import cluster as cluster_module
from napari_unet3d.inference.workers.cluster import ClusterWorkers
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start two worker processes, which are started again when they are killed."""
    import dask

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"}),
        distributed.LocalCluster(**options) as started,
    ):
        yield started


def test_every_part_is_answered_although_workers_die(cluster: Any, tmp_path: Path) -> None:
    with closing(ClusterWorkers(cluster.scheduler_address)) as workers:
        assert workers.n_workers == 2
        assert workers.description.startswith("2 Dask workers; dashboard: http://")
        answers = list(workers.run([Count(tmp_path, "a"), Count(tmp_path, "b", dies_before=1)]))
        assert sorted((task, number) for task, (number, _) in answers) == [(t, n) for t in range(2) for n in range(3)]
        with pytest.raises(UserError, match=r"The scan is damaged\. Copy it again\."):
            list(workers.run([Refuse(), Count(tmp_path, "a")]))
        with pytest.raises(UserError, match="have died 3 times at the same part"):
            list(workers.run([Count(tmp_path, "c", dies_before=0, deaths=99)]))


def test_a_cluster_that_is_gone_is_not_waited_for(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = cluster.scheduler_address
    theirs = re.escape(napari_unet3d.__version__)
    with monkeypatch.context() as patch:
        patch.setattr(cluster_module, "package_versions", lambda: {"napari-unet3d": "9.0"})
        with pytest.raises(UserError, match=rf"has napari-unet3d {theirs}, and this computer has 9\.0"):
            ClusterWorkers(address)
    with closing(ClusterWorkers(address, patience=0.1)) as workers:
        cluster.scale(0)
        with pytest.raises(UserError, match=f"{address} has lost all its workers.*dask worker {address}"):
            list(workers.run([Count(tmp_path, "a")]))
    with pytest.raises(UserError, match=f"{address} has no workers"):
        ClusterWorkers(address)
    cluster.scale(1)
    cluster.wait_for_workers(1)
    with closing(ClusterWorkers(address)) as workers, closing(workers.run([Count(tmp_path, "a"), Wait()])) as answers:
        next(answers)
        cluster.close()
        with pytest.raises(UserError, match=f"The Dask scheduler at {address} has ended"):
            list(answers)


def test_blocks_of_a_cluster_of_which_a_worker_dies(
    cluster: Any, untrained: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    run, scan = tmp_path / "run", tmp_path / "scan.h5"
    save_checkpoint(run / "model.safetensors", untrained(preset="xxsmall", patch=(16, 16, 16)))
    write_volume(scan, np.random.default_rng(0).integers(0, 200, (24, 27, 35)).astype(np.uint16), (2.0, 0.5, 1.0))
    cpu, blocks = PredictionConfig(device="cpu"), BlockConfig(block_size=(8, 16, 16))
    list(predict_files(run, [scan], tmp_path / "alone.ome.zarr", cpu, blocks=blocks))
    workers, n_done, event, notices = WorkersConfig(scheduler=cluster.scheduler_address), [], None, []
    for event in predict_files(run, [scan], tmp_path / "spread.ome.zarr", cpu, blocks=blocks, workers=workers):
        if isinstance(event, BlockDone) and event.step == "predicted":
            n_done.append(event.n_done)
            if len(n_done) == 1:
                os.kill(cluster.workers[0].process.process.pid, signal.SIGKILL)
        elif isinstance(event, Notice):
            notices.append(event.message)
    assert isinstance(event, PredictionWritten)
    assert n_done == list(range(1, len(n_done) + 1))
    assert any("2 Dask workers; dashboard: http://" in notice for notice in notices)
    one, other = (
        np.asarray(zarr.open_group(tmp_path / f"{name}.ome.zarr", mode="r")["0"][:]) for name in ("alone", "spread")
    )
    assert one.any()
    np.testing.assert_array_equal(one, other)
