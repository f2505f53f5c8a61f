"""The state of an optimizer as plain values and tensors, which the resume file holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from napari_unet3d.errors import UserError
from napari_unet3d.training.optim.step import IMPLEMENTATION

_ADAM = frozenset({"step", "exp_avg", "exp_avg_sq"})
_MOMENTS = {
    torch.optim.Adam: _ADAM,
    torch.optim.AdamW: _ADAM,
    torch.optim.RMSprop: frozenset({"step", "square_avg", "momentum_buffer"}),
    torch.optim.SGD: frozenset({"momentum_buffer"}),
}
"""The state that torch's optimizers keep for each parameter."""


def optimizer_groups(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], ...]:
    """Return the hyperparameters of an optimizer's parameter groups, such as learning rate and weight decay."""
    groups = optimizer.state_dict()["param_groups"]
    return tuple({name: value for name, value in group.items() if name != "params"} for group in groups)


def optimizer_moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return an optimizer's state of each parameter, as copies on the CPU."""
    return {
        f"{number}.{name}": tensor.detach().cpu().clone()
        for number, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, groups: Sequence[dict[str, Any]], moments: dict[str, torch.Tensor]
) -> None:
    """Load the state of an optimizer into a new one of the same type and parameters.

    Parameters
    ----------
    optimizer : Optimizer
        The new one, which is changed.
    groups, moments
        The results of `optimizer_groups` and `optimizer_moments`.

    Raises
    ------
    UserError
        If the hyperparameters are those of another type of optimizer.
    """
    new_groups = optimizer.state_dict()["param_groups"]
    kinds = {key.partition(".")[2] for key in moments}
    if not all(map(_is_group_like, groups, new_groups)) or not kinds <= _MOMENTS[type(optimizer)]:
        raise UserError("The run was saved with another optimizer. Start a new run from its model.")
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in moments.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    numbered = [
        # The implementation of the steps depends on the current device.
        {**group, **{name: own[name] for name in ("params", *IMPLEMENTATION) if name in own}}
        for group, own in zip(groups, new_groups, strict=True)
    ]
    optimizer.load_state_dict({"state": state, "param_groups": numbered})
    for weights, weights_state in optimizer.state.items():
        for name, tensor in weights_state.items():
            if tensor.shape == weights.shape:
                # With the strides of the weights: with other strides, torch uses other loops, which round differently.
                weights_state[name] = torch.empty_like(weights).copy_(tensor)


def _is_group_like(group: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether a saved parameter group has the hyperparameters of a new one, with numbers where it has some."""
    names = new.keys() - {"params", *IMPLEMENTATION}
    return names <= group.keys() and all(_is_like(group[name], new[name]) for name in names)


def _is_like(value: Any, own: Any) -> bool:
    if isinstance(own, tuple | list):
        return isinstance(value, tuple | list) and len(value) == len(own) and all(map(_is_like, value, own))
    if isinstance(own, bool) or own is None:
        return value is None or isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
