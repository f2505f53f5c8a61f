"""A moving average of the weights of a network, which often performs better than the weights of a single step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMA:
    """The exponential moving average of the weights and floating buffers of a network.

    After step n the average moves towards the weights by ``1 - min(decay, (1 + n) / (10 + n))``; with a fixed decay the
    untrained weights would dominate for long. The rule is that of TensorFlow's ``ExponentialMovingAverage`` with
    ``num_updates``. Integer buffers, such as counters, are copied from the last step. A skipped step counts as one that
    did not change the weights, since only the device knows of it when the average is updated.

    Parameters
    ----------
    network : Module
        Network to average, on any device; the average starts from its current weights.
    decay : float
        Fraction of the average that a step keeps, from 0 to below 1.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        pairs = [(self._average[name], tensor) for name, tensor in network.state_dict().items()]
        self._floating = [pair for pair in pairs if pair[1].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[1].is_floating_point()]
        self.n_steps = 0

    def update(self) -> None:
        """Update the average with the current weights of the network; call it after each step of the optimiser."""
        decay = min(self._decay, (1 + self.n_steps) / (10 + self.n_steps))
        self.n_steps += 1
        averages, tensors = (list(side) for side in zip(*self._floating, strict=True))
        get_ema_multi_avg_fn(decay)(averages, tensors, self.n_steps)  # all in one operation
        for average, tensor in self._counters:
            average.copy_(tensor)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the average on the CPU, by the names of the network's weights."""
        return {name: tensor.cpu().clone() for name, tensor in self._average.items()}

    def restore(self, weights: Mapping[str, torch.Tensor], n_steps: int) -> None:
        """Restore the average from earlier values of `weights` and `n_steps`."""
        for name, tensor in self._average.items():
            tensor.copy_(weights[name])
        self.n_steps = n_steps

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the weights of the network by the average for a block, and restore them after it."""
        with torch.no_grad():
            own = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
            _copy_into(self._average, self._network)
        try:
            yield
        finally:
            with torch.no_grad():
                _copy_into(own, self._network)


def _copy_into(weights: Mapping[str, torch.Tensor], network: torch.nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        tensor.copy_(weights[name])
