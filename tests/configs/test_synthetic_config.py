from __future__ import annotations

import pytest

from napari_unet3d.configs import BackgroundMethod, Difficulty, SyntheticConfig
from napari_unet3d.errors import UserError


@pytest.mark.parametrize("difficulty", list(Difficulty))
def test_a_difficulty_sets_its_values_and_leaves_the_others(difficulty):
    config = SyntheticConfig(difficulty=difficulty)
    plain = SyntheticConfig()
    for name in SyntheticConfig.model_fields:
        if name != "difficulty":
            assert getattr(config, name) == difficulty.settings.get(name, getattr(plain, name))


def test_what_is_given_counts_more_than_the_difficulty():
    config = SyntheticConfig(difficulty="hard", objects=12, photon_count=0)
    assert config.objects == 12
    assert config.photon_count == 0
    assert config.touching_fraction == Difficulty.HARD.settings["touching_fraction"]


def test_the_defaults_are_the_tutorial():
    config = SyntheticConfig()
    assert (config.objects, config.shape) == (10, (128, 128, 128))
    assert (config.object_shape_min, config.object_shape_max) == ((30, 30, 30), (40, 40, 40))
    assert config.noise_scale == (0.04, 0.08)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"threshold": (0.6, 0.5)}, "swap 0.6 and 0.5"),
        ({"object_shape_min": (9, 50, 9)}, r"\(9, 50, 9\) is larger than the maximum \(40, 40, 40\)"),
        ({"intensity": (128, 256)}, r"256 is out of range for the pixel type uint8 \(up to 255\)"),
        ({"rotation_planes": ()}, "at least one rotation plane"),
        ({"background_apply": "add", "background_generate": "multiply"}, "baseline of 0 cannot be multiplied"),
        ({"background_apply": "divide", "background_noise": (0, 0)}, "divided by noise of 0"),
        ({"touching_fraction": 1.2}, "'touching_fraction' is 1.2; choose a value from 0 to 1"),
        ({"colour": 3}, "no setting called 'colour'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, words):
    with pytest.raises(UserError, match=words):
        SyntheticConfig(**values)


def test_brighter_objects_need_a_larger_pixel_type():
    assert SyntheticConfig(intensity=(128, 4000), pixel_type="uint16").intensity == (128, 4000)
    assert SyntheticConfig(background_apply="add").background_apply is BackgroundMethod.ADD
