"""The steps of a description before and after the network, by versions 0.4 and 0.5 of the specification.

Each computes what the class of that name in bioimageio.core computes. A step follows the ones before it: its statistics
are those of the values that they return.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from napari_unet3d.errors import UserError, explain_validation, shorten

Values = NDArray[Any]
"""Of any real number type, shape (channel, z, y, x)."""
_AXES = {"channel": 0, "z": 1, "y": 2, "x": 3}
_DTYPES = ("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool")
_PerChannel = FiniteFloat | Annotated[tuple[FiniteFloat, ...], Field(min_length=1, max_length=10_000)]
_Epsilon = Annotated[float, Field(gt=0, le=0.1)]
_Percentile = Annotated[float, Field(ge=0, le=100)]
_Axis = Literal["batch", "channel", "z", "y", "x"]


class Step(BaseModel, ABC):
    """A step with its arguments.

    Attributes
    ----------
    statistics : bool
        Whether it depends on statistics of all values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def statistics(self) -> bool:
        """Whether it depends on statistics of all values."""
        return False

    @abstractmethod
    def apply(self, values: Values) -> Values:
        """Return new values (channel, z, y, x); those that are given stay as they are."""


class _Reducing(Step):
    axes: tuple[_Axis, ...] | None = None

    @property
    def reduced(self) -> tuple[int, ...]:
        """The axes of an array (channel, z, y, x) that a statistic is computed over."""
        return tuple(range(4)) if self.axes is None else tuple(_AXES[axis] for axis in self.axes if axis in _AXES)

    @property
    def is_of_dataset(self) -> bool:
        """Whether the description means statistics of a dataset rather than of one volume."""
        return self.axes is None or "batch" in self.axes


class Binarize(Step):
    """True above a threshold."""

    threshold: _PerChannel
    axis: Literal["channel"] | None = None

    def apply(self, values: Values) -> Values:
        """Return whether values are above the threshold."""
        return np.asarray(values > _along_channels(self.threshold, values))


class Clip(_Reducing):
    """Values limited to a range, or to percentiles, which are values that occur."""

    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    min_percentile: _Percentile | None = None
    max_percentile: _Percentile | None = None

    @property
    def statistics(self) -> bool:
        """Whether a limit is a percentile."""
        return self.min_percentile is not None or self.max_percentile is not None

    def apply(self, values: Values) -> Values:
        """Return values within the limits."""
        low: Any = self.min
        high: Any = self.max
        if self.min_percentile is not None:
            low = _percentile(values, self.min_percentile, self.reduced, "inverted_cdf")
        if self.max_percentile is not None:
            high = _percentile(values, self.max_percentile, self.reduced, "inverted_cdf")
        return values if low is None and high is None else np.clip(values, low, high)


class EnsureDtype(Step):
    """Values of another type."""

    dtype: Literal[_DTYPES]  # type: ignore[valid-type]

    def apply(self, values: Values) -> Values:
        """Return the values in the type; those that it cannot hold wrap around, as in numpy."""
        with np.errstate(invalid="ignore"):
            return values.astype(self.dtype)


class ScaleLinear(Step):
    """Values times a gain, plus an offset."""

    gain: _PerChannel = 1.0
    offset: _PerChannel = 0.0
    axis: Literal["channel"] | None = None

    def apply(self, values: Values) -> Values:
        """Return scaled values."""
        scaled = _real(values) * _along_channels(self.gain, values)
        return np.asarray(scaled + _along_channels(self.offset, values))


class Sigmoid(Step):
    """The logistic function."""

    def apply(self, values: Values) -> Values:
        """Return values from 0 to 1."""
        from scipy.special import expit

        return np.asarray(expit(_real(values)))


class Softmax(Step):
    """Exponentials that add up to 1 over the channels."""

    axis: Literal["channel"] = "channel"

    def apply(self, values: Values) -> Values:
        """Return values from 0 to 1."""
        from scipy.special import softmax

        return np.asarray(softmax(_real(values), axis=0))


class FixedZeroMeanUnitVariance(Step):
    """Values minus a mean, divided by a standard deviation; both are given."""

    mean: _PerChannel
    std: _PerChannel
    eps: _Epsilon = 1e-6
    axis: Literal["channel"] | None = None

    def apply(self, values: Values) -> Values:
        """Return normalised values."""
        scale = _along_channels(self.std, values) + np.float32(self.eps)
        return np.asarray((_real(values) - _along_channels(self.mean, values)) / scale)


