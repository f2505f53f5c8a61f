from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.synthetic.shapes import check_objects_fit, make_object
from napari_unet3d.errors import UserError


def config(**changes):
    """Every range narrowed to one value, so that what comes out can be computed by hand."""
    shape = changes.pop("object_shape", None)
    size = changes.pop("size", (21, 31, 41))
    settings = {
        "shape": (128, 120, 110),
        "object_shape_min": size,
        "object_shape_max": size,
        "noise_scale": (0, 0),
        "gamma": (1, 1),
        "threshold": (0.5, 0.5),
        "decay": (8, 8),
        "intensity": (200, 200),
        "rotation_degrees": (0, 0),
    }
    return SyntheticConfig(**settings | ({"object_shape": shape} if shape else {}) | changes)


def make(seed=0, **changes):
    return make_object(config(**changes), np.random.default_rng(seed))


def brightness(made):
    image = np.zeros(made.shape, np.float32)
    image[made.mask] = made.values
    return image


def test_a_smooth_blob_is_the_ellipsoid_of_the_formula():
    made = make()
    z, y, x = np.indices((21, 31, 41)) - np.array([10, 15, 20]).reshape(3, 1, 1, 1)
    distance = np.sqrt((z / 10) ** 2 + (y / 15) ** 2 + (x / 20) ** 2)
    expected = np.where(1 - distance**8 >= 0.5, 200 * (1 - distance**8), 0)
    box = ndimage.find_objects((expected > 0).astype(int))[0]
    np.testing.assert_allclose(brightness(made), expected[box], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("axis", "length"), [("z", 21), ("y", 31), ("x", 41)])
def test_a_cylinder_runs_the_whole_length_of_its_axis_with_one_cross_section(axis, length):
    made = make(object_shape="cylinder", axis=axis)
    number = "zyx".index(axis)
    assert made.shape[number] == length
    sections = np.moveaxis(made.mask, number, 0)
    assert (sections == sections[0]).all()
    radii = np.delete([10, 15, 20], number) * 0.5 ** (1 / 8)  # where 1 − d^8 has fallen to the threshold
    assert sections[0].sum() == pytest.approx(np.pi * radii.prod(), rel=0.03)


@pytest.mark.parametrize("ratio", [0.3, 0.6, 0.9])
def test_the_hole_of_a_tube_has_its_part_of_the_radius(ratio):
    solid = make(object_shape="cylinder", axis="y", size=(119, 3, 107))
    tube = make(object_shape="tube", axis="y", size=(119, 3, 107), tube_hole_ratio=ratio)
    assert tube.shape == solid.shape
    assert not tube.mask[59, :, 53].any()
    hole = (solid.mask & ~tube.mask)[:, 1].sum()
    assert hole / solid.mask[:, 1].sum() == pytest.approx(ratio**2, rel=0.05)


def test_a_tube_without_a_hole_is_a_cylinder():
    np.testing.assert_array_equal(make(object_shape="tube", tube_hole_ratio=0).mask, make(object_shape="cylinder").mask)


@pytest.mark.parametrize("wall", [1, 3])
def test_a_hollow_object_is_the_shell_of_the_solid_one(wall):
    solid, shell = make(noise_scale=(0.05, 0.05)), make(noise_scale=(0.05, 0.05), shell_thickness=wall)
    depth = ndimage.distance_transform_edt(np.pad(solid.mask, 1))[1:-1, 1:-1, 1:-1]
    np.testing.assert_array_equal(shell.mask, solid.mask & (depth <= wall))
    assert 0 < shell.mask.sum() < solid.mask.sum()


@pytest.mark.parametrize("noise_type", ["perlin", "simplex"])
@pytest.mark.parametrize(("plane", "axes"), [("zy", (0, 1)), ("zx", (0, 2)), ("yx", (1, 2))])
def test_a_quarter_turn_only_swaps_axes(noise_type, plane, axes):
    still = make(noise_scale=(0.06, 0.06), noise_type=noise_type, rotation_planes=(plane,))
    turned = make(noise_scale=(0.06, 0.06), noise_type=noise_type, rotation_planes=(plane,), rotation_degrees=(90, 90))
    np.testing.assert_allclose(brightness(turned), np.rot90(brightness(still), axes=axes), rtol=1e-3, atol=0.01)


def test_turning_is_rigid_in_micrometres():
    rod = {"object_shape": "cylinder", "size": (20, 9, 9), "voxel_size_um": (2, 1, 1), "rotation_planes": ("zx",)}
    assert make(**rod, threshold=(0, 0)).shape == (20, 7, 7)
    turned = make(**rod, threshold=(0, 0), rotation_degrees=(90, 90))
    assert turned.shape == (3, 7, 39)  # 19 steps of 2 µm become 38 of 1 µm; a width of 7 µm is 3 slices


def test_a_turn_by_any_angle_keeps_the_volume():
    sizes = [
        make(
            object_shape="cylinder", size=(60, 25, 15), rotation_degrees=(angle, angle), rotation_planes=("zy",)
        ).mask.sum()
        for angle in (0, 20, 45, 77)
    ]
    np.testing.assert_allclose(sizes, sizes[0], rtol=0.03)


def test_the_brightest_voxel_and_the_threshold_are_those_of_the_settings():
    for seed in range(5):
        made = make(seed, noise_scale=(0.04, 0.08), gamma=(0.5, 2), threshold=(0.4, 0.4), intensity=(120, 120))
        assert made.values.max() == pytest.approx(120)
        assert made.values.min() >= 0.4 * 120 * 0.999


def test_intensity_covers_its_whole_range():
    drawn = {round(float(make(seed, size=(6, 6, 6), intensity=(3, 5)).values.max())) for seed in range(40)}
    assert drawn == {3, 4, 5}


