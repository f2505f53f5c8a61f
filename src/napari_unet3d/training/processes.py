"""Several processes that train one network together, each on a part of every batch.

Each process computes the outputs of its part. All outputs are then gathered, so that each process has the loss of the
whole batch, and the gradients of the parts are added up. A step is therefore that of a single process with the whole
batch, up to rounding. The average of gradients that DistributedDataParallel computes is another one for a loss that is
no mean over patches, such as Dice over a batch.

The first process is in charge: it announces each step, with the learning rate, and the others follow
(`napari_unet3d.training.follower`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NamedTuple, Self

import torch
from torch import distributed

from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.torchrun import ProcessNumber

_LONGEST_PAUSE = timedelta(days=7)  # while the first process validates or is paused; one that has died is noticed


class Step(NamedTuple):
    """A step that the first process announces.

    Attributes
    ----------
    epoch, number : int
        The epoch, and the step in it; both counted from 1.
    learning_rate : float
        The learning rate.
    """

    epoch: int
    number: int
    learning_rate: float


class Processes:
    """The processes that train together, as one of them sees them.

    A context manager: leaving it tells the others that there is no step any more.

    Parameters
    ----------
    number : ProcessNumber
        Which one this is.

    Attributes
    ----------
    number : ProcessNumber
        Which one this is.
    """

    def __init__(self, number: ProcessNumber) -> None:
        self.number = number
        uses_cuda = torch.cuda.is_available() and torch.cuda.device_count() > number.local_rank
        if uses_cuda:
            torch.cuda.set_device(number.local_rank)
        with _explained(number):
            distributed.init_process_group("gloo", timeout=_LONGEST_PAUSE)
            is_on_gpus = uses_cuda and distributed.is_nccl_available()
            self._of_cuda = distributed.new_group(backend="nccl", timeout=_LONGEST_PAUSE) if is_on_gpus else None

    def announce(self, step: Step | None) -> None:
        """Announce a step to the others, which make it too, or that there is none any more."""
        with _explained(self.number):
            distributed.broadcast(torch.tensor(step or (0, 0, 0.0), dtype=torch.float64), src=0)

    def next_step(self) -> Step | None:
        """Wait for what the first process announces."""
        announced = torch.empty(3, dtype=torch.float64)
        with _explained(self.number):
            distributed.broadcast(announced, src=0)
        epoch, number, learning_rate = announced.tolist()
        return Step(int(epoch), int(number), learning_rate) if epoch else None

    def share_plan(self, plan: Plan | None = None, n_steps: int = 0) -> tuple[Plan, int]:
        """Return the plan and the number of steps per epoch of the first process; the others pass none."""
        text = torch.empty(0, dtype=torch.uint8)
        if plan is not None:
            text = torch.frombuffer(bytearray(plan.model_dump_json().encode()), dtype=torch.uint8)
        numbers = torch.tensor([len(text), n_steps])
        with _explained(self.number):
            distributed.broadcast(numbers, src=0)
            length, n_steps = numbers.tolist()
            text = text if plan is not None else torch.empty(length, dtype=torch.uint8)
            distributed.broadcast(text, src=0)
        return Plan.model_validate_json(bytes(text.numpy())), n_steps

    def share_weights(self, weights: Iterable[torch.Tensor]) -> None:
        """Copy the weights of the first process to the others."""
        with _explained(self.number), torch.no_grad():
            for tensor in weights:
                values = tensor.detach().to("cpu", copy=True).contiguous()
                distributed.broadcast(values, src=0)
                tensor.copy_(values)

    def whole(self, part: torch.Tensor) -> torch.Tensor:
        """Return the parts of all processes as one batch; gradients flow to the part of this process only.

        Parameters
        ----------
        part : Tensor, shape (n, channel, z, y, x)
            The part of this process, of the same shape in all of them.
        """
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.number.n_processes)]
        with _explained(self.number):
            distributed.all_gather(parts, part.detach().contiguous(), group=self._group_of(part))
        parts[self.number.rank] = part
        return torch.cat(parts)

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors by their sums over all processes."""
        summed = list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in summed])
        with _explained(self.number):
            distributed.all_reduce(flat, group=self._group_of(flat))
        for tensor, values in zip(summed, flat.split([tensor.numel() for tensor in summed]), strict=True):
            tensor.copy_(values.view_as(tensor))

    def _group_of(self, tensor: torch.Tensor) -> distributed.ProcessGroup | None:
        return self._of_cuda if tensor.device.type == "cuda" else None

    def __enter__(self) -> Self:
        """Return the processes, which are left at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Announce that there is no step any more, and leave the other processes."""
        if not self.number.follows:
            with suppress(UserError):  # they may have ended before
                self.announce(None)
        distributed.destroy_process_group()


@contextmanager
def _explained(number: ProcessNumber) -> Iterator[None]:
    """Turn an error in what processes tell each other into a sentence.

    Raises
    ------
    UserError
        If another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(
            f"Process {number.rank} of the {number.n_processes} that train together has lost another one, which may "
            "have said why. Start them again with --resume to continue after the last saved epoch."
        ) from error
