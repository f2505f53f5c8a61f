from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.configs import Preset, TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.devices import ComputeDevice, choose_device
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.planning import check_patch, make_plan, patch_for, smaller_plan
from napari_unet3d.training.probe import fit_to_memory, measure_step

SIDES, SIZES = st.integers(2, 700), st.floats(0.05, 20)
GPU = ComputeDevice(torch.device("cuda"), torch.bfloat16, 1, "GPU")


def sample(shape: tuple[int, int, int], voxel_size_um: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Sample:
    return Sample("a", np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), voxel_size_um)


def plan_of(*samples: Sample, hardware: ComputeDevice | None = None, **values: object) -> Plan:
    return make_plan(samples, (), TrainingConfig(**values), hardware or choose_device())


class TestPatch:
    @given(shape=st.tuples(SIDES, SIDES, SIDES), voxel=st.tuples(SIZES, SIZES, SIZES), preset=st.sampled_from(Preset))
    def test_it_suits_the_network_and_is_no_larger_than_needed(self, shape, voxel, preset):
        config = TrainingConfig(preset=preset)
        stride = Plan(strides=get_architecture(config.architecture).strides(config, voxel)).total_stride
        patch = patch_for(shape, voxel, stride, 64**3)

        for side, full, step in zip(patch, shape, stride, strict=True):
            assert side % step == 0
            assert side >= 2 * step
            assert side <= max(2 * step, -(-full // step) * step)

    def test_it_is_a_cube_in_micrometres(self) -> None:
        assert patch_for((200, 200, 200), (1.0, 1.0, 1.0), (4, 4, 4), 64**3) == (64, 64, 64)
        z, y, x = patch_for((200, 700, 700), (2.0, 0.5, 0.5), (1, 4, 4), 64**3)
        assert 0.9 < (z * 2.0) / (y * 0.5) < 1.1
        assert y == x
        assert 0.8 < z * y * x / 64**3 < 1.25

    def test_a_flat_volume_leaves_more_to_the_other_axes(self) -> None:
        z, y, x = patch_for((10, 500, 500), (1.0, 1.0, 1.0), (2, 2, 2), 64**3)

        assert z == 10
        assert 0.8 < z * y * x / 64**3 < 1.25

    def test_small_volumes_of_one_shape_are_seen_whole(self) -> None:
        small, other, large = sample((17, 30, 40)), sample((17, 34, 40)), sample((70, 70, 70))

        assert plan_of(small, small).patch_zyx is None
        assert plan_of(small, small).batch_size == 1
        assert plan_of(small, other).patch_zyx == (18, 32, 40)
        assert plan_of(small).patch_zyx == (18, 30, 40)  # one volume alone would make epochs of one step
        assert plan_of(large, large).patch_zyx == (64, 64, 64)
        assert plan_of(large, large).batch_size == 2
        assert plan_of(large, large, hardware=GPU).patch_zyx is None

    def test_larger_networks_get_smaller_patches_on_a_cpu(self) -> None:
        """Half a second per step on two cores: a quarter of the voxels for four times the operations."""
        large = sample((200, 200, 200))

        assert plan_of(large, preset="small").patch_zyx == (64, 64, 64)
        assert plan_of(large, preset="medium").patch_zyx == (40, 40, 40)
        assert plan_of(large, preset="medium", hardware=GPU).patch_zyx == (128, 128, 128)

    def test_what_is_asked_for_is_taken(self) -> None:
        large = sample((70, 80, 90))

        assert plan_of(large, patch="whole", batch_size=3).patch_zyx is None
        plan = plan_of(large, patch=(16, 32, 64), batch_size=3)
        assert (plan.patch_zyx, plan.batch_size) == ((16, 32, 64), 3)

    @pytest.mark.parametrize(
        ("patch", "message"),
        [((30, 32, 32), "30 voxels along z.* choose 28 or 32"), ((32, 32, 4), "4 voxels along x.* choose 8")],
    )
    def test_one_that_cannot_be_halved_is_refused(self, patch: tuple[int, int, int], message: str) -> None:
        with pytest.raises(UserError, match=message):
            check_patch(patch, Plan(strides=((2, 2, 2), (2, 2, 2))))


class TestSpacing:
    def test_common_is_the_median_of_the_volumes(self) -> None:
        volumes = [sample((9, 9, 9), (z, 1.0, 0.5)) for z in (1.0, 2.0, 5.0)]

        assert plan_of(*volumes).spacing_um is None
        assert plan_of(*volumes, spacing="median").spacing_um == (2.0, 1.0, 0.5)
        assert plan_of(*volumes, spacing=(1, 2, 3)).spacing_um == (1.0, 2.0, 3.0)

    def test_the_patch_is_chosen_at_the_new_voxel_size(self) -> None:
        volume = sample((50, 100, 100), (2.0, 1.0, 1.0))

        assert plan_of(volume, spacing=1).patch_zyx == (64, 64, 64)
        assert plan_of(volume, spacing=(2, 2, 2)).patch_zyx == (50, 50, 50)


class TestSmaller:
    def test_first_the_batch_then_the_longest_side(self) -> None:
        plan = Plan(strides=((2, 2, 2), (2, 2, 2)), patch_zyx=(16, 40, 24), batch_size=3)
        steps = []
        while plan is not None:
            steps.append((plan.batch_size, plan.patch_zyx))
            plan = smaller_plan(plan, [])

        assert steps[:4] == [(3, (16, 40, 24)), (1, (16, 40, 24)), (1, (16, 20, 24)), (1, (16, 20, 12))]
        assert steps[-1] == (1, (8, 8, 8))
        assert all(prod(after[1]) < prod(before[1]) for before, after in pairwise(steps[1:]))

    def test_whole_volumes_become_patches(self) -> None:
        plan = smaller_plan(Plan(strides=((2, 2, 2),)), [(10, 10, 10), (15, 31, 20)])

        assert plan is not None
        assert plan.patch_zyx == (16, 16, 20)

    def test_a_step_that_does_not_fit_is_made_smaller_before_the_run(self) -> None:
        """A network whose inputs may not hold more than 5000 voxels stands for a small memory."""
        config, hardware = TrainingConfig(), choose_device()
        plan = Plan(strides=((2, 2, 2),), patch_zyx=(16, 20, 24), batch_size=2)

        def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            is_real = inputs[0].device.type != "meta"
            if is_real and inputs[0].shape[1] == 1 and inputs[0].numel() > 5000:
                raise torch.OutOfMemoryError("CUDA out of memory")

        hook = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
        try:
            fitted = fit_to_memory(plan, [(16, 20, 24)], config, hardware)
        finally:
            hook.remove()

        assert (fitted.batch_size, fitted.patch_zyx) == (1, (16, 20, 12))
        assert fit_to_memory(plan, [(16, 20, 24)], config, hardware) == plan


def test_a_probe_measures_memory_and_time_of_a_step() -> None:
    plan = Plan(strides=((2, 2, 2),), patch_zyx=(64, 64, 64), batch_size=2)

    for _ in range(2):  # the second finds memory that the first has freed
        probe = measure_step(plan, (64, 64, 64), TrainingConfig(), choose_device())

        assert probe.memory_bytes > 2 * 4 * 64**3  # the batch itself, at least
        assert probe.seconds > 0
