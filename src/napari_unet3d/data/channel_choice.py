"""Volumes with the channels that were chosen, the same for all volumes of a training."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unet3d.data.channels import ChosenChannels, describe_channels, find_channels, match_channels
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError


class ChannelChoice:
    """Chooses the channels of one volume after another; all get those of the first, or those of a model.

    Parameters
    ----------
    wanted : sequence of str
        Names or numbers of channels; all if there are none.
    expected : sequence of str, optional
        Names of the channels of a model that is trained further; see `Plan.channels`.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((2, 4, 5, 6))
    >>> choice = ChannelChoice(("2",))
    >>> choice.apply(Sample("brain", image, channel_names=("dapi", "membrane"))).channel_names
    ('membrane',)
    """

    def __init__(self, wanted: Sequence[str] = (), expected: Sequence[str] | None = None) -> None:
        self._wanted, self._expected = tuple(wanted), expected
        self._other = "the volumes that the model was trained on"

    def apply(self, sample: Sample) -> Sample:
        """Return a volume with the chosen channels.

        Raises
        ------
        UserError
            If it does not have them.
        """
        if self._wanted:
            sample = choose_channels(sample, self._wanted)
        if self._expected is None:
            self._expected, self._other = sample.channel_names, f"'{sample.name}'"
            return sample
        return sample.with_channels(
            match_channels(sample.name, sample.channel_names, self._expected, self._other, by_name=bool(self._wanted))
        )


def choose_channels(sample: Sample, wanted: Sequence[str]) -> Sample:
    """Return a volume with the channels of these names or numbers.

    Raises
    ------
    UserError
        If it has no such channel.
    """
    return sample.with_channels(ChosenChannels(find_channels(sample.name, sample.channel_names, wanted)))


def channels_for_model(
    sample: Sample, expected: Sequence[str], trained_on: Sequence[str], wanted: Sequence[str] = ()
) -> Sample:
    """Return a volume with the channels that a model needs.

    Parameters
    ----------
    sample : Sample
        The volume, with all its channels.
    expected : sequence of str
        Names of the channels that the model was trained on; see `Plan.channels`.
    trained_on : sequence of str
        The channels that were chosen for its training, if any: the same ones of a volume are used.
    wanted : sequence of str
        Names or numbers of the channels to use, in the order in which the model needs them; without them, those with
        the names of the model, or all.

    Raises
    ------
    UserError
        If the volume does not have them, or another number of channels is needed.
    """
    return sample.with_channels(find_model_channels(sample.name, sample.channel_names, expected, trained_on, wanted))


def find_model_channels(
    volume: str, names: Sequence[str], expected: Sequence[str], trained_on: Sequence[str], wanted: Sequence[str] = ()
) -> ChosenChannels:
    """Return which channels of a volume a model needs; parameters and errors are those of `channels_for_model`."""
    if not wanted:
        return match_channels(volume, names, expected, "the training volumes", by_name=bool(trained_on))
    indices = find_channels(volume, names, wanted)
    if len(indices) != max(1, len(expected)):  # names do not matter: the user has said which channel is which
        raise UserError(
            f"The setting channels chooses {describe_channels((), len(indices))} of '{volume}' "
            f"({', '.join(wanted)}), but the model was trained on {describe_channels(expected)}. Choose as many, in "
            "this order."
        )
    return ChosenChannels(indices)
