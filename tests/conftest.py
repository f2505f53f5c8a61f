"""Fixtures that tests of several packages share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from napari_unet3d import Sample
from napari_unet3d.data.dataset import Subset, add_sample

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


@pytest.fixture(scope="session", autouse=True)
def _settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or changes the settings of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _events_at_any_speed() -> Iterator[None]:
    """Which events a run gives does not depend on how fast the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_unet3d.training.background._SECONDS_BETWEEN_EVENTS", 3600)
        yield


def box_sample(name: str, shape: tuple[int, int, int] = (12, 16, 20)) -> Sample:
    """A bright box in noise, with voxels of unequal sides; the box lies elsewhere for each name."""
    rng = np.random.default_rng(sum(map(ord, name)))
    labels = np.zeros(shape, np.uint8)
    z, y, x = rng.integers(1, [side // 2 for side in shape])
    labels[z : z + 5, y : y + 7, x : x + 9] = 1
    image = (labels * 150 + rng.integers(0, 50, shape)).astype(np.uint8)
    return Sample(name, image, labels, (2.0, 1.0, 0.5))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of three training volumes and one test volume of 12 × 16 × 20 voxels."""
    folder = tmp_path / "dataset"
    for name in "abc":
        add_sample(folder, box_sample(name), Subset.TRAIN)
    add_sample(folder, box_sample("t"), Subset.TEST)
    return folder


_REPLACE = """
import os, sys
path, *versions = sys.argv[1:]
n = 0
while True:
    os.link(versions[n % 2], path + ".part")
    os.replace(path + ".part", path)
    if (n := n + 1) == 2:
        print("going", flush=True)
"""


@pytest.fixture
def replacing() -> Callable[[Path, Path, Path], AbstractContextManager[None]]:
    """Put two versions of a file in its place by turns, from another process, as fast as it goes."""
    if os.name == "nt":
        pytest.skip("Windows replaces no file that is open")

    @contextmanager
    def replace(path: Path, one: Path, other: Path) -> Iterator[None]:
        command = [sys.executable, "-c", _REPLACE, *map(str, (path, one, other))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "going\n"
            try:
                yield
                assert process.poll() is None, "it ended too early"
            finally:
                process.kill()

    return replace
