"""A moving average of a network's weights, which is often better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMA:
    """The exponential moving average of the weights and floating buffers of a network.

    After step n the average moves towards the weights by ``1 - min(decay, (1 + n) / (10 + n))``: with a fixed decay it
    would hold on to the untrained weights for long. The rule is that of TensorFlow's ``ExponentialMovingAverage`` with
    ``num_updates``. Whole-number buffers, such as counters, are those of the last step. A step that was left out counts
    like one that did not move: only the device knows of it when the average is taken.

    Parameters
    ----------
    network : Module
        What is averaged, on any device; the average starts as its present weights.
    decay : float
        Part of the average that a step leaves as it was, from 0 to below 1.
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
        """Take the present weights of the network in; call it after each step of the optimiser."""
        decay = min(self._decay, (1 + self.n_steps) / (10 + self.n_steps))
        self.n_steps += 1
        averages, tensors = (list(side) for side in zip(*self._floating, strict=True))
        get_ema_multi_avg_fn(decay)(averages, tensors, self.n_steps)  # all in one go
        for average, tensor in self._counters:
            average.copy_(tensor)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the average as it is now, on the CPU and by the names of the network; later steps do not change it."""
        return {name: tensor.cpu().clone() for name, tensor in self._average.items()}

    def restore(self, weights: Mapping[str, torch.Tensor], n_steps: int) -> None:
        """Go on from what `weights` and `n_steps` said before."""
        for name, tensor in self._average.items():
            tensor.copy_(weights[name])
        self.n_steps = n_steps

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network compute with the average for the length of a block; then its own weights are back."""
        with torch.no_grad():
            own = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
            _put(self._average, self._network)
        try:
            yield
        finally:
            with torch.no_grad():
                _put(own, self._network)


def _put(weights: Mapping[str, torch.Tensor], network: torch.nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        tensor.copy_(weights[name])
