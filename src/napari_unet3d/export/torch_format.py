"""A program of torch.export, in a file that PyTorch runs without this package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import ExportFormat
from napari_unet3d.export.comparison import Run
from napari_unet3d.export.documentation import PAGE_FILE, page
from napari_unet3d.export.model_format import ModelFormat
from napari_unet3d.export.saving import save_through_memory
from napari_unet3d.export.task import ExportTask
from napari_unet3d.export.torch_program import quiet, trace

MODEL_FILE = "model.pt2"


def check(task: ExportTask) -> None:
    """Check nothing: everything can be exported."""


def write(task: ExportTask, folder: Path) -> None:
    """Write the program."""
    program = trace(task)
    with quiet():
        save_through_memory(lambda file: torch.export.save(program, file), folder / MODEL_FILE)


def runner(folder: Path) -> Run:
    """Return a function that runs the written program."""
    with quiet():
        program: Callable[[torch.Tensor], torch.Tensor] = torch.export.load(folder / MODEL_FILE).module()

    def run(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return program(torch.from_numpy(tiles)).numpy()

    return run


def document(task: ExportTask, folder: Path, checked: str) -> None:
    """Write the page."""
    usage = f"With torch {torch.__version__.split('+')[0]} or newer and numpy, on Python 3.11 or newer."
    network = (
        f'program = torch.export.load("{MODEL_FILE}").module()\n\n\n'
        "def network(tiles):\n"
        "    with torch.inference_mode():\n"
        "        return program(torch.from_numpy(tiles)).numpy()\n"
    )
    text = page(task, ExportFormat.TORCH_EXPORT, usage, ["import torch"], network, checked)
    (folder / PAGE_FILE).write_text(text, encoding="utf-8")


FORMAT = ModelFormat(
    name=ExportFormat.TORCH_EXPORT,
    file=MODEL_FILE,
    tool="PyTorch",
    check=check,
    write=write,
    runners=lambda _task, folder: [runner(folder)],
    document=document,
)
