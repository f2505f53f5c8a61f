"""All the fast ways through a network of MONAI on the CPU."""

from __future__ import annotations

import torch

from napari_unet3d.model.cpu.convolution import speed_up_single_volumes
from napari_unet3d.model.cpu.in_place import work_in_place
from napari_unet3d.model.cpu.norm import keep_layout_in_norms
from napari_unet3d.model.cpu.shared_slope import speed_up_shared_slopes
from napari_unet3d.model.cpu.up_convolution import speed_up_single_output
from napari_unet3d.model.cpu.winograd import speed_up_cubic_kernels


def speed_up(network: torch.nn.Module) -> None:
    """Let a network that lies channels last on the CPU take every fast way; it computes the same.

    Single volumes, single outputs and shared slopes go around what torch does slowly, and predictions are made in
    place, with half the products where kernels are cubic.
    """
    speed_up_single_volumes(network)
    keep_layout_in_norms(network)
    speed_up_shared_slopes(network)
    work_in_place(network)
    speed_up_single_output(network)
    speed_up_cubic_kernels(network)  # of the layers for single volumes, so after these