def test_object_shapes_reach_both_ends_of_their_range():
    shapes = {
        make(seed, object_shape="cylinder", object_shape_min=(5, 9, 9), object_shape_max=(7, 9, 9)).shape[0]
        for seed in range(40)
    }
    assert shapes == {5, 6, 7}


def test_magnification_makes_an_object_larger_on_every_axis():
    z, y, x = make(object_shape="cylinder", magnification=(2, 2)).shape
    assert z == 42
    assert y == pytest.approx(2 * 29, abs=2)
    assert x == pytest.approx(2 * 37, abs=2)


def test_a_noisy_object_is_one_piece():
    for seed in range(20):
        mask = make(seed, size=(12, 14, 16), noise_scale=(0.3, 0.3)).mask
        assert ndimage.label(mask)[1] == 1
        for axis in range(3):  # cut out to its bounding box
            assert mask.any(axis=axis).any(axis=0).all() or mask.any(axis=axis).any(axis=1).all()


def test_mixed_noise_draws_perlin_and_simplex():
    def sizes(noise_type):
        return [make(seed, noise_scale=(0.1, 0.1), noise_type=noise_type).mask.sum() for seed in range(12)]

    kinds = [m == p for m, p, s in zip(sizes("mixed"), sizes("perlin"), sizes("simplex"), strict=True) if m in (p, s)]
    assert len(kinds) == 12
    assert {True, False} == {bool(kind) for kind in kinds}


@pytest.mark.parametrize("seed", range(6))
def test_a_shared_noise_generator_makes_objects_alike(seed):
    settings = config(noise_scale=(0.08, 0.08))
    first = make_object(settings, np.random.default_rng(seed), noise_rng=np.random.default_rng(9))
    second = make_object(settings, np.random.default_rng(seed + 100), noise_rng=np.random.default_rng(9))
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.mask.sum() != make_object(settings, np.random.default_rng(seed)).mask.sum()


@pytest.mark.parametrize("kind", ["blob", "cylinder", "tube"])
@pytest.mark.parametrize("size", [(2, 2, 2), (2, 5, 3), (11, 2, 11), (4, 3, 2)])
@pytest.mark.parametrize("voxel_size_um", [(1, 1, 1), (10, 1, 1), (1, 3, 0.1)])
def test_the_smallest_objects_are_never_empty(kind, size, voxel_size_um):
    for seed in range(6):
        made = make(
            seed,
            object_shape=kind,
            size=size,
            shape=(400, 400, 400),
            voxel_size_um=voxel_size_um,
            rotation_degrees=(0, 90),
            tube_hole_ratio=0.95,
            noise_scale=(0, 0.5),
            threshold=(0, 0.9),
        )
        assert made.mask.any()
        assert len(made.values) == made.mask.sum()


class TestGivenObjects:
    array = np.zeros((5, 6, 9), np.uint16)
    array[1:4, 1:5, 1:8] = np.arange(1, 3 * 4 * 7 + 1).reshape(3, 4, 7) + 1000

    def make(self, array=None, **changes):
        given = [self.array if array is None else array]
        return make_object(config(**changes), np.random.default_rng(0), given=given)

    def test_an_unturned_one_keeps_its_form_and_its_relative_brightness(self):
        made = self.make()
        core = self.array[1:4, 1:5, 1:8]
        np.testing.assert_allclose(brightness(made), core * (200 / core.max()), rtol=1e-5)

    def test_a_quarter_turn_only_swaps_axes(self):
        made = self.make(rotation_degrees=(90, 90), rotation_planes=("yx",))
        np.testing.assert_allclose(brightness(made), np.rot90(brightness(self.make()), axes=(1, 2)), rtol=1e-5)

    def test_a_turned_one_does_not_grow_dark_at_its_rim(self):
        made = self.make((self.array > 0).astype(np.float32), rotation_degrees=(30, 30))
        np.testing.assert_allclose(made.values, 200, rtol=1e-5)
        assert made.mask.sum() == pytest.approx(3 * 4 * 7, rel=0.15)

    def test_magnification_scales_it(self):
        cube = np.ones((6, 8, 10), bool)
        assert self.make(cube, magnification=(1.5, 1.5)).shape == (9, 12, 15)

    @pytest.mark.parametrize(
        "array",
        [np.ones((4, 4)), np.zeros((4, 4, 4)), np.full((4, 4, 4), np.nan), np.ones((4, 4, 4), complex)],
    )
    def test_an_unusable_one_is_refused_with_its_number_and_shape(self, array):
        with pytest.raises(UserError, match=r"Given object 2 \(.*shape \(4, 4"):
            check_objects_fit(config(), [self.array, array])

    def test_one_larger_than_the_volume_is_refused_with_both_shapes(self):
        with pytest.raises(UserError, match=r"\(10, 12, 18\).*\(9, 64, 64\)"):
            check_objects_fit(config(shape=(9, 64, 64), size=(4, 4, 4), magnification=(1, 2)), [self.array])


def test_an_object_larger_than_the_volume_is_refused_with_both_shapes():
    with pytest.raises(UserError, match=r"shape \(21, 31, 41\) is larger than the volume of shape \(64, 64, 40\)"):
        check_objects_fit(config(shape=(64, 64, 40)))


def test_a_rod_is_turned_only_as_far_as_the_volume_allows():
    rod = {"object_shape": "cylinder", "size": (60, 8, 8), "shape": (64, 30, 30), "rotation_planes": ("zx",)}
    for seed in range(4):
        made = make(seed, **rod, rotation_degrees=(0, 90))
        assert made.shape[2] <= 30
    with pytest.raises(UserError, match=r"does not fit into a volume of shape \(64, 30, 30\)"):
        make(**rod, rotation_degrees=(80, 90))
