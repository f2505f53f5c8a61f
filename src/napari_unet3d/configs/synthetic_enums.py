"""The choices in the settings of synthetic volumes, and the values of each difficulty."""

from __future__ import annotations

from typing import Any

from napari_unet3d.configs.base import ChoiceEnum


class Axis(ChoiceEnum):
    """An axis of a volume.

    >>> Axis.X.number
    2
    """

    Z = "z"
    Y = "y"
    X = "x"

    @property
    def number(self) -> int:
        """The index of the axis in an array of shape (z, y, x)."""
        return "zyx".index(self.value)


class RotationPlane(ChoiceEnum):
    """A plane of rotation; `axes` are the indices of its two axes in (z, y, x)."""

    ZY = "zy"
    ZX = "zx"
    YX = "yx"

    @property
    def axes(self) -> tuple[int, int]:
        """The indices of the two axes in an array of shape (z, y, x)."""
        return "zyx".index(self.value[0]), "zyx".index(self.value[1])


class NoiseType(ChoiceEnum):
    """The gradient noise of an object; mixed chooses one of the two at random for each object."""

    PERLIN = "perlin"
    SIMPLEX = "simplex"
    MIXED = "mixed"


class ObjectShape(ChoiceEnum):
    """The shape of an object before noise and rotation."""

    BLOB = "blob"
    CYLINDER = "cylinder"
    TUBE = "tube"


class Placement(ChoiceEnum):
    """What must not overlap: the objects, or their bounding boxes (as in qim3d)."""

    TRUE_SHAPE = "true-shape"
    BOUNDING_BOX = "bounding-box"


class BackgroundMethod(ChoiceEnum):
    """How two images are combined."""

    NONE = "none"
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"


class LabelKind(ChoiceEnum):
    """One id per object, or 1 for all objects."""

    OBJECTS = "objects"
    FOREGROUND = "foreground"


class PixelType(ChoiceEnum):
    """The data type of the image; values are rounded and clipped for integer types."""

    UINT8 = "uint8"
    UINT16 = "uint16"
    FLOAT32 = "float32"

    @property
    def label(self) -> str:
        """The text in menus: the name in numpy."""
        return str(self.value)


class Difficulty(ChoiceEnum):
    """Presets, from the clean volumes of the tutorial to touching objects with much noise; see `settings`."""

    TUTORIAL = "tutorial"
    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `SyntheticConfig` that this difficulty sets, with their values."""
        return dict(_DIFFICULTY_SETTINGS[self])


_DIFFICULTY_SETTINGS: dict[Difficulty, dict[str, Any]] = {
    Difficulty.TUTORIAL: {},
    Difficulty.EASY: {
        "objects": 20,
        "minimum_gap": 2,
        "blur_um": 0.7,
        "photon_count": 200.0,
        "read_noise": 0.01,
    },
    Difficulty.MEDIUM: {
        "objects": 50,
        "object_shape_min": (22, 22, 22),
        "object_shape_max": (36, 36, 36),
        "intensity": (100, 200),
        "touching_fraction": 0.3,
        "blur_um": 1.0,
        "photon_count": 60.0,
        "read_noise": 0.03,
        "uneven_background": 0.15,
    },
    Difficulty.HARD: {
        "objects": 100,
        "object_shape_min": (20, 20, 20),
        "object_shape_max": (34, 34, 34),
        "intensity": (80, 200),
        "minimum_gap": 0,
        "touching_fraction": 0.7,
        "blur_um": 1.2,
        "photon_count": 25.0,
        "read_noise": 0.06,
        "uneven_background": 0.3,
    },
}
