"""What follows from an annotation of the Annotate dock that is chosen as labels: what its values mean is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation_classes import FIRST_CLASS
from napari_unet3d.widgets.components.containers import Panel, show_text, wrapping_label
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.viewer.annotation_info import AnnotationInfo, annotation_info


class AnnotationNote(Panel):
    """A sentence on the values of the chosen annotation, which replaces some of the settings; hidden without one.

    Parameters
    ----------
    source : TrainingSource
        The data that is chosen.

    Attributes
    ----------
    text : Label
        The sentence.
    """

    def __init__(self, source: TrainingSource) -> None:
        super().__init__()
        self._source = source
        self.text = wrapping_label()
        self.lay_out(self.text)
        self.refresh()

    @property
    def locked(self) -> tuple[str, ...]:
        """The settings that the annotation decides about."""
        if not (found := self._annotations()):
            return ()
        names = ("ignore_label",) if len(found) == len(self._source.labels_layers()) else ()
        return (*names, "task", "class_names") if len(found[0].classes.names) > 1 else names

    def refresh(self, *_: Any) -> None:
        """Show what is annotated."""
        text = ""
        if found := self._annotations():
            names = ", ".join(f"'{name}'" for name in found[0].classes.names)
            task = f" The task is '{Task.SEMANTIC.label}'." if len(found[0].classes.names) > 1 else ""
            text = f"Painted in Annotate: background and {names}.{task} Voxels that are not annotated are left out."
        show_text(self.text, text)
        self.visible = bool(text)

    def apply(self, config: TrainingConfig) -> TrainingConfig:
        """Return the settings with the task and, of several classes, the names of those that are painted.

        Without an ignore label, since what is not annotated is left out by a mask.

        Raises
        ------
        UserError
            If annotations have different classes, or are to be trained on with labels that have an ignore label.
        """
        if not (found := self._annotations()):
            return config
        classes = found[0].classes
        if any(info.classes != classes for info in found):
            raise UserError("The annotations have different classes. Give their classes the same names in Annotate.")
        if config.ignore_label is not None:  # of other labels, which are trained on, too
            raise UserError(
                f"Labels with the ignore label {config.ignore_label} and annotations of the dock Annotate, which have "
                "none, cannot be trained on together. Train on one kind of labels only."
            )
        update: dict[str, Any] = {}
        if len(classes.names) > 1:
            layers = self._source.labels_layers()
            painted = {int(value) for layer in layers for value in np.unique(np.asarray(layer.data))}
            names = [classes.values.get(value, f"class {value}") for value in sorted(painted) if value >= FIRST_CLASS]
            update |= {"task": classes.task, "class_names": tuple(names)}
        return config.model_copy(update=update)

    def _annotations(self) -> list[AnnotationInfo]:
        """Return what is known of the annotations among the chosen labels."""
        return [info for layer in self._source.labels_layers() if (info := annotation_info(layer)) is not None]
