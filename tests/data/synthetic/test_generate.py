from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet3d.configs import Difficulty, NoiseType, ObjectShape, PixelType, Placement, SyntheticConfig
from napari_unet3d.data.events import ObjectPlaced, SlicesImaged, VolumeGenerated
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.errors import UserError

SMALL = {
    "shape": (24, 32, 40),
    "object_shape_min": (6, 7, 8),
    "object_shape_max": (8, 9, 11),
    "objects": 6,
    "noise_scale": (0.05, 0.1),
}
NOISY = {"blur_um": 0.8, "photon_count": 50, "read_noise": 0.02, "uneven_background": 0.2, "background_apply": "add"}


def generated(*, arrays=None, positions=None, **changes) -> VolumeGenerated:
    *_, last = generate_volume(SyntheticConfig(**SMALL | changes), objects=arrays, positions=positions)
    assert isinstance(last, VolumeGenerated)
    return last


def assert_bookkeeping(event):
    labels = event.sample.labels
    assert np.unique(labels[labels > 0]).tolist() == list(range(1, len(event.positions) + 1))
    for number, position in enumerate(event.positions, start=1):
        box = ndimage.find_objects((labels == number).astype(np.uint8))[0]
        assert position == tuple(side.start + (side.stop - side.start) // 2 for side in box)


@pytest.mark.parametrize(
    "changes", [{}, NOISY, {"noise_type": "mixed", "touching_fraction": 0.5}], ids=["clean", "noisy", "mixed"]
)
def test_the_same_seed_gives_the_same_bytes(changes):
    first, again, other = generated(**changes), generated(**changes), generated(**changes, seed=1)
    assert first.sample.image.tobytes() == again.sample.image.tobytes()
    assert first.sample.labels.tobytes() == again.sample.labels.tobytes()
    assert first.positions == again.positions
    assert first.sample.labels.tobytes() != other.sample.labels.tobytes()


def test_imaging_leaves_the_labels_alone():
    clean, noisy = generated(), generated(**NOISY)
    np.testing.assert_array_equal(clean.sample.labels, noisy.sample.labels)
    assert (clean.sample.image != noisy.sample.image).any()


def test_placement_leaves_the_objects_alone():
    sizes = [
        np.sort(np.bincount(generated(placement=way, minimum_gap=gap).sample.labels.ravel())[1:])
        for way, gap in itertools.product(Placement, (0, 1))
    ]
    assert len(sizes[0]) == 6
    for other in sizes[1:]:
        np.testing.assert_array_equal(sizes[0], other)


def test_events_come_in_order_and_the_volume_comes_last():
    *placed, imaged, last = generate_volume(SyntheticConfig(**SMALL, read_noise=0.1), name="mine")
    assert placed == [ObjectPlaced(number, 6) for number in range(1, 7)]
    assert imaged == SlicesImaged(24, 24)
    assert last.sample.name == "mine"
    assert last.n_objects == 6
    assert last.shortfall is None


@pytest.mark.parametrize("pixel_type", list(PixelType))
@pytest.mark.parametrize("threshold", [(0, 0), (0.5, 0.6)])
def test_labels_are_where_the_clean_image_is_not_zero(pixel_type, threshold):
    sample = generated(pixel_type=pixel_type, threshold=threshold, intensity=(1, 255)).sample
    assert sample.image.dtype == pixel_type.value
    np.testing.assert_array_equal(sample.image > 0, sample.labels > 0)


def test_the_brightest_value_of_every_object_is_in_the_range_of_intensity():
    sample = generated(intensity=(90, 110)).sample
    brightest = ndimage.maximum(sample.image, sample.labels, range(1, 7))
    assert min(brightest) >= 90
    assert max(brightest) <= 110


def test_the_volumes_of_the_tutorial_are_like_those_of_qim3d():
    events = [list(generate_volume(SyntheticConfig(seed=seed)))[-1] for seed in range(3)]
    assert all(len(event.positions) == 10 for event in events)
    assert all(event.sample.shape == (128, 128, 128) for event in events)
    fractions = [np.mean(event.sample.labels > 0) for event in events]
    assert 0.025 < np.mean(fractions) < 0.04  # qim3d 1.5.3: 0.034 to 0.038, of which 0.004 are faint rims
    brightest = [ndimage.maximum(e.sample.image, e.sample.labels, range(1, 11)) for e in events]
    assert np.min(brightest) >= 128


def test_300_objects_have_300_ids():
    event = generated(shape=(40, 44, 48), objects=300, object_shape_min=(3, 3, 3), object_shape_max=(4, 4, 4))
    assert event.sample.labels.dtype == np.uint16
    assert len(event.positions) == 300
    assert_bookkeeping(event)


@pytest.mark.parametrize(("objects", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_labels_have_the_smallest_type_that_holds_all_ids(objects, dtype):
    event = generated(objects=objects, shape=(16, 17, 18), object_shape_min=(3, 3, 3), object_shape_max=(3, 3, 3))
    assert event.sample.labels.dtype == dtype


def test_foreground_labels_are_ones():
    objects, foreground = generated(), generated(label_kind="foreground")
    np.testing.assert_array_equal(foreground.sample.labels, objects.sample.labels > 0)
    assert foreground.sample.labels.dtype == np.uint8
    assert len(foreground.positions) == 6


@pytest.mark.parametrize("gap", [0, 1, 2])
@pytest.mark.parametrize("placement", list(Placement))
@pytest.mark.parametrize("touching", [0, 1])
def test_objects_keep_their_gap(gap, placement, touching):
    event = generated(minimum_gap=gap, placement=placement, touching_fraction=touching, objects=12)
    labels = event.sample.labels
    assert len(event.positions) > 3
    boxes = ndimage.find_objects(labels)
    for number, box in enumerate(boxes, start=1):
        mine = labels == number
        if placement is Placement.BOUNDING_BOX:
            mine[box] = True
        steps = ndimage.distance_transform_cdt(~mine, "chessboard")
        assert steps[(labels > 0) & (labels != number)].min() > gap


def test_touching_objects_touch_and_others_do_not():
    def pieces(touching):
        event = generated(shape=(40, 50, 60), objects=8, minimum_gap=0, touching_fraction=touching)
        return len(event.positions), ndimage.label(event.sample.labels > 0, np.ones((3, 3, 3)))[1]

    assert pieces(1) == (8, 1)
    placed, apart = pieces(0)
    assert placed == 8
    assert apart > 4


def test_a_full_volume_says_both_numbers():
    event = generated(objects=500)
    assert 5 < len(event.positions) < 500
    assert f"Only {len(event.positions)} of 500 objects" in event.shortfall
    assert_bookkeeping(event)


def test_the_hard_volumes_hold_all_their_objects_in_clumps():
    *_, event = generate_volume(SyntheticConfig(difficulty=Difficulty.HARD))
    assert len(event.positions) == 100
    assert ndimage.label(event.sample.labels > 0, np.ones((3, 3, 3)))[1] < 50
    background = event.sample.image[event.sample.labels == 0]
    assert background.mean() > 10
    assert background.std() > 10


def test_identical_objects_are_the_same_object():
    alike = {"identical_objects": True, "object_shape_min": (9, 9, 9), "object_shape_max": (9, 9, 9)}
    one_range = {"noise_scale": (0.1, 0.1), "gamma": (1, 1), "threshold": (0.5, 0.5), "decay": (5, 5)}
    still = {"rotation_degrees": (0, 0)}
    assert len(set(np.bincount(generated(**alike, **one_range, **still).sample.labels.ravel())[1:])) == 1
    alike["identical_objects"] = False
    assert len(set(np.bincount(generated(**alike, **one_range, **still).sample.labels.ravel())[1:])) > 1


class TestPositions:
    def test_the_reported_positions_give_the_same_volume_again(self):
        free = generated()
        fixed = generated(positions=free.positions)
        np.testing.assert_array_equal(fixed.sample.image, free.sample.image)
        np.testing.assert_array_equal(fixed.sample.labels, free.sample.labels)
        assert fixed.positions == free.positions

    def test_there_is_one_object_at_each_position(self):
        event = generated(positions=[(12, 8, 10), (10, 20, 30)])
        assert event.positions == ((12, 8, 10), (10, 20, 30))
        assert event.n_objects == 2
        assert_bookkeeping(event)

    def test_an_object_that_would_overlap_is_left_out_and_said(self):
        event = generated(positions=[(12, 8, 10), (12, 9, 10), (10, 20, 30)])
        assert event.positions == ((12, 8, 10), (10, 20, 30))
        assert "Only 2 of 3" in event.shortfall
        assert_bookkeeping(event)

    @pytest.mark.parametrize(
        ("position", "words"),
        [
            (
                (12, 1, 10),
                r"object of shape .* does not fit at the position \(12, 1, 10\) in a volume of shape \(24, 32, 40\)",
            ),
            ((12, 32, 10), r"position \(12, 32, 10\) is outside the volume of shape \(24, 32, 40\)"),
            ((12, 3), r"position \(12, 3\) has 2 numbers"),
        ],
    )
    def test_a_position_without_room_is_refused(self, position, words):
        with pytest.raises(UserError, match=words):
            generated(positions=[position])

    def test_no_positions_at_all_are_refused(self):
        with pytest.raises(UserError, match="no positions"):
            generated(positions=[])


class TestGivenObjects:
    def test_given_objects_are_placed_as_they_are(self):
        cube, plate = np.full((3, 4, 5), 7, np.int16), np.ones((2, 9, 9), bool)
        event = generated(arrays=[cube, plate], rotation_degrees=(0, 0), intensity=(200, 200))
        sizes = np.bincount(event.sample.labels.ravel())[1:].tolist()
        assert set(sizes) == {60, 162}
        assert set(np.unique(event.sample.image)) == {0, 200}
        assert_bookkeeping(event)

    def test_given_objects_go_to_given_positions(self):
        event = generated(arrays=[np.ones((4, 4, 4))], positions=[(10, 10, 10), (10, 20, 30)], rotation_degrees=(0, 0))
        assert event.sample.labels[8:12, 8:12, 8:12].tolist() == np.ones((4, 4, 4)).tolist()
        assert event.sample.labels[8:12, 18:22, 28:32].tolist() == np.full((4, 4, 4), 2).tolist()
        assert (event.sample.labels > 0).sum() == 128

    def test_one_larger_than_the_volume_is_refused(self):
        with pytest.raises(UserError, match=r"\(4, 40, 4\) is larger than the volume of shape \(24, 32, 40\)"):
            generated(arrays=[np.ones((4, 40, 4))])


def test_an_object_larger_than_the_volume_is_refused_with_both_shapes():
    with pytest.raises(UserError, match=r"\(30, 9, 11\) is larger than the volume of shape \(24, 32, 40\)"):
        generated(object_shape_max=(30, 9, 11))


def test_a_volume_larger_than_the_memory_is_refused():
    with pytest.raises(UserError, match=r"\(8192, 8192, 8192\) takes 3,298.5 GB"):
        generated(shape=(8192, 8192, 8192), pixel_type="float32", objects=1)


@given(
    shape=st.tuples(*[st.integers(12, 26)] * 3),
    smallest=st.tuples(*[st.integers(2, 6)] * 3),
    more=st.tuples(*[st.integers(0, 3)] * 3),
    kind=st.sampled_from(list(ObjectShape)),
    noise_type=st.sampled_from(list(NoiseType)),
    placement=st.sampled_from(list(Placement)),
    pixel_type=st.sampled_from(list(PixelType)),
    voxel_size_um=st.tuples(*[st.floats(0.2, 2)] * 3),
    shell_thickness=st.integers(0, 2),
    gap=st.integers(0, 3),
    touching_fraction=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_settings_give_a_volume_whose_books_balance(shape, smallest, more, kind, gap, **changes):
    changes |= {"noise_type": changes["noise_type"], "object_shape": kind, "minimum_gap": gap}
    config = SyntheticConfig(
        shape=shape,
        object_shape_min=smallest,
        object_shape_max=tuple(a + b for a, b in zip(smallest, more, strict=True)),
        objects=7,
        threshold=(0, 0.9),
        noise_scale=(0, 0.3),
        **changes,
    )
    try:
        *_, event = generate_volume(config)
    except UserError:
        assert max(config.voxel_size_um) > 1.2 * min(config.voxel_size_um)  # turned to where voxels are smallest
        return
    sample = event.sample
    assert sample.shape == shape == sample.labels.shape
    assert sample.image.dtype == config.pixel_type.value
    assert sample.voxel_size_um == config.voxel_size_um
    np.testing.assert_array_equal(sample.image > 0, sample.labels > 0)
    assert (event.shortfall is None) == (len(event.positions) == 7)
    assert_bookkeeping(event)
