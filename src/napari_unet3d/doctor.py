"""What this machine has for the work, what is wrong with it, and what to do about each."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from napari_unet3d.display import has_display, is_software_renderer, with_display
from napari_unet3d.errors import UserError

DISTRIBUTION = "napari-unet3d"
_SHOWN = ("napari", "npe2", "magicgui", "superqt", "vispy", "torch", "monai", "numpy", "pydantic")
_BROKEN_QT = ("6.11.0", "6.11.1")  # their docks are laid out wrongly; napari excludes both
_QT_PACKAGES = (
    "libgl1 libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
)
_TELLING = re.compile("error|could not|cannot open", re.IGNORECASE)
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
# Run in a process of its own, since a broken driver or a missing library ends the process that asks.
_ASK_OPENGL = """
import json, qtpy
from qtpy.QtCore import qVersion
from vispy import app, gloo
app.use_app(qtpy.API_NAME.lower())
canvas = app.Canvas(show=False)
canvas.set_current()
answer = {"binding": qtpy.API_NAME, "qt": qVersion()}
answer["renderer"] = gloo.gl.glGetParameter(gloo.gl.GL_RENDERER)
answer["opengl"] = gloo.gl.glGetParameter(gloo.gl.GL_VERSION)
print(json.dumps(answer))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    topic : str
        What was looked at, such as ``"OpenGL"``.
    words : str
        What was found.
    problem : str or None
        What is wrong and what to do about it.
    prevents_work : bool
        Whether the problem must be solved before anything can be done.
    """

    topic: str
    message: str
    problem: str | None = None
    prevents_work: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order in which they are told."""

    checks: tuple[Check, ...]

    @property
    def prevents_work(self) -> bool:
        """Whether something must be solved before anything can be done."""
        return any(finding.prevents_work for finding in self.checks)

    @property
    def text(self) -> str:
        """The report for a terminal: a line per finding, then the problems."""
        width = max(len(finding.topic) for finding in self.checks)
        lines = [f"{finding.topic:<{width}}  {finding.message}" for finding in self.checks]
        problems = [f"- {finding.topic}: {finding.problem}" for finding in self.checks if finding.problem]
        return "\n".join([*lines, "", *(["What is wrong:", *problems] if problems else ["Nothing is wrong."])])


def run_checks() -> Report:
    """Look at versions, device, cuDNN, Qt, OpenGL and the plugin's manifest."""
    return Report((*check_versions(), *check_hardware(), *check_viewer(), check_manifest()))


