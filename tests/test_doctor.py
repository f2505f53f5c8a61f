"""The doctor: what it finds on this machine, and what it says about machines that are worse."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from napari_unet3d import UserError, doctor
from napari_unet3d.cli import main
from napari_unet3d.display import has_display, with_display
from napari_unet3d.doctor import Check, Report


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    for version_of in ("napari", "torch", "monai", "numpy", "magicgui", "npe2"):
        assert metadata.version(version_of) in told
    for topic in ("device", "cuDNN", "Qt ", "OpenGL", "plugin"):
        assert topic in told
    assert "docks: Start here, Generate data, Dataset, Annotate, Train, Predict, Inspect, Objects" in told


def test_problems_stand_below_with_their_remedy() -> None:
    good = Check("napari", "0.9.2")
    slow = Check("cuDNN", "9.10.2", "it is slow. Update it.")
    bad = Check("plugin", "not found", "install it again.", prevents_work=True)
    assert Report((good,)).text == "napari  0.9.2\n\nNo problems found."
    assert not Report((good, slow)).prevents_work
    assert Report((good, slow, bad)).prevents_work
    assert Report((good, slow, bad)).text.splitlines()[3:] == [
        "",
        "Problems:",
        "- cuDNN: it is slow. Update it.",
        "- plugin: install it again.",
    ]


def test_versions_that_are_too_old_or_missing() -> None:
    def installed(name: str) -> str:
        if name == "monai":
            raise metadata.PackageNotFoundError(name)
        return "2.9.1" if name == "torch" else metadata.version(name)

    found = {finding.topic: finding for finding in doctor.check_versions(installed)}
    assert "pip install 'torch>=2.10'" in (found["torch"].problem or "")
    assert found["monai"].message == "not installed"
    assert found["monai"].prevents_work
    assert found["numpy"].problem is None


def test_a_local_build_of_torch_is_no_problem() -> None:
    found = doctor.check_versions(lambda name: "2.13.0+cpu" if name == "torch" else metadata.version(name))
    assert all(finding.problem is None for finding in found)


@pytest.mark.parametrize(
    ("device", "cuda", "has_driver", "told"),
    [
        ("cpu", None, True, "built without CUDA"),
        ("cpu", "13.0", True, "CUDA 13.0, but finds no GPU"),
        ("cuda", "13.0", True, None),
        ("mps", None, False, None),
    ],
)
def test_a_gpu_that_lies_idle(
    device: str, cuda: str | None, has_driver: bool, told: str | None, tmp_path: Path
) -> None:
    driver = tmp_path / "version"
    if has_driver:
        driver.touch()
    problem = doctor.idle_gpu(device, cuda, driver)
    assert problem is None if told is None else told in (problem or "")


@pytest.mark.skipif(not has_display(), reason="there is no display")
class TestOpenGL:
    def test_answer(self) -> None:
        answer = doctor.query_opengl()
        assert answer["renderer"]
        assert answer["qt"].startswith("6.")

    @pytest.mark.parametrize(
        ("error", "remedy"),
        [
            ("ImportError: libGL.so.1: cannot open shared object file: No such file or directory", "libgl1"),
            ("qt.qpa.plugin: Could not load the Qt platform plugin xcb: xcb-cursor0 is needed", "libxcb-cursor0"),
            ("qt.qpa.xcb: could not connect to display :7", "DISPLAY"),
            ("qtpy.QtBindingsNotFoundError: No Qt bindings could be found", "napari-unet3d[qt]"),
            ("RuntimeError: no context", "graphics driver"),
        ],
    )
    def test_what_to_do(self, error: str, remedy: str) -> None:
        with pytest.raises(UserError) as told:
            doctor.query_opengl(f"import sys; sys.exit({error!r})")
        assert error in str(told.value)
        assert remedy in str(told.value)

    def test_a_crash_of_the_driver_does_not_end_the_doctor(self) -> None:
        with pytest.raises(UserError, match="ended with -6"):
            doctor.query_opengl("import os; os.abort()")


def test_a_virtual_display_only_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    assert with_display(["napari"]) == ["napari"]
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    program = tmp_path / "xvfb-run"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = with_display(["napari"])
    assert (command[0], command[-1]) == ("xvfb-run", "napari")
    program.unlink()
    with pytest.raises(UserError, match="apt-get install xvfb xauth"):
        with_display(["napari"])


def test_broken_versions_of_qt_are_named() -> None:
    assert "6.11.1" in (doctor.qt_problem("PyQt6", "6.11.1", (3, 13)) or "")
    assert "PySide6!=6.12.0" in (doctor.qt_problem("PySide6", "6.12.0", (3, 11)) or "")
    assert doctor.qt_problem("PySide6", "6.12.0", (3, 12)) is None
    assert doctor.qt_problem("PyQt6", "6.12.0", (3, 11)) is None
    assert doctor.qt_problem("PySide6", "6.10.1", (3, 11)) is None
