"""What the description of a package says about input, output and weights; the rest of it is not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pydantic import ValidationError

from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError, explain_validation, shorten
from napari_unet3d.model.bioimageio.processing import Binarize, EnsureDtype, Step, parse_steps
from napari_unet3d.model.bioimageio.schema import (
    MOST_CHANNELS,
    Axis,
    Data,
    RawDescription,
    Reference,
    Sides,
    Tensor,
    Weights,
)
from napari_unet3d.model.bioimageio.version_04 import to_05

_LETTERS = {"batch": "b", "channel": "c"}
_PREFERRED_SIDE = 128  # of a tile in voxels, where the description leaves it open
_MOST_VOXELS = 2**27  # of a tile
_PADDINGS = ("symmetric", "reflect", "edge")
_REMEDY = "Run the model with bioimageio.core."


@dataclass(frozen=True, slots=True)
class SideRule:
    """Which lengths an axis of the input may have.

    Attributes
    ----------
    least : int
        The smallest, in voxels.
    step : int
        The difference from each to the next; 0 if there is only one.
    halo : int
        Voxels at each end of a tile within which the output is left out.
    """

    least: int
    step: int
    halo: int

    def tile(self, needed: int) -> int:
        """Return the side of a tile for an axis: the smallest that holds all, but about 128 voxels at most.

        >>> SideRule(16, 8, 0).tile(50), SideRule(16, 8, 0).tile(500), SideRule(64, 0, 4).tile(500)
        (56, 128, 64)
        """
        if self.step == 0:
            return self.least
        wanted = min(needed, max(_PREFERRED_SIDE, 4 * self.halo))
        return self.least + max(0, -(-(wanted - self.least) // self.step)) * self.step


@dataclass(frozen=True, slots=True)
class Description:
    """What a package says about its model.

    Attributes
    ----------
    name : str
        Its name.
    input_axes, output_axes : str
        The axes of the tensors by their letters, such as ``"bczyx"``.
    batch_is_fixed : bool
        Whether the network takes one volume at a time.
    sides : tuple of SideRule
        The lengths of a tile along z, y, x.
    in_channels, out_channels : int
        Numbers of channels.
    input_names, output_names : tuple of str
        Names of the channels; empty if they are not given.
    padding : str
        How a volume is continued beyond its faces, as in `numpy.pad`.
    preprocessing, postprocessing : tuple of Step
        What is computed before and after the network.
    output_range : tuple of float or None
        The smallest and the largest value of the output, as far as they are given.
    voxel_size_um : tuple of float or None
        Voxel size (z, y, x) in µm of the images that the model is for.
    weights : dict of str to Weights
        The weights by their format.
    """

    name: str
    input_axes: str
    output_axes: str
    batch_is_fixed: bool
    sides: tuple[SideRule, SideRule, SideRule]
    in_channels: int
    out_channels: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    padding: str
    preprocessing: tuple[Step, ...]
    postprocessing: tuple[Step, ...]
    output_range: tuple[float | None, float | None]
    voxel_size_um: VoxelSize | None
    weights: dict[str, Weights]

    @property
    def smallest_zyx(self) -> Shape3D:
        """The smallest tile (z, y, x)."""
        z, y, x = (side.least for side in self.sides)
        return z, y, x


def parse_description(raw: Any, where: str) -> Description:
    """Return what a description says.

    Parameters
    ----------
    raw : object
        The parsed YAML.
    where : str
        The package, for messages.

    Raises
    ------
    UserError
        If it is no description of a model for volumes that can be followed here; what prevents it is named.
    """
    read = _validated(raw, where)
    if len(read.inputs) != 1 or len(read.outputs) != 1:
        raise UserError(
            f"The model {where} has {len(read.inputs)} inputs and {len(read.outputs)} outputs, but models with one of "
            f"each are supported. {_REMEDY}"
        )
    (source,), (output,) = read.inputs, read.outputs
    names, sizes = _by_letter(source, where), _by_letter(output, where)
    in_channels = _n_channels(names.get("c"), where)
    out_channels = _n_channels(sizes.get("c"), where, in_channels)
    for letter in "zyx":
        _check_same_size(sizes[letter], names[letter], source.id, where)
    sides = tuple(_side(names[letter], sizes[letter].halo, where) for letter in "zyx")
    if prod(side.least for side in sides) > _MOST_VOXELS:
        raise UserError(f"The smallest tile of {where} has more than {_MOST_VOXELS:,} voxels, too many. {_REMEDY}")
    data = output.data if isinstance(output.data, Data) else Data()
    before = parse_steps(source.preprocessing or (), where, after=False)
    after = parse_steps(output.postprocessing or (), where, after=True)
    return Description(
        name=shorten(read.name, 200),
        input_axes="".join(names),
        output_axes="".join(sizes),
        batch_is_fixed="b" not in names or names["b"].size == 1,
        sides=(sides[0], sides[1], sides[2]),
        in_channels=in_channels,
        out_channels=out_channels,
        input_names=_names(names.get("c")),
        output_names=_names(sizes.get("c")),
        padding=_padding(source, where),
        preprocessing=_with_types(before, source.data, where, at_start=True),
        postprocessing=_with_types(after, output.data, where, at_start=False),
        output_range=(0.0, 1.0) if data.type == "bool" else data.range,
        voxel_size_um=_voxel_size([names[letter] for letter in "zyx"]),
        weights=read.weights,
    )


def _validated(raw: Any, where: str) -> RawDescription:
    if not isinstance(raw, dict) or raw.get("type") != "model":
        kind = shorten(str(raw.get("type")), 50) if isinstance(raw, dict) else "nothing"
        raise UserError(f"{where} describes '{kind}', not a model. Download a model of bioimage.io.")
    version = str(raw.get("format_version", ""))
    try:
        if version.startswith("0.4."):
            raw = to_05(raw)
        elif not version.startswith("0.5."):
            raise UserError(
                f"The description of {where} has version '{shorten(version, 20)}', but 0.4 and 0.5 are supported. "
                "Convert it with bioimageio update-format."
            )
        return RawDescription.model_validate(raw)
    except ValidationError as error:
        reason = explain_validation(error).replace("The setting ", "The entry ")
        raise UserError(f"The description of {where} cannot be read. {reason}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"The description of {where} is not one of version {version}: it lacks or has another {error}."
        ) from None


def _padding(source: Tensor, where: str) -> str:
    mode = "symmetric" if source.pad is None else source.pad.mode
    if mode not in _PADDINGS or any(axis.pad for axis in source.axes):
        asked = f"'{shorten(mode, 50)}'" if mode not in _PADDINGS else "of a given width"
        raise UserError(f"{where} asks for the padding {asked}, which is not supported. {_REMEDY}")
    return mode


def _with_types(
    steps: tuple[Step, ...], data: Data | tuple[Data, ...], where: str, *, at_start: bool
) -> tuple[Step, ...]:
    """Return steps with the changes of type at their ends that the specification adds where there are none."""
    dtype = data.type if isinstance(data, Data) else data[0].type if data else "float32"
    (cast,) = parse_steps([{"id": "ensure_dtype", "kwargs": {"dtype": dtype}}], where, after=not at_start)
    if at_start and not (steps and isinstance(steps[0], EnsureDtype)):
        steps = (cast, *steps)
    return steps if steps and isinstance(steps[-1], EnsureDtype | Binarize) else (*steps, cast)


def _by_letter(tensor: Tensor, where: str) -> dict[str, Axis]:
    """Return the axes by their letters, in their order."""
    letters = [_LETTERS.get(axis.type, axis.id if axis.type == "space" else f"{axis.type} ") for axis in tensor.axes]
    found = dict(zip(letters, tensor.axes, strict=True))
    if len(found) != len(letters) or not set("zyx") <= found.keys() <= set("bczyx"):
        axes = ", ".join(axis.id or axis.type for axis in tensor.axes)
        raise UserError(
            f"The model {where} is not for single volumes: a tensor of it has the axes {shorten(axes, 200)}, but z, y, "
            f"x, with or without batch and channel, are supported. {_REMEDY}"
        )
    return found


def _n_channels(axis: Axis | None, where: str, n_of_input: int = 0) -> int:
    if axis is None:
        return 1
    number = len(axis.channel_names) or axis.size
    if isinstance(number, Reference):
        number = int(n_of_input * number.scale + number.offset)
    if not isinstance(number, int) or not 0 < number <= MOST_CHANNELS:
        raise UserError(f"The description of {where} does not say how many channels there are. {_REMEDY}")
    return number


def _names(axis: Axis | None) -> tuple[str, ...]:
    """Return the names of the channels, unless they are only numbers."""
    names = () if axis is None else axis.channel_names
    return () if all(name.lower().removeprefix("channel").strip("_- ").isdecimal() for name in names) else names


def _check_same_size(output: Axis, source: Axis, name: str, where: str) -> None:
    size = output.size
    if isinstance(size, Reference):
        is_same_axis = size.axis_id in ("", source.id)
        is_same = size.tensor_id == name and is_same_axis and (size.scale, size.offset) == (1, 0)
    else:
        is_same = isinstance(size, int) and size == source.size
    # By version 0.5, what is said of scales is in the sizes of voxels of both.
    if not is_same or output.scale != source.scale:
        raise UserError(
            f"The output of {where} has another size than its input along {source.id}, which is not supported. "
            f"{_REMEDY}"
        )


def _side(axis: Axis, halo: int, where: str) -> SideRule:
    match axis.size:
        case int() as length:
            rule = SideRule(length, 0, halo)
        case Sides(min=least, step=step):
            smallest = max(least, least + -(-(2 * halo + 1 - least) // step) * step)  # the halo leaves a voxel
            rule = SideRule(smallest, step, halo)
        case _:
            raise UserError(f"The description of {where} does not give the size along {axis.id}. {_REMEDY}")
    if 2 * halo >= rule.least:
        raise UserError(f"The halo of {where} along {axis.id}, {halo}, leaves nothing of a tile of {rule.least}.")
    return rule


def _voxel_size(axes: Sequence[Axis]) -> VoxelSize | None:
    units = [um_per_unit(axis.unit) for axis in axes]
    if any(unit is None for unit in units):
        return None
    z, y, x = (axis.scale * unit for axis, unit in zip(axes, units, strict=True) if unit is not None)
    return (z, y, x) if min(z, y, x) > 0 else None
