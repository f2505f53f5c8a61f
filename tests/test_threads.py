"""How threads wait, and how many there are under the CPU quota of a container."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from napari_unet3d import threads
from napari_unet3d.cgroups import cpu_quota
from napari_unet3d.configs import Device
from napari_unet3d.model.devices import choose_device

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


def write(root: Path, **files: str) -> Path:
    """Write files of a system under a root, named with double underscores for slashes and single ones for dots."""
    for name, content in files.items():
        path = root.joinpath(*name.split("__"))
        path = path.with_name(path.name.replace("cpu_max", "cpu.max").replace("cpu_cfs", "cpu.cfs"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "quota"),
    [("150000 100000\n", 1.5), ("max 100000\n", None), ("50000 100000\n", 0.5), ("", None), ("1 0\n", None)],
)
def test_the_quota_of_a_container(content: str, quota: float | None, tmp_path: Path) -> None:
    write(tmp_path, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_max=content)

    assert cpu_quota(tmp_path) == quota


def test_the_smallest_quota_of_all_groups_applies(tmp_path: Path) -> None:
    write(
        tmp_path,
        proc__self__cgroup="0::/user/job/step\n",
        sys__fs__cgroup__user__cpu_max="400000 100000\n",
        sys__fs__cgroup__user__job__cpu_max="max 100000\n",
        sys__fs__cgroup__user__job__step__cpu_max="800000 100000\n",
        sys__fs__cgroup__user__other__cpu_max="100000 100000\n",
    )

    assert cpu_quota(tmp_path) == 4


@pytest.mark.parametrize(("quota", "cores"), [("300000\n", 3.0), ("-1\n", None)])
def test_the_quota_of_version_1_whose_path_lies_outside_of_the_container(
    quota: str, cores: float | None, tmp_path: Path
) -> None:
    write(
        tmp_path,
        proc__self__cgroup="5:cpuset:/docker/1a\n4:cpu,cpuacct:/docker/1a\n1:name=systemd:/docker/1a\n0::/\n",
        sys__fs__cgroup__cpu__cpu_cfs_quota_us=quota,
        sys__fs__cgroup__cpu__cpu_cfs_period_us="100000\n",
        sys__fs__cgroup__cpuset__cpu_cfs_quota_us="100000\n",
        sys__fs__cgroup__cpuset__cpu_cfs_period_us="100000\n",
    )

    assert cpu_quota(tmp_path) == cores


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretend a quota of one and a half cores of eight."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(threads, "cpu_quota", lambda: 1.5)
    threads.max_threads.cache_clear()
    yield
    monkeypatch.undo()
    threads.max_threads.cache_clear()


@pytest.mark.usefixtures("quota")
def test_there_are_as_many_threads_as_the_quota_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    threads.configure_threads(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2"}

    # torch was loaded before by another plugin, and has a thread per core
    monkeypatch.setattr(os, "environ", environment)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert choose_device(Device.CPU).n_threads == 2
        environment["OMP_NUM_THREADS"] = "4"  # the user's
        assert choose_device(Device.CPU).n_threads == 4
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("quota")
def test_the_diagnosis_names_the_quota_and_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"GOMP_SPINCOUNT": "7", "PATH": "/bin"})
    assert threads.describe_threads() == "8 cores, of which a quota allows 1.5; GOMP_SPINCOUNT=7"


@pytest.mark.usefixtures("quota")
@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_remains(name: str) -> None:
    environment = {name: "5"}
    threads.configure_threads(environment)

    assert environment[name] == "5"
    assert ("OMP_WAIT_POLICY" in environment) is (name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"))


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP tells its settings")
@pytest.mark.parametrize("module", ["napari_unet3d.training.loop", "napari_unet3d.cli"])
def test_threads_of_torch_sleep_while_they_wait(module: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}, torch"],
        env={**clean, "OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "GOMP_SPINCOUNT = '0'" in done.stderr
    assert "GOMP_SPINCOUNT = '300000'" not in done.stderr
