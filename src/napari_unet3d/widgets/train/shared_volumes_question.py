"""The question before layers are trained on that show a test volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QWidget

from napari_unet3d.data.pairs import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.session.shared_volumes import SharedVolume, training_volumes_in_test_sets
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import confirm


class SharedVolumesQuestion:
    """Compares volumes with the test volumes of datasets in a job, and asks before they are trained on.

    Parameters
    ----------
    parent : QWidget
        The dock.
    context : Context
        Jobs and message line.
    """

    def __init__(self, parent: QWidget, context: Context) -> None:
        self._parent, self._context = parent, context
        self._work = context.latest_only(parent, "shared-volumes")

    def ask_then(self, volumes: Sequence[Sample], datasets: Sequence[Path], train: Callable[[], None]) -> None:
        """Train at once where no dataset has test volumes; else compare first, and ask where something is shared.

        Parameters
        ----------
        volumes : sequence of Sample
            What is to be trained on.
        datasets : sequence of Path
            The datasets whose test volumes are compared.
        train : callable
            Starts the training.
        """
        with_tests = [folder for folder in dict.fromkeys(datasets) if _has_test_volumes(folder)]
        if not with_tests:
            train()
            return
        events = partial(training_volumes_in_test_sets, volumes, with_tests)
        self._context.message.show_message("Comparing with the test volumes …")
        self._work.request("Comparing with the test volumes", events, partial(self._on_found, train))

    def _on_found(self, train: Callable[[], None], found: tuple[SharedVolume, ...]) -> None:
        self._context.message.clear()
        for shared in found:
            if not confirm(self._parent, "Train on a test volume?", shared.question):
                self._context.message.show_message(
                    f"Nothing was trained. Choose other volumes than '{shared.name}', which shows a test volume."
                )
                return
        with self._context.message.explaining():
            train()


def _has_test_volumes(folder: Path) -> bool:
    try:
        return bool(list_pairs(folder, Subset.TEST))
    except UserError:
        return False
