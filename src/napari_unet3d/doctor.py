"""Diagnosis of the installation: versions, hardware, Qt and OpenGL, with solutions for problems."""

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
_BROKEN_QT = ("6.11.0", "6.11.1")  # wrong layout of docks; excluded by napari
_QT_PACKAGES = (
    "libgl1 libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
)
_ERROR_LINE = re.compile("error|could not|cannot open", re.IGNORECASE)
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
# Run in a separate process, since a broken driver or a missing library can crash it.
_QUERY_OPENGL = """
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
        What was checked, such as ``"OpenGL"``.
    message : str
        The result.
    problem : str or None
        What is wrong and how to solve it.
    prevents_work : bool
        Whether the problem must be solved before the program can be used.
    """

    topic: str
    message: str
    problem: str | None = None
    prevents_work: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in order."""

    checks: tuple[Check, ...]

    @property
    def prevents_work(self) -> bool:
        """Whether a problem must be solved before the program can be used."""
        return any(check.prevents_work for check in self.checks)

    @property
    def text(self) -> str:
        """The report for a terminal: a line per check, then the problems."""
        width = max(len(check.topic) for check in self.checks)
        lines = [f"{check.topic:<{width}}  {check.message}" for check in self.checks]
        problems = [f"- {check.topic}: {check.problem}" for check in self.checks if check.problem]
        return "\n".join([*lines, "", *(["Problems:", *problems] if problems else ["No problems found."])])


def run_checks() -> Report:
    """Check versions, device, cuDNN, Qt, OpenGL and the plugin's manifest."""
    return Report((*check_versions(), *check_hardware(), *check_viewer(), check_manifest()))


def check_versions(version_of: Callable[[str], str] = metadata.version) -> Iterator[Check]:
    """Yield the relevant versions, and each requirement of the package that is not met.

    Parameters
    ----------
    version_of : callable
        Returns the version of an installed distribution, or raises `importlib.metadata.PackageNotFoundError`.
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
    """Check which device is used for training, whether a GPU is unused, and whether cuDNN is slow."""
    try:
        import torch

        from napari_unet3d.model.devices import choose_device, cudnn_notices, cudnn_version
        from napari_unet3d.threads import describe_threads
    except (ImportError, OSError) as error:  # OSError if a library of torch cannot be loaded
        problem = "torch or monai cannot be imported. Reinstall both: pip install --force-reinstall torch monai"
        yield Check("device", f"unknown: {error}", problem, prevents_work=True)
        return
    hardware = choose_device()
    yield Check("device", hardware.description, idle_gpu(hardware.device.type, torch.version.cuda))
    cudnn = cudnn_version() if torch.cuda.is_available() else None
    yield Check("processor", describe_threads())
    yield Check("cuDNN", str(cudnn or "not used"), " ".join(cudnn_notices(cudnn)) or None)


def idle_gpu(device_type: str, cuda_of_torch: str | None, driver: Path = _NVIDIA_DRIVER) -> str | None:
    """Return why an NVIDIA GPU is not used; None if there is none or it is used.

    Parameters
    ----------
    device_type : str
        The device in use.
    cuda_of_torch : str or None
        The CUDA version that torch was built with.
    driver : Path
        A file that exists if an NVIDIA driver is loaded.
    """
    if device_type != "cpu" or not (driver.exists() or shutil.which("nvidia-smi")):
        return None
    if cuda_of_torch is None:
        return "this machine has an NVIDIA driver, but torch was built without CUDA. Install a CUDA build of torch."
    return f"torch was built for CUDA {cuda_of_torch}, but finds no GPU. Update the NVIDIA driver, and run nvidia-smi."


def check_viewer() -> Iterator[Check]:
    """Check Qt and OpenGL in a window, with a virtual display if there is no display."""
    display = has_display()
    yield Check("display", "real" if display else "none")
    try:
        answer = query_opengl()
    except UserError as error:
        # Without a display no viewer is expected, and the command works without it.
        yield Check("viewer", "does not open", str(error), prevents_work=display)
        return
    problem = qt_problem(answer["binding"], answer["qt"], sys.version_info[:2])
    yield Check("Qt", f"{answer['binding']}, Qt {answer['qt']}", problem)
    slow = " (in software: 3D views are slow)" if is_software_renderer(answer["renderer"]) else ""
    yield Check("OpenGL", f"{answer['opengl']}, {answer['renderer']}{slow}")


def qt_problem(binding: str, version: str, python: tuple[int, int]) -> str | None:
    """Return the problem of a version of Qt, or None.

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
        # Signals with True or None decrement a reference count too often; these are immortal from Python 3.12.
        return "PySide6 6.12.0 crashes with Python 3.11. Install another version: pip install 'PySide6!=6.12.0'"
    return None


def query_opengl(program: str = _QUERY_OPENGL, seconds: float = 120) -> dict[str, str]:
    """Return Qt's binding and version and OpenGL's version and renderer, from a separate process.

    Parameters
    ----------
    program : str
        The Python program, which prints JSON on its last line.
    seconds : float
        Timeout.

    Raises
    ------
    UserError
        If the process fails; the message has the reason and a solution.
    """
    command = with_display([sys.executable, "-c", program])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"No window opened within {seconds:g} s. Update the graphics driver.") from None
    if done.returncode == 0 and done.stdout.strip():
        answer: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer
    reasons = [line for line in done.stderr.splitlines() if _ERROR_LINE.search(line)]
    reason = reasons[0 if "qt.qpa" in done.stderr else -1] if reasons else f"the process ended with {done.returncode}"
    raise UserError(f"{reason.rstrip('.')}. {_remedy(done.stderr)}")


def _remedy(errors: str) -> str:
    if "could not connect to display" in errors:
        return "Set DISPLAY to an existing display, or unset it to use a virtual one."
    if "QtBindingsNotFound" in errors:
        return 'Install a Qt binding: pip install "napari-unet3d[qt]"'
    if "cannot open shared object file" in errors or "xcb" in errors:
        return f"Install Qt's system libraries; on Debian or Ubuntu: apt-get install {_QT_PACKAGES}"
    return "Update the graphics driver, or set LIBGL_ALWAYS_SOFTWARE=1 to render in software."


def check_manifest() -> Check:
    """Check that napari finds the plugin and its docks."""
    from npe2 import PluginManifest

    try:
        manifest = PluginManifest.from_distribution(DISTRIBUTION)
    except (metadata.PackageNotFoundError, ValueError) as error:
        problem = f"napari cannot find it. Reinstall it: pip install --force-reinstall --no-deps {DISTRIBUTION}"
        return Check("plugin", f"not found: {error}", problem, prevents_work=True)
    docks = ", ".join(widget.display_name for widget in manifest.contributions.widgets or [])
    return Check("plugin", f"found; docks: {docks}")