def check_versions(version_of: Callable[[str], str] = metadata.version) -> Iterator[Check]:
    """List the versions that matter, and each requirement of the package that is not met.

    Parameters
    ----------
    version_of : callable
        Gives the version of an installed distribution, or raises `importlib.metadata.PackageNotFoundError`.
    """
    yield Check(DISTRIBUTION, _version(version_of, DISTRIBUTION))
    yield Check("python", f"{platform.python_version()} in {sys.prefix}")
    yield Check("system", platform.platform())
    needed = {
        requirement.name: requirement
        for requirement in map(Requirement, metadata.requires(DISTRIBUTION) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    for name in dict.fromkeys([*_SHOWN, *needed]):
        version = _version(version_of, name)
        requirement = needed.get(name)
        missing = version == "not installed"
        if requirement and (missing or not requirement.specifier.contains(version, prereleases=True)):
            problem = f"{DISTRIBUTION} needs {requirement}. Install it with: pip install '{requirement}'"
            yield Check(name, version, problem, prevents_work=missing)
        elif name in _SHOWN:
            yield Check(name, version)


def _version(version_of: Callable[[str], str], name: str) -> str:
    try:
        return version_of(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def check_hardware() -> Iterator[Check]:
    """Say which device training takes, and whether a GPU lies idle or its cuDNN is a bad one."""
    try:
        import torch

        from napari_unet3d.model.devices import choose_device, cudnn_notices, cudnn_version
    except (ImportError, OSError) as error:  # OSError: a library of torch cannot be loaded
        problem = "torch or monai cannot be imported. Install both anew: pip install --force-reinstall torch monai"
        yield Check("device", f"unknown: {error}", problem, prevents_work=True)
        return
    hardware = choose_device()
    yield Check("device", hardware.description, idle_gpu(hardware.device.type, torch.version.cuda))
    cudnn = cudnn_version() if torch.cuda.is_available() else None
    yield Check("cuDNN", str(cudnn or "not used"), " ".join(cudnn_notices(cudnn)) or None)


def idle_gpu(device_type: str, cuda_of_torch: str | None, driver: Path = _NVIDIA_DRIVER) -> str | None:
    """Say why an NVIDIA GPU is not used, or give None when there is none or it is used.

    Parameters
    ----------
    device_type : str
        The device that is used.
    cuda_of_torch : str or None
        The version of CUDA that torch was built with, if any.
    driver : Path
        A file that exists where an NVIDIA driver is loaded.
    """
    if device_type != "cpu" or not (driver.exists() or shutil.which("nvidia-smi")):
        return None
    if cuda_of_torch is None:
        return "this machine has an NVIDIA driver, but torch is a build for the CPU. Install a CUDA build of torch."
    return f"torch is built for CUDA {cuda_of_torch}, but finds no GPU. Update the NVIDIA driver, and see nvidia-smi."


def check_viewer() -> Iterator[Check]:
    """Ask the OpenGL of a window for its name, under a virtual display if there is no real one."""
    display = has_display()
    yield Check("display", "real" if display else "none")
    try:
        answer = ask_opengl()
    except UserError as error:
        # Where there is no display nobody expects a viewer, and the command works without one.
        yield Check("viewer", "does not open", str(error), prevents_work=display)
        return
    problem = qt_problem(answer["binding"], answer["qt"], sys.version_info[:2])
    yield Check("Qt", f"{answer['binding']}, Qt {answer['qt']}", problem)
    slow = " (in software: 3D views are slow)" if is_software_renderer(answer["renderer"]) else ""
    yield Check("OpenGL", f"{answer['opengl']}, {answer['renderer']}{slow}")


def qt_problem(binding: str, version: str, python: tuple[int, int]) -> str | None:
    """Tell what is wrong with a version of Qt, or give None.

    Parameters
    ----------
    binding : str
        ``"PyQt6"`` or ``"PySide6"``.
    version : str
        Version of Qt, such as ``"6.10.1"``.
    python : tuple of int
        Major and minor version of Python.
    """
    if version in _BROKEN_QT:
        return f"napari's docks do not work with Qt {version}. Install another version of {binding}."
    if binding == "PySide6" and version == "6.12.0" and python < (3, 12):
        # A signal that carries True or None takes a reference too many; from Python 3.12 on these are immortal.
        return "PySide6 6.12.0 makes Python 3.11 end abruptly. Install another version: pip install 'PySide6!=6.12.0'"
    return None


def ask_opengl(program: str = _ASK_OPENGL, seconds: float = 120) -> dict[str, str]:
    """Ask a process of its own for Qt's binding and version and for OpenGL's version and renderer.

    Parameters
    ----------
    program : str
        The Python program that answers with JSON on its last line.
    seconds : float
        How long to wait for the answer.

    Raises
    ------
    UserError
        If the process fails; the message holds its reason and the remedy.
    """
    command = with_display([sys.executable, "-c", program])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"No window opened within {seconds:g} s. Update the graphics driver.") from None
    if done.returncode == 0 and done.stdout.strip():
        answer: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer
    reasons = [line for line in done.stderr.splitlines() if _TELLING.search(line)]
    reason = reasons[0 if "qt.qpa" in done.stderr else -1] if reasons else f"the process ended with {done.returncode}"
    raise UserError(f"{reason.rstrip('.')}. {_remedy(done.stderr)}")


def _remedy(errors: str) -> str:
    if "could not connect to display" in errors:
        return "Set DISPLAY to a display that answers, or unset it to use a virtual one."
    if "QtBindingsNotFound" in errors:
        return 'Install a Qt binding: pip install "napari-unet3d[qt]"'
    if "cannot open shared object file" in errors or "xcb" in errors:
        return f"Install Qt's system libraries; on Debian or Ubuntu: apt-get install {_QT_PACKAGES}"
    return "Update the graphics driver, or start with LIBGL_ALWAYS_SOFTWARE=1 to draw in software."


def check_manifest() -> Check:
    """Check that napari finds the plugin and its docks."""
    from npe2 import PluginManifest

    try:
        manifest = PluginManifest.from_distribution(DISTRIBUTION)
    except (metadata.PackageNotFoundError, ValueError) as error:
        problem = f"napari cannot find it. Install it again: pip install --force-reinstall --no-deps {DISTRIBUTION}"
        return Check("plugin", f"not found: {error}", problem, prevents_work=True)
    docks = ", ".join(widget.display_name for widget in manifest.contributions.widgets or [])
    return Check("plugin", f"found; docks: {docks}")
