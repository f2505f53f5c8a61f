"""Memory limits of shells and containers count, and not only the memory of the machine."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_unet3d.data.formats.header_checks import check_header
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.memory import _Limit, available_memory, cgroup_limits, total_memory
from napari_unet3d.session.generator_thread import GeneratorThread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


MOUNT = "sys/fs/cgroup"


def group(folder: Path, **files: object) -> Path:
    """Make the folder of a control group with some of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")
    return folder


def limits(process: str, root: Path) -> list[tuple[int, int]]:
    (root / "proc" / "self").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "self" / "cgroup").write_text(process)
    return [tuple(limit) for limit in cgroup_limits(root)]


def test_version_2_has_limits_of_all_groups_around_the_process(tmp_path):
    mount = group(tmp_path / MOUNT, memory__max="max", memory__current=999)
    group(mount / "job", memory__max=5000, memory__current=3000, memory__stat="anon 7\ninactive_file 1000\nfile 9")
    group(mount / "job" / "step", memory__max=4000, memory__current=100)
    assert limits("0::/job/step\n", tmp_path) == [(4000, 100), (5000, 2000)]


def test_version_1_has_a_folder_for_memory(tmp_path):
    files = {"memory__limit_in_bytes": 4000, "memory__usage_in_bytes": 1000}
    group(tmp_path / MOUNT / "memory" / "job", **files, memory__stat="total_inactive_file 400\ninactive_file 1")
    group(tmp_path / MOUNT / "cpu" / "job", memory__limit_in_bytes=1, memory__usage_in_bytes=1)
    assert limits("9:cpu,cpuacct:/job\n4:memory:/job\n", tmp_path) == [(4000, 600)]


def test_a_container_sees_only_its_own_group_at_the_mount(tmp_path):
    group(tmp_path / MOUNT, memory__max=4000, memory__current=1000)
    assert limits("0::/docker/0a1b2c\n", tmp_path) == [(4000, 1000)]
    group(tmp_path / MOUNT, memory__max=3000)
    assert limits("0::/../../other\n", tmp_path)[-1] == (3000, 1000)


@pytest.mark.parametrize("content", ["", "nonsense", "0::", "4:memory\n", "0::/job\n\n\n"])
def test_groups_that_cannot_be_read_are_no_limit(tmp_path, content):
    group(tmp_path / MOUNT, memory__max="lots", memory__current=1000)
    assert limits(content, tmp_path) == []


def test_without_limits_it_is_the_memory_of_the_machine():
    assert 0 < available_memory() <= psutil.virtual_memory().total
    assert total_memory() <= psutil.virtual_memory().total


def test_a_volume_that_is_larger_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr("napari_unet3d.memory._limits", lambda: iter([_Limit(10**6, 0)]))
    with pytest.raises(UserError, match=r"declares 0\.0 GB of shape .*, but this process may use 0\.0 GB of memory"):
        check_header(Path("a.tif"), (100, 100, 101), np.uint8)


LIMITED = """
import resource, sys
import psutil
from napari_unet3d.cli.app import main
from napari_unet3d.data.synthetic import dataset
from napari_unet3d.memory import available_memory, total_memory
vms = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (vms + 10**8, vms + 10**8))
assert available_memory() <= 10**8
assert total_memory() == vms + 10**8
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS ignores the limit")
def test_ulimit_is_a_limit_and_one_sentence(tmp_path):
    words = ["generate", str(tmp_path / "data"), "--shape", "700", "700", "700"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("napari-unet3d: A volume of shape (700, 700, 700) takes ")
    assert "but this process may use 0." in line


@pytest.mark.skipif(sys.platform != "linux", reason="macOS ignores the limit")
@pytest.mark.parametrize("megabytes", [100, 250])
def test_a_limit_that_does_not_even_allow_the_libraries_is_one_sentence(megabytes):
    command = f'ulimit -v {megabytes * 1024}; exec "{sys.executable}" -m napari_unet3d generate data'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("napari-unet3d: There is not enough memory for this. Close other")
    assert "Traceback" not in done.stderr


def test_a_job_of_a_dock_that_runs_out_of_memory_says_one_sentence():
    def work():
        yield "an event"
        np.empty(2**62, np.uint8)

    queue = deque()
    thread = GeneratorThread(work, queue, None)
    thread.start()
    thread.join()
    event, failed = queue
    assert event == "an event"
    assert isinstance(failed.error, OutOfMemory)
    assert str(failed.error).startswith("There is not enough memory for this. Close other programs")