class ZeroMeanUnitVariance(_Reducing):
    """Values minus their mean, divided by their standard deviation."""

    eps: _Epsilon = 1e-6

    @property
    def statistics(self) -> bool:
        """Always."""
        return True

    def apply(self, values: Values) -> Values:
        """Return normalised values."""
        mean = np.mean(values, self.reduced, np.float64, keepdims=True)
        std = np.std(values, self.reduced, np.float64, keepdims=True)
        return _affine(values, np.asarray(mean), np.asarray(std + self.eps))


class ScaleRange(_Reducing):
    """Values of which a low percentile becomes 0 and a high one 1; others lie beyond."""

    min_percentile: _Percentile = 0.0
    max_percentile: _Percentile = 100.0
    eps: _Epsilon = 1e-6

    @property
    def statistics(self) -> bool:
        """Always."""
        return True

    def apply(self, values: Values) -> Values:
        """Return normalised values."""
        low = _percentile(values, self.min_percentile, self.reduced, "linear")
        high = _percentile(values, self.max_percentile, self.reduced, "linear")
        return _affine(values, low, high - low + self.eps)


_STEPS: dict[str, type[Step]] = {
    "binarize": Binarize,
    "clip": Clip,
    "ensure_dtype": EnsureDtype,
    "fixed_zero_mean_unit_variance": FixedZeroMeanUnitVariance,
    "scale_linear": ScaleLinear,
    "scale_range": ScaleRange,
    "sigmoid": Sigmoid,
    "softmax": Softmax,
    "zero_mean_unit_variance": ZeroMeanUnitVariance,
}


def parse_steps(steps: Sequence[Mapping[str, Any]], where: str, *, after: bool) -> tuple[Step, ...]:
    """Return the steps of a description.

    Parameters
    ----------
    steps : sequence of mapping
        With ``id`` and ``kwargs``, as version 0.5 writes them.
    where : str
        The package, for messages.
    after : bool
        Whether they follow the network, where statistics would be those of a tile and are refused.

    Raises
    ------
    UserError
        If one of them is not supported; it is named.
    """
    side = "post-processing" if after else "preprocessing"
    read = []
    for each in steps:
        name = shorten(str(each.get("id")), 100)
        if name not in _STEPS:
            raise UserError(
                f"{where} asks for the {side} '{name}', which is not supported; {', '.join(_STEPS)} are. Run the model "
                "with bioimageio.core."
            )
        kwargs = dict(each.get("kwargs") or {})
        if kwargs.get("reference_tensor", "") is None:
            del kwargs["reference_tensor"]
        try:
            step = _STEPS[name](**{str(key): value for key, value in kwargs.items()})
        except ValidationError as error:
            raise UserError(f"The {side} '{name}' of {where} is not supported. {explain_validation(error)}") from None
        if after and step.statistics:
            raise UserError(
                f"{where} asks for the {side} '{name}' of whole outputs, which are predicted in tiles here. Run the "
                "model with bioimageio.core."
            )
        read.append(step)
    return tuple(read)


def apply_steps(steps: Sequence[Step], values: Values) -> NDArray[np.float32]:
    """Return what steps make of values (channel, z, y, x), one after the other.

    Raises
    ------
    UserError
        If the first step changes the type to one that does not hold the values, or has numbers for other channels.

    Examples
    --------
    >>> steps = parse_steps([{"id": "scale_range", "kwargs": {"axes": ["z", "y", "x"]}}], "a model", after=False)
    >>> apply_steps(steps, np.array([[[[10, 20, 30]]]], np.uint8)).round(3)
    array([[[[0. , 0.5, 1. ]]]], dtype=float32)
    """
    for number, step in enumerate(steps):
        given, values = values, step.apply(values)
        if number == 0 and isinstance(step, EnsureDtype) and values.dtype.kind in "ui" and not (values == given).all():
            raise UserError(
                f"The description of the model asks for the type {step.dtype}, which does not hold values from "
                f"{given.min():g} to {given.max():g}. Convert the image first."
            )
    return np.ascontiguousarray(values, np.float32)


def _real(values: Values) -> Values:
    return values if values.dtype.kind == "f" else values.astype(np.float32)


def _along_channels(number: float | tuple[float, ...], values: Values) -> Any:
    if isinstance(number, float | int):
        return np.float32(number)
    if len(number) not in (1, len(values)):
        raise UserError(
            f"The description gives {len(number)} numbers for {len(values)} channel{'s' * (len(values) > 1)}. Choose "
            "an image with as many channels."
        )
    return np.array(number, np.float32)[:, None, None, None]


def _affine(values: Values, shift: Values, scale: Values) -> Values:
    result = np.subtract(values, shift, dtype=np.float64).astype(np.float32)
    result /= scale.astype(np.float32)
    return result


def _percentile(values: Values, level: float, axes: tuple[int, ...], method: Any) -> Values:
    return np.asarray(np.percentile(values, level, axis=axes, method=method, keepdims=True), np.float64)
