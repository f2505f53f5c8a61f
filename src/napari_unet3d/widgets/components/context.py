"""What a panel needs of the dock that it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_unet3d.widgets.components.message_line import MessageLine
from napari_unet3d.widgets.jobs.jobs import Jobs


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a panel, the same for all panels of a dock.

    Attributes
    ----------
    viewer : napari.Viewer
        The viewer that the dock is in.
    jobs : Jobs
        The jobs of that viewer.
    message : MessageLine
        Where the dock shows messages.
    """

    viewer: Any
    jobs: Jobs
    message: MessageLine
