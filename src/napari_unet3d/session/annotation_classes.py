"""The classes of an annotation: their names, label values, and the values that predictions have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import background_value
from napari_unet3d.errors import UserError

IGNORE_LABEL = 0
"""The label value of voxels that are not annotated."""
BACKGROUND = background_value(IGNORE_LABEL)
FIRST_CLASS = BACKGROUND + 1
LARGEST_VALUE = 255  # of the number type of annotations


@dataclass(frozen=True, slots=True)
class AnnotationClasses:
    """The names of the classes of an annotation, in order of their label values, which begin with `FIRST_CLASS`.

    >>> AnnotationClasses().add("Wall").values
    {1: 'Background', 2: 'Object', 3: 'Wall'}
    """

    names: tuple[str, ...] = ("Object",)

    @property
    def values(self) -> dict[int, str]:
        """The names of all label values that can be painted, background first."""
        return {BACKGROUND: "Background", **dict(enumerate(self.names, FIRST_CLASS))}

    @property
    def task(self) -> Task:
        """What a network learns from such an annotation."""
        return Task.SEMANTIC if len(self.names) > 1 else Task.BINARY

    def predicted_value(self, value: int) -> int:
        """Return the label value that predictions of a class have.

        >>> AnnotationClasses().predicted_value(2), AnnotationClasses(("a", "b")).predicted_value(2)
        (1, 2)
        """
        return 1 if self.task is Task.BINARY else value

    def add(self, name: str) -> AnnotationClasses:
        """Return the classes with one more.

        Raises
        ------
        UserError
            If the name cannot be one, or there are too many classes.
        """
        if FIRST_CLASS + len(self.names) > LARGEST_VALUE:
            raise UserError(f"There are {len(self.names)} classes already; more cannot be kept in one annotation.")
        return replace(self, names=(*self.names, self._checked(name, self.names)))

    def rename(self, value: int, name: str) -> AnnotationClasses:
        """Return the classes with another name for one of them; raises as `add`."""
        index = value - FIRST_CLASS
        others = self.names[:index] + self.names[index + 1 :]
        return replace(self, names=(*self.names[:index], self._checked(name, others), *self.names[index + 1 :]))

    def unused_name(self) -> str:
        """Return a name for one more class.

        >>> AnnotationClasses().unused_name()
        'Object 2'
        """
        number = len(self.names) + 1
        while f"Object {number}" in self.names:
            number += 1
        return f"Object {number}"

    def _checked(self, name: str, others: Sequence[str]) -> str:
        name = name.strip()
        if not name or name.lower() in (other.lower() for other in (*others, "Background", "Eraser")):
            raise UserError(f"The name '{name}' is empty or used already; give each class a name of its own.")
        if "," in name or name.startswith(("[", "{")):
            raise UserError(f"The class name '{name}' has a comma or begins with a bracket; choose another name.")
        return name
