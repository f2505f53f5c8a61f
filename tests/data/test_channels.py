"""Which channels of a volume are used: by names, by numbers, in their order, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.data.channel_choice import ChannelChoice, channels_for_model, choose_channels
from napari_unet3d.data.channels import name_channels
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.shared_content import shares_content
from napari_unet3d.data.statistics import compute_statistics, fingerprint
from napari_unet3d.errors import UserError

SHAPE = (4, 5, 6)


def volume(*names: str, n_channels: int | None = None, name: str = "brain") -> Sample:
    """Return a volume in which each value is the number of its channel."""
    n_channels = len(names) if n_channels is None else n_channels
    image = np.repeat(np.arange(1, n_channels + 1), np.prod(SHAPE)).reshape(n_channels, *SHAPE).astype(np.uint8)
    return Sample(name, image, channel_names=names)


def values(sample: Sample) -> list[int]:
    """Return the numbers of the channels of a sample."""
    return [int(channel.max()) for channel in sample.channels]


def test_channels_have_different_names() -> None:
    assert volume("dapi", "", "dapi").channel_names == ("dapi", "channel 2", "dapi 2")
    assert volume(n_channels=2).channel_names == ("channel 1", "channel 2")
    assert name_channels(["a 2", "a", "a"], 3) == ("a 2", "a", "a 3")


def test_one_channel_is_a_plain_volume() -> None:
    sample = Sample("brain", np.zeros((1, *SHAPE)), channel_names=("dapi",))

    assert sample.image.shape == SHAPE
    assert (sample.channel_names, sample.n_channels, sample.shape) == (("dapi",), 1, SHAPE)
    assert Sample("brain", np.zeros((1, *SHAPE))).channel_names == ()


@pytest.mark.parametrize(
    ("wanted", "expected"), [(("2",), [2]), (("b", "a"), [2, 1]), (("B", "1"), [2, 1]), (("3", "b"), [3, 2])]
)
def test_channels_are_chosen_by_name_or_number(wanted: tuple[str, ...], expected: list[int]) -> None:
    assert values(choose_channels(volume("a", "b", "c"), wanted)) == expected


def test_a_name_is_preferred_to_a_number() -> None:
    assert values(choose_channels(volume("2", "1"), ("1",))) == [2]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("d",), r"The channel 'd' is not in 'brain', which has 3 channels \(a, b, c\). Choose a number from 1 to 3"),
        (("4",), "The channel '4' is not in 'brain'"),
        (("0",), "The channel '0' is not in 'brain'"),
        (("a", "1"), "A channel of 'brain' is chosen twice"),
    ],
)
def test_channels_that_do_not_exist_are_named(wanted: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_channels(volume("a", "b", "c"), wanted)


def test_a_model_finds_its_channels_by_name_and_says_so() -> None:
    used = channels_for_model(volume("x", "membrane", "dapi"), ("dapi", "membrane"), ())

    assert values(used) == [3, 2]
    assert used.notices == (
        "Of the channels x, membrane, dapi of 'brain', those of the training volumes are used by name: dapi, membrane.",
    )


def test_channels_without_names_are_taken_in_order() -> None:
    used = channels_for_model(volume(n_channels=2), ("dapi", "membrane"), ())

    assert values(used) == [1, 2]
    assert "used as the channels of the training volumes (dapi, membrane), in this order" in used.notices[0]


def test_a_volume_with_the_channels_of_the_model_needs_no_word() -> None:
    assert channels_for_model(volume("a", "b"), ("a", "b"), ()).notices == ()
    assert channels_for_model(volume(n_channels=2), ("channel 1", "channel 2"), ()).notices == ()
    assert channels_for_model(Sample("brain", np.zeros(SHAPE)), (), ()).notices == ()


@pytest.mark.parametrize(
    ("sample", "expected", "message"),
    [
        (volume(n_channels=3), ("channel 1", "channel 2"), "'brain' has 3 channels, but the training volumes have 2"),
        (Sample("brain", np.zeros(SHAPE)), ("a", "b"), r"'brain' has 1 channel, but .* have 2 channels \(a, b\)"),
        (volume("a", "b"), (), r"'brain' has 2 channels \(a, b\), but the training volumes have 1 channel\."),
        (volume("b", "c"), ("a", "b"), r"'brain' has 2 channels \(b, c\), but .* have 2 channels \(a, b\)"),
        (volume("a", "x", "y"), ("a", "b"), r"'brain' has 3 channels \(a, x, y\)"),
    ],
)
def test_other_channels_than_those_of_the_model_are_refused(
    sample: Sample, expected: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        channels_for_model(sample, expected, ())


def test_the_user_can_say_which_channel_is_which() -> None:
    assert values(channels_for_model(volume(n_channels=3), ("a", "b"), (), ("3", "1"))) == [3, 1]
    with pytest.raises(
        UserError, match=r"chooses 1 channel of 'brain' \(3\), but the model was trained on 2 channels \(a, b\)"
    ):
        channels_for_model(volume(n_channels=3), ("a", "b"), (), ("3",))


def test_a_choice_by_number_is_repeated_for_volumes_without_names() -> None:
    used = channels_for_model(volume(n_channels=2), ("channel 2",), ("2",))

    assert values(used) == [2]
    assert "used by name: channel 2" in used.notices[0]


def test_all_volumes_of_a_training_get_the_channels_of_the_first() -> None:
    choice = ChannelChoice()
    first, second = choice.apply(volume("a", "b", name="one")), choice.apply(volume("b", "a", name="two"))

    assert (values(first), values(second)) == ([1, 2], [2, 1])
    assert second.notices == ("Of the channels b, a of 'two', those of 'one' are used by name: a, b.",)
    with pytest.raises(UserError, match=r"'three' has 1 channel, but 'one' has 2 channels \(a, b\)"):
        choice.apply(Sample("three", np.zeros(SHAPE)))


def test_fingerprints_and_statistics_know_all_channels() -> None:
    one, other = np.random.default_rng(0).integers(0, 255, (2, 2, 12, 13, 14))
    changed = np.stack([one[0], other[1]])

    assert fingerprint(one) == fingerprint(one.copy())
    assert not fingerprint(one).slices & fingerprint(changed).slices
    statistics = compute_statistics(Sample("brain", np.stack([one[0], one[0] * 0 + 7])))
    assert statistics.intensity_ranges[1] == (7, 7)
    assert statistics.intensity_means == (pytest.approx(one[0].mean()), 7)


def test_common_content_is_found_in_any_channel() -> None:
    one, other = np.random.default_rng(0).integers(0, 255, (2, 2, 16, 16, 16))
    part = Sample("part", np.stack([other[0], one[1]])[:, 2:15, 2:15, 2:15])

    assert shares_content(part, one)
    assert not shares_content(Sample("part", other[:, 2:15, 2:15, 2:15]), one)
    assert shares_content(Sample("part", one[1, 2:15, 2:15, 2:15]), one), "a single channel of it"
