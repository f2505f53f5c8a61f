"""The script for a job of Slurm, run by bash with programs in the place of those of Slurm."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.slurm import SlurmConfig, job_name, slurm_script
from napari_unet3d.errors import UserError

DATA, RUN = Path("/data/my cells"), Path("/data/runs/it's one")


def lines(**options: object) -> list[str]:
    config = TrainingConfig(epochs=7, device="cpu")
    return slurm_script(DATA, RUN, config, SlurmConfig(**options)).splitlines()


def directives(**options: object) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in lines(**options) if line.startswith("#SBATCH")]


def test_the_job_asks_for_what_was_given_and_for_a_signal_before_its_end() -> None:
    assert directives(hours=4.5, sbatch_options="--partition=gpu --comment='two words'") == [
        "--job-name=it_s_one",
        "--time=04:30:00",
        "--partition=gpu",
        "'--comment=two words'",
        "--ntasks=1",
        "--requeue",
        "--open-mode=append",
        "--signal=USR1@300",
    ]
    assert "--signal=USR1@90" in directives(hours=0.1)


@pytest.mark.parametrize(
    ("device", "options", "expected"),
    [("cpu", "", 0), ("auto", "", 1), ("cuda", "", 1), ("auto", "--gres=gpu:a100:1", 1), ("auto", "--gpus=2", 0)],
)
def test_a_gpu_is_asked_for_once(device: str, options: str, expected: int) -> None:
    script = slurm_script(DATA, RUN, TrainingConfig(device=device), SlurmConfig(sbatch_options=options))
    assert script.count("--gres=gpu") == expected


@pytest.mark.parametrize("options", ["-p gpu", "partition=gpu", "--comment='", "'--a\nrm -rf x'"])
def test_what_is_no_option_is_refused(options: str) -> None:
    with pytest.raises(UserError, match=r"sbatch options"):
        lines(sbatch_options=options)


def test_a_path_with_a_line_break_is_refused() -> None:
    with pytest.raises(UserError, match="line break"):
        slurm_script(Path("a\nb"), RUN, None, SlurmConfig())


def test_names_of_jobs() -> None:
    assert job_name(Path("/runs/---")) == "training"
    assert job_name(Path("/runs/Zellkörper 2")) == "Zellk_rper_2"


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="Slurm runs scripts of bash")
@pytest.mark.parametrize(("code", "requeued"), [(138, True), (0, False), (1, False), (130, False)])
def test_the_script_trains_and_goes_back_to_the_queue_only_after_the_signal(
    tmp_path: Path, code: int, requeued: bool
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {
        "srun": f'printf "%s\\n" "$@" > {tmp_path}/srun.txt\nexit {code}\n',
        "scontrol": f'echo "$@" > {tmp_path}/scontrol.txt\n',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}")
        (programs / name).chmod(0o755)
    (tmp_path / "job.sh").write_text("\n".join(lines()))
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "SLURM_JOB_ID": "42"}
    found = subprocess.run(["bash", tmp_path / "job.sh"], env=environment, check=False)

    assert found.returncode == (0 if requeued else code)
    assert (tmp_path / "srun.txt").read_text().splitlines() == [
        *(sys.executable, "-P", "-m", "napari_unet3d"),
        *("train", str(DATA), "--run", str(RUN), "--resume", "--epochs", "7", "--device", "cpu", "--on-usr1", "stop"),
    ]
    assert (tmp_path / "scontrol.txt").exists() is requeued
    if requeued:
        assert (tmp_path / "scontrol.txt").read_text() == "requeue 42\n"
