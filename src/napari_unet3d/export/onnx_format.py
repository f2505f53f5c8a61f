"""An ONNX file, which onnxruntime and many other programs run."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

import torch

from napari_unet3d.configs import ExportFormat
from napari_unet3d.errors import UserError
from napari_unet3d.export.comparison import Run
from napari_unet3d.export.documentation import PAGE_FILE, page
from napari_unet3d.export.model_format import ModelFormat
from napari_unet3d.export.task import ExportTask
from napari_unet3d.export.torch_program import INPUT, OUTPUT, quiet, trace
from napari_unet3d.model.exported.onnx_session import open_session

MODEL_FILE = "model.onnx"
_MOST_BYTES = 2**31 - 2**20  # of an ONNX file; larger weights would be in a second one
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check(task: ExportTask) -> None:
    """Check that the packages are there and that the weights fit into one file.

    Raises
    ------
    UserError
        If not.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"Writing and checking ONNX needs the package{'s' if len(missing) > 1 else ''} {', '.join(missing)}. "
            "Install napari-unet3d[export]."
        )
    n_bytes = sum(weights.numel() * weights.element_size() for weights in task.checkpoint.weights.values())
    if n_bytes > _MOST_BYTES:
        raise UserError(
            f"The weights have {n_bytes / 2**30:.1f} GiB, and an ONNX file holds at most 2. Choose the format "
            "torch-export or monai-bundle, or a smaller preset."
        )


def write(task: ExportTask, folder: Path) -> None:
    """Write the file."""
    write_onnx(trace(task), folder / MODEL_FILE, OUTPUT)


def write_onnx(program: torch.export.ExportedProgram, path: Path, output: str) -> None:
    """Write a program as an ONNX file.

    Parameters
    ----------
    program : ExportedProgram
        What `trace` has returned.
    path : Path
        The file.
    output : str
        The name of the output.

    Raises
    ------
    UserError
        If torch cannot convert it.
    """
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it reports packages that are not needed
    try:
        with quiet():
            converted = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[output],
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"torch cannot write this network as ONNX: {reason}. Choose another format.") from error
    finally:
        log.setLevel(level)
    assert converted is not None
    path.write_bytes(converted.model_proto.SerializeToString())


def runner(folder: Path) -> Run:
    """Return a function that runs the written file with onnxruntime."""
    return open_session(folder / MODEL_FILE).run


def document(task: ExportTask, folder: Path, checked: str) -> None:
    """Write the page."""
    usage = "With onnxruntime and numpy, on Python 3.11 or newer."
    network = (
        f'session = onnxruntime.InferenceSession("{MODEL_FILE}")\n\n\n'
        "def network(tiles):\n"
        f'    return session.run(None, {{"{INPUT}": tiles}})[0]\n'
    )
    text = page(task, ExportFormat.ONNX, usage, ["import onnxruntime"], network, checked)
    (folder / PAGE_FILE).write_text(text, encoding="utf-8")


FORMAT = ModelFormat(
    name=ExportFormat.ONNX,
    file=MODEL_FILE,
    tool="onnxruntime",
    check=check,
    write=write,
    runners=lambda _task, folder: [runner(folder)],
    document=document,
)
