"""The tolerance up to which errors are boundary noise, and the button that lists what it hides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from magicgui.widgets import FloatSpinBox, PushButton

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.evaluation.tolerance import decimals_of, tolerance_for
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.inspection_hints import show_hidden_text
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.shared_preferences import load_evaluation_config

_TOLERANCE_KEY = "inspect-tolerance"
_LEAST_DECIMALS, _MOST_DECIMALS = 2, 6


class ToleranceBox(FloatSpinBox):
    """The tolerance of a session; what is set here is remembered for voxels of that size.

    By default it is that of the Predict dock: the smallest side of a voxel, unless one was set there.

    Parameters
    ----------
    session : InspectionSession
        Whose tolerance it is.
    """

    def __init__(self, session: InspectionSession) -> None:
        super().__init__(
            min=0,
            max=1e6,
            step=0.01,
            tooltip="<qt>Errors that are nowhere deeper than this are ignored as boundary noise, and noise that joins "
            "deeper errors is cut away; what is missed or extra as a whole is ignored only if it is no longer than "
            "twice this. 0 shows every wrong voxel. The default is the smallest side of a voxel. It is also the "
            "distance up to which surfaces agree in the scores.</qt>",
        )
        self.native.setDecimals(_LEAST_DECIMALS)
        self.native.setKeyboardTracking(False)
        self._session = session
        self._geometry: Geometry | None = None
        self._is_saved = True
        self.changed.connect(self._on_value)
        session.events.tolerance.connect(self._follow)

    def suit(self, geometry: Geometry) -> None:
        """Set what is remembered for voxels of a size, or the default, unless the box is for such voxels already."""
        if self._geometry is not None and _key(geometry) == _key(self._geometry):
            return
        known = load_preference(_TOLERANCE_KEY)
        saved = known.get(_key(geometry)) if isinstance(known, dict) else None
        chosen = saved if isinstance(saved, float | int) else load_evaluation_config().tolerance
        smallest = min(geometry.spacing)
        decimals = min(max(_LEAST_DECIMALS, decimals_of(smallest)), _MOST_DECIMALS)
        with self._without_saving():
            self.native.setDecimals(decimals)
            self.step = max(10.0**-decimals, round(smallest / 2, decimals))
            self.native.setSuffix(f" {geometry.unit}")
            self.value = tolerance_for(geometry.spacing, chosen)
        self._geometry = geometry

    @contextmanager
    def _without_saving(self) -> Iterator[None]:
        before, self._is_saved = self._is_saved, False
        try:
            yield
        finally:
            self._is_saved = before

    def _on_value(self, value: float) -> None:
        if self._geometry is not None and self._is_saved:
            known = load_preference(_TOLERANCE_KEY)
            saved = known if isinstance(known, dict) else {}
            save_preference(_TOLERANCE_KEY, {**saved, _key(self._geometry): value})
        self._session.tolerance = value

    def _follow(self, tolerance: float) -> None:
        if self.value != round(tolerance, self.native.decimals()):
            with self._without_saving():
                self.value = tolerance


class HiddenErrorsButton(PushButton):
    """Lists what the tolerance hides, and hides it again; there only while there is something to show or to hide.

    The tolerance that is remembered stays as it is.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    """

    def __init__(self, session: InspectionSession) -> None:
        super().__init__(tooltip="List also what is nowhere deeper than the tolerance, to look at it once.")
        self._session = session
        self._before: float | None = None  # the tolerance while everything is listed
        self.clicked.connect(self._on_click)
        session.events.errors.connect(self._show_state)
        self._show_state()

    def _on_click(self) -> None:
        errors = self._session.errors
        if errors is None:
            return
        if errors.n_hidden:
            self._before, self._session.tolerance = errors.tolerance, 0.0
        elif self._before is not None:
            self._session.tolerance = self._before

    def _show_state(self, _errors: Any = None) -> None:
        errors = self._session.errors
        if errors is None or errors.tolerance:
            self._before = None
        if errors is not None and errors.n_hidden:
            self.text = show_hidden_text(errors.n_hidden)
        elif errors is not None and self._before is not None:
            self.text = f"Hide what is not deeper than {self._before:g} {errors.geometry.unit}"
        self.visible = errors is not None and bool(errors.n_hidden or self._before is not None)


def _key(geometry: Geometry) -> str:
    return " ".join(f"{size:.6g}" for size in geometry.spacing) + (" voxels" if not geometry.is_calibrated else "")
