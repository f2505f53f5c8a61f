from __future__ import annotations

import pytest
import torch

from napari_unet3d.training.optim.ema import EMA


def test_the_first_steps_count_more_than_the_decay_says() -> None:
    """Weights 10, then 1, then 1: by hand with 0.1, 2/11 and 0.2 as parts that stay."""
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(10.0)
    average = EMA(layer, 0.2)

    found = []
    for value in (1.0, 1.0, 4.0):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update()
        found.append(average.weights()["weight"].item())

    first = 0.1 * 10 + 0.9 * 1
    second = 2 / 11 * first + 9 / 11 * 1
    assert found == pytest.approx([first, second, 0.2 * second + 0.8 * 4], rel=1e-6)


def test_long_runs_agree_with_torch() -> None:
    """Torch's own average has no warm-up, so it is asked from a point on where the decay rules."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2))
    average = EMA(network, 0.5)
    for _ in range(10):
        average.update()
    oracle = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5), use_buffers=True
    )
    oracle.update_parameters(network)  # the first call copies
    for _ in range(5):
        network(torch.randn(2, 1, 4, 5, 6))  # which moves the buffers
        with torch.no_grad():
            for weights in network.parameters():
                weights.add_(torch.randn_like(weights))
        average.update()
        oracle.update_parameters(network)

    found = average.weights()
    counter = "1.num_batches_tracked"  # torch averages it too
    for name in found.keys() - {counter}:
        expected = oracle.module.state_dict()[name]
        torch.testing.assert_close(found[name], expected)
    assert found[counter].item() == 5


def test_the_network_has_its_own_weights_back_after_use() -> None:
    network = torch.nn.Conv3d(2, 3, (1, 2, 3)).to(memory_format=torch.channels_last_3d)
    average = EMA(network, 0.9)
    with torch.no_grad():
        network.weight.add_(1)
    average.update()
    own, address, strides = network.weight.detach().clone(), network.weight.data_ptr(), network.weight.stride()

    def fail() -> None:
        with average.applied():
            assert torch.equal(network.weight, average.weights()["weight"])
            raise RuntimeError("of the block")

    with pytest.raises(RuntimeError, match="of the block"):
        fail()

    assert torch.equal(network.weight, own)
    assert not torch.equal(own, average.weights()["weight"])
    assert (network.weight.data_ptr(), network.weight.stride()) == (address, strides)
    assert network.weight.requires_grad


def test_a_restored_average_goes_on_with_the_same_bits() -> None:
    def move(network: torch.nn.Linear, average: EMA, steps: range) -> None:
        for step in steps:
            with torch.no_grad():
                network.weight.copy_(torch.randn((2, 3), generator=torch.Generator().manual_seed(step)))
            average.update()

    network, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    average, restored = EMA(network, 0.99), EMA(other, 0.99)
    move(network, average, range(4))
    restored.restore(average.weights(), average.n_steps)
    other.load_state_dict(network.state_dict())

    move(network, average, range(4, 7))
    move(other, restored, range(4, 7))

    assert torch.equal(restored.weights()["weight"], average.weights()["weight"])
