"""What follows from an annotation of the Annotate dock that is chosen as labels: what its values mean is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation_classes import FIRST_CLASS, IGNORE_LABEL
from napari_unet3d.widgets.components.containers import Panel, show_text, wrapping_label
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.viewer.annotation_layers import AnnotationInfo, annotation_info


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
        return ("ignore_label", *(("task", "class_names") if len(found[0].classes.names) > 1 else ()))

    def refresh(self, *_: Any) -> None:
        """Show what the values of the chosen annotation mean."""
        text = ""
        if found := self._annotations():
            names = ", ".join(f"{value} is {name}" for value, name in found[0].classes.values.items())
            text = f"Painted in Annotate: {names.replace('Background', 'background')}; 0 is not annotated and ignored."
        show_text(self.text, text)
        self.visible = bool(text)

    def apply(self, config: TrainingConfig) -> TrainingConfig:
        """Return the settings with the ignore label and, of several classes, the names that the annotation has.

        Raises
        ------
        UserError
            If annotations are to be trained on together with labels whose values mean something else.
        """
        if not (found := self._annotations()):
            return config
        layers = self._source.labels_layers()
        if others := [layer.name for layer in layers if annotation_info(layer) is None]:
            raise UserError(
                f"'{others[0]}' was not painted in Annotate as the other labels were, where 0 is not annotated and 1 "
                "is background. Train on one kind of labels only."
            )
        classes = found[0].classes
        if any(info.classes != classes for info in found):
            raise UserError("The annotations have different classes. Give their classes the same names in Annotate.")
        update: dict[str, Any] = {"ignore_label": IGNORE_LABEL}
        if len(classes.names) > 1:
            painted = {int(value) for layer in layers for value in np.unique(np.asarray(layer.data))}
            names = [classes.values.get(value, f"class {value}") for value in sorted(painted) if value >= FIRST_CLASS]
            update |= {"task": classes.task, "class_names": tuple(names)}
        return config.model_copy(update=update)

    def _annotations(self) -> list[AnnotationInfo]:
        """Return what is known of the annotations among the chosen labels."""
        return [info for layer in self._source.labels_layers() if (info := annotation_info(layer)) is not None]
