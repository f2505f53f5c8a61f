"""Device and number type of a network, and torch's process-wide settings, applied one step at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from napari_unet3d.configs import Device, Precision
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.memory import available_memory
from napari_unet3d.model.torchrun import ProcessNumber
from napari_unet3d.threads import limit_threads

_TRAINING_REMEDY = "Choose a smaller batch size, a smaller preset or smaller volumes"
_DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


@dataclass(frozen=True, slots=True)
class PrecisionPolicy:
    """The number types that a kind of device handles well; the first matching row of `POLICIES` applies.

    Attributes
    ----------
    device_type : str
        ``"cuda"``, ``"mps"`` or ``"cpu"``.
    capability : tuple of int
        Lowest CUDA compute capability that the row applies to.
    auto : Precision
        The fastest precision that is also reliable.
    allowed : tuple of Precision
        Precisions that a user may choose.
    """

    device_type: str
    capability: tuple[int, int]
    auto: Precision
    allowed: tuple[Precision, ...]


# MPS: 3D convolutions in half precision raise or crash; CPU: bf16 is emulated or wrong on many machines.
POLICIES = (
    PrecisionPolicy("cuda", (8, 0), Precision.BF16, (Precision.FP32, Precision.BF16, Precision.FP16)),
    PrecisionPolicy("cuda", (7, 0), Precision.FP16, (Precision.FP32, Precision.FP16)),
    PrecisionPolicy("cuda", (0, 0), Precision.FP32, (Precision.FP32,)),
    PrecisionPolicy("mps", (0, 0), Precision.FP32, (Precision.FP32,)),
    PrecisionPolicy("cpu", (0, 0), Precision.FP32, (Precision.FP32,)),
)


MAX_QUEUED_STEPS = {"cuda": 1}
"""Number of training steps that are queued on a kind of device ahead of the one whose loss is read; 0 for others.

One is enough that the device never waits; Stop, pauses and time limits take effect at most a step later.
"""


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """A device and the number type to compute in.

    Attributes
    ----------
    device : torch.device
        Device of weights and volumes.
    dtype : torch.dtype
        Number type of convolutions; weights and losses are always float32. In float32, CUDA devices with TF32 multiply
        with 10 bits of the mantissa in convolutions, as is torch's default.
    n_threads : int
        Threads for computing on the CPU.
    description : str
        Device and number type for the user, such as ``"CPU (2 threads), fp32"``.
    notices : tuple of str
        Warnings for the user.
    n_processes : int
        Number of processes that train together, each on such a device.
    """

    device: torch.device
    dtype: torch.dtype
    n_threads: int
    description: str
    notices: tuple[str, ...] = ()
    n_processes: int = 1

    @property
    def precision(self) -> Precision:
        """The number type, as it is chosen."""
        return next(each for each, dtype in _DTYPES.items() if dtype is self.dtype)

    def autocast(self) -> torch.autocast:
        """Return the context in which a network computes in `dtype`; it is thread-local, so exit it before a yield."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)


def choose_device(
    device: Device = Device.AUTO, precision: Precision = Precision.AUTO, number: ProcessNumber | None = None
) -> ComputeDevice:
    """Choose device, number type and threads by what this machine has.

    Outside the main thread, as in a worker of a viewer, one core is left to the viewer.

    Parameters
    ----------
    device : Device
        Auto chooses CUDA, then MPS, then the CPU.
    precision : Precision
        Auto chooses what `POLICIES` contains for the device.
    number : ProcessNumber, optional
        Which of several processes this is, each with a GPU of its own, which must be torch's current one.

    Raises
    ------
    UserError
        If the device is not available or does not support the precision.
    """
    device_type = _device_type(device)
    policy = policy_for(device_type, torch.cuda.get_device_capability() if device_type == "cuda" else (0, 0))
    number_type = policy.auto if precision is Precision.AUTO else precision
    name = torch.cuda.get_device_name() if device_type == "cuda" else {"mps": "Apple GPU", "cpu": "CPU"}[device_type]
    if number_type not in policy.allowed:
        raise UserError(
            f"{name} cannot train reliably in {number_type}; "
            f"choose auto or {' or '.join(choice.value for choice in policy.allowed)}."
        )
    n_threads = limit_threads(torch.get_num_threads())
    if threading.current_thread() is not threading.main_thread():
        n_threads = max(1, n_threads - 1)
    threads = f" ({n_threads} thread{'s' if n_threads > 1 else ''})" if device_type == "cpu" else ""
    n_processes = 1 if number is None else number.n_processes
    if number is not None and device_type == "cuda" and torch.cuda.device_count() <= number.local_rank:
        raise UserError(
            f"There are more processes than GPUs on this machine, which has {torch.cuda.device_count()}. Start one "
            "for each GPU: torchrun --nproc-per-node gpu."
        )
    return ComputeDevice(
        device=torch.device(device_type),
        dtype=_DTYPES[number_type],
        n_threads=n_threads,
        description=f"{f'{n_processes} × ' if n_processes > 1 else ''}{name}{threads}, {number_type}",
        notices=cudnn_notices(cudnn_version()) if device_type == "cuda" else (),
        n_processes=n_processes,
    )


