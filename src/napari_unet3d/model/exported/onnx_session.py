"""ONNX files, run by onnxruntime on the CPU; they hold a graph of known operators and no code."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.errors import OutOfMemory, UserError, explain_os_errors, is_out_of_memory
from napari_unet3d.text_files import read_limited

_MOST_BYTES = 2**31  # of an ONNX file, which is a protocol buffer
_REMEDY = "Choose another model, or export this one again."
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
}
_ERRORS = (
    *("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented"),
    *("RuntimeException", "EPFail", "EngineError", "NoModel"),
)


class OnnxSession:
    """A network in ONNX format, ready to run.

    Parameters
    ----------
    name : str
        The file, for messages.
    content : bytes
        What is in it. Files beside it that it may name are not read.
    n_axes : tuple of int
        How many axes its input and its output must have.

    Raises
    ------
    UserError
        If onnxruntime is not installed, or the content is no network with one volume as input and one as output.
    """

    def __init__(self, name: str, content: bytes, n_axes: tuple[int, int] = (5, 5)) -> None:
        if find_spec("onnxruntime") is None:
            raise UserError(f"{name} needs the package onnxruntime. Install napari-unet3d[export].")
        import onnxruntime

        self.name = name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what is wrong is raised, too
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except _session_errors() as error:
            raise UserError(f"{name} is no ONNX file that can be run ({_first_line(error)}). {_REMEDY}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        found = [len(each.shape) for each in (*inputs, *outputs)]
        if len(inputs) != 1 or len(outputs) != 1 or found != list(n_axes) or inputs[0].type not in _TYPES:
            axes = "volumes (n, channel, z, y, x)" if n_axes == (5, 5) else "the axes of its description"
            raise UserError(f"{name} takes or gives something else than {axes}. {_REMEDY}")
        self._input, self._dtype = inputs[0].name, _TYPES[inputs[0].type]

    def run(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output for images, both (tile, channel, z, y, x) or with the axes of a description.

        Raises
        ------
        UserError
            If the network cannot be applied to them, or there is not enough memory.
        """
        try:
            output: Any = self._session.run(None, {self._input: np.ascontiguousarray(tiles, self._dtype)})[0]
        except _session_errors() as error:
            if is_out_of_memory(RuntimeError(str(error))) or "Failed to allocate" in str(error):
                raise OutOfMemory(f"There is not enough memory to run {self.name}. Choose smaller volumes.") from None
            raise UserError(f"{self.name} cannot be applied ({_first_line(error)}). {_REMEDY}") from None
        return np.asarray(output, np.float32)


def open_session(path: Path) -> OnnxSession:
    """Read an ONNX file and make it ready to run; raise a `UserError` as `OnnxSession`, or if it cannot be read."""
    return OnnxSession(str(path), read_onnx(path))


def read_onnx(path: Path) -> bytes:
    """Read an ONNX file of at most 2 GiB."""
    with explain_os_errors(path, "read"):
        n_bytes = os.stat(path).st_size
    return read_limited(path, min(n_bytes, _MOST_BYTES))


@cache
def _session_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (*(getattr(state, name) for name in _ERRORS if hasattr(state, name)), RuntimeError, ValueError)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


class OnnxNetwork(torch.nn.Module):
    """An ONNX file whose outputs are probabilities, as a network that returns logits.

    Parameters
    ----------
    session : OnnxSession
        The file.
    out_channels : int
        The number of its output channels.
    is_softmax : bool
        Whether the outputs are classes that exclude each other.
    """

    def __init__(self, session: OnnxSession, out_channels: int, *, is_softmax: bool) -> None:
        super().__init__()
        self._session, self._out_channels, self._is_softmax = session, out_channels, is_softmax

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return logits (tile, channel, z, y, x) for images (tile, channel, z, y, x), on their device.

        Raises
        ------
        UserError
            If the output has another shape.
        """
        output = torch.from_numpy(self._session.run(tiles.detach().cpu().float().numpy()))
        expected = (len(tiles), self._out_channels, *tiles.shape[2:])
        if (shape := tuple(output.shape)) != expected:
            raise UserError(f"The output of {self._session.name} has the shape {shape}, not {expected}. {_REMEDY}")
        return (output.log() if self._is_softmax else output.logit()).to(tiles.device)
