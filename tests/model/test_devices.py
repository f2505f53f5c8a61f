from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from napari_unet3d.configs import Device, Precision
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.model.devices import (
    TorchState,
    choose_device,
    cudnn_notices,
    explain_memory_errors,
    policy_for,
)


@pytest.mark.parametrize(
    ("device_type", "capability", "auto", "refused"),
    [
        ("cuda", (9, 0), "bf16", set()),
        ("cuda", (8, 0), "bf16", set()),
        ("cuda", (7, 5), "fp16", {"bf16"}),
        ("cuda", (7, 0), "fp16", {"bf16"}),
        ("cuda", (6, 1), "fp32", {"bf16", "fp16"}),
        ("mps", (0, 0), "fp32", {"bf16", "fp16"}),
        ("cpu", (0, 0), "fp32", {"bf16", "fp16"}),
    ],
)
def test_precision_by_device(device_type: str, capability: tuple[int, int], auto: str, refused: set[str]) -> None:
    policy = policy_for(device_type, capability)

    assert policy.auto == auto
    assert {"fp32", "bf16", "fp16"} - set(policy.allowed) == refused


def test_cpu_is_named_with_threads_and_precision() -> None:
    hardware = choose_device(Device.CPU)

    assert hardware.device.type == "cpu"
    assert hardware.description == f"CPU ({hardware.n_threads} thread{'s' * (hardware.n_threads > 1)}), fp32"


@pytest.mark.parametrize("device", [Device.CUDA, Device.MPS])
def test_a_device_that_is_not_there_is_refused(device: Device) -> None:
    if getattr(torch, device.value).is_available():
        pytest.skip(f"this machine has {device.value}")
    with pytest.raises(UserError, match=rf"The device is {device.value}, but.*choose auto or cpu"):
        choose_device(device)


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_half_precision_on_the_cpu_is_refused(precision: Precision) -> None:
    with pytest.raises(UserError, match="choose auto or fp32"):
        choose_device(Device.CPU, precision)


def test_a_worker_thread_leaves_a_core_to_the_viewer() -> None:
    with ThreadPoolExecutor(1) as pool:
        n_threads = pool.submit(choose_device, Device.CPU).result().n_threads

    assert n_threads == max(1, torch.get_num_threads() - 1)


@pytest.mark.parametrize(("version", "warned"), [(90701, False), (90800, True), (91002, True), (91501, False)])
def test_faulty_cudnn_versions_are_named(version: int, warned: bool) -> None:
    assert bool(cudnn_notices(version)) is warned


def test_cudnn_version_is_spelled_out() -> None:
    assert "cuDNN 9.10.2" in cudnn_notices(91002)[0]


@pytest.mark.parametrize(
    "allocate", [lambda: torch.empty(2**60, dtype=torch.uint8), lambda: np.empty(2**60, dtype=np.uint8)]
)
def test_no_memory_is_explained(allocate: object) -> None:
    assert callable(allocate)
    with pytest.raises(OutOfMemory, match="not enough memory"), explain_memory_errors():
        allocate()


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="something else"), explain_memory_errors():
        raise RuntimeError("something else")


def test_others_keep_the_precision_of_their_convolutions() -> None:
    convolution = torch.backends.cudnn.conv
    before = convolution.fp32_precision
    convolution.fp32_precision = "ieee"
    try:
        with TorchState(choose_device(Device.CPU), seed=1).applied():
            assert convolution.fp32_precision == "tf32"
        assert convolution.fp32_precision == "ieee"
    finally:
        convolution.fp32_precision = before


def test_settings_are_lent_and_given_back() -> None:
    settings = TorchState(choose_device(Device.CPU), seed=1)
    threads, state = torch.get_num_threads(), torch.get_rng_state()

    draws = []
    for _ in range(2):
        with settings.applied():
            draws.append(torch.rand(3))
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), state)

    expected = torch.rand(6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(draws), expected)  # one stream, cut at the yields
