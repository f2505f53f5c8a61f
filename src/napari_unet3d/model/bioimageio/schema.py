"""The parts of a description by version 0.5 that are used, as they are in the file; others are not looked at."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, FiniteFloat

MOST_CHANNELS = 1000
_Size = Annotated[int, Field(ge=1, le=2**20)]


class Sides(BaseModel):
    """Lengths of an axis that a network takes: the minimum, and any number of steps more."""

    min: _Size
    step: _Size


class Reference(BaseModel):
    """A length that follows from that of an axis of another tensor."""

    tensor_id: str
    axis_id: str = ""
    scale: float = 1
    offset: float = 0


class DataDependent(BaseModel):
    """A length that depends on the values, which is not supported."""

    model_config = ConfigDict(extra="forbid")

    min: int = 1
    max: int | None = None


class Padding(BaseModel):
    """How a tensor is continued beyond its faces."""

    mode: str


class Axis(BaseModel):
    """An axis of a tensor."""

    type: str
    id: str = ""
    size: _Size | Sides | Reference | DataDependent | None = None
    halo: Annotated[int, Field(ge=0, le=2**16)] = 0
    channel_names: tuple[str, ...] = Field((), max_length=MOST_CHANNELS)
    scale: FiniteFloat = 1.0
    unit: str | None = None
    pad: Any = None


class Data(BaseModel):
    """Type and range of values."""

    type: str = "float32"
    range: tuple[float | None, float | None] = (None, None)


class Tensor(BaseModel):
    """The input or the output of a network."""

    id: str = ""
    axes: tuple[Axis, ...] = Field(max_length=16)
    pad: Padding | None = None
    data: Data | tuple[Data, ...] = Data()
    preprocessing: tuple[dict[str, Any], ...] | None = Field(None, max_length=100)
    postprocessing: tuple[dict[str, Any], ...] | None = Field(None, max_length=100)


class Architecture(BaseModel):
    """The network that weights belong to: a class of a library, or one in a file of the package."""

    import_from: str = ""
    source: str = ""
    name: str = Field("", alias="callable")
    arguments: dict[str, Any] = Field({}, validation_alias=AliasChoices("kwargs"))


class Weights(BaseModel):
    """A file of weights: its path in the package and, if given, the hash of its content and its network."""

    source: str
    sha256: str | None = None
    architecture: Architecture | None = None


class RawDescription(BaseModel):
    """The parts of a description that are used."""

    type: Literal["model"]
    name: str = "model"
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: dict[str, Weights]