def policy_for(device_type: str, capability: tuple[int, int]) -> PrecisionPolicy:
    """Find the row of `POLICIES` for a device and its CUDA compute capability."""
    return next(row for row in POLICIES if row.device_type == device_type and capability >= row.capability)


def _device_type(device: Device) -> str:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is Device.AUTO:
        return next(name for name, is_available in available.items() if is_available)
    if not available[device.value]:
        raise UserError(
            f"The device is {device.value}, but torch {torch.__version__} finds none on this machine; choose auto or "
            "cpu, or install a build of torch and a driver for it."
        )
    return device.value


def to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor to a device, without waiting for a GPU."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device in bytes; what this process may use for CPU and MPS, which share it."""
    if device.type != "cuda":
        return available_memory()
    free, _ = torch.cuda.mem_get_info(device)
    # Memory that torch has reserved but does not use is free, too.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def cudnn_version() -> int | None:
    """Return the version of cuDNN, such as 91002 for 9.10.2; None without it."""
    version: int | None = torch.backends.cudnn.version()
    return version


def cudnn_notices(version: int | None) -> tuple[str, ...]:
    """Return a warning for cuDNN versions with slow or wrong 3D convolutions in half precision.

    See pytorch #166122 and #166643.

    Parameters
    ----------
    version : int or None
        What `cudnn_version` returns.
    """
    if version is None or not 90800 <= version < 91500:
        return ()
    spelled = f"{version // 10000}.{version // 100 % 100}.{version % 100}"
    return (
        f"cuDNN {spelled} has slow and, for large volumes, wrong 3D convolutions in half precision; "
        "update it to 9.15 or later, or train with precision fp32.",
    )


@contextmanager
def explain_memory_errors(remedy: str = _TRAINING_REMEDY) -> Iterator[None]:
    """Turn an out-of-memory error of torch or numpy into an `OutOfMemory` with advice.

    Parameters
    ----------
    remedy : str
        What the user can do, as the beginning of a sentence that ends with closing other programs.

    Raises
    ------
    OutOfMemory
        It is raised outside of the handler, so that no traceback keeps the memory of the failed step allocated.
    """
    message = None
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory_error(error):
            raise
        message = f"There is not enough memory for this. {remedy}, or close other programs that use the same memory."
    if message is not None:
        raise OutOfMemory(message)


def _is_memory_error(error: MemoryError | RuntimeError) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return any(phrase in message for phrase in ("out of memory", "can't allocate memory", "not enough memory"))


class TorchState:
    """Torch's process-wide settings for one run: threads, cuDNN's benchmark mode, TF32, random state of dropout.

    They are applied for one step at a time and restored after it, so that between two events of a generator the rest of
    the process (a viewer, other plugins) has its own.

    Parameters
    ----------
    hardware : ComputeDevice
        Device and threads.
    seed : int
        Seed of the random numbers that layers draw.
    """

    def __init__(self, hardware: ComputeDevice, seed: int) -> None:
        self._hardware = hardware
        self._random: Any = torch if hardware.device.type == "cpu" else getattr(torch, hardware.device.type)
        self._random_state = torch.Generator(hardware.device).manual_seed(seed).get_state()

    @property
    def device_type(self) -> str:
        """Device of the random numbers, such as ``"cpu"``."""
        return self._hardware.device.type

    @property
    def number_type(self) -> str:
        """Number type of the computations, such as ``"bf16"``."""
        return self._hardware.precision.value

    @property
    def random_state(self) -> torch.Tensor:
        """State of the random number generator, of type uint8 and shape (byte,); it can be set."""
        return self._random_state.clone()

    @random_state.setter
    def random_state(self, state: torch.Tensor) -> None:
        self._random_state = state.clone()

    @contextmanager
    def applied(self, remedy: str = _TRAINING_REMEDY) -> Iterator[None]:
        """Apply the settings for a block in which no event is yielded.

        Out-of-memory errors in it are explained with `remedy`, as by `explain_memory_errors`.
        """
        cudnn: Any = torch.backends.cudnn  # torch has no types for its `conv`
        before = torch.get_num_threads(), cudnn.benchmark, cudnn.conv.fp32_precision, self._random.get_rng_state()
        torch.set_num_threads(self._hardware.n_threads)
        cudnn.benchmark = self._hardware.device.type == "cuda"
        cudnn.conv.fp32_precision = "tf32"
        self._random.set_rng_state(self._random_state)
        try:
            with explain_memory_errors(remedy):
                yield
        finally:
            self._random_state = self._random.get_rng_state()
            self._random.set_rng_state(before[3])
            cudnn.benchmark, cudnn.conv.fp32_precision = before[1], before[2]
            torch.set_num_threads(before[0])
