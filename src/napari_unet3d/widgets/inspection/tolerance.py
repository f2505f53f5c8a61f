"""The box for the depth up to which errors are boundary noise."""

from __future__ import annotations

from math import ceil, hypot

from qtpy.QtWidgets import QDoubleSpinBox

from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.widgets.kit.memory import recall, remember

_KEY = "inspect-tolerance"


class ToleranceBox(QDoubleSpinBox):
    """A depth in µm, by default that of a corner of one voxel; what a person chose is kept for voxels of that size."""

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, 1e6)
        self.setDecimals(2)
        self.setSuffix(" µm")
        self.setKeyboardTracking(False)
        self.setToolTip(
            "<qt>Errors that never go deeper than this are hidden as boundary noise, and noise that joins deeper "
            "errors is cut away; what is missed or extra as a whole is hidden only if it is no longer than twice this. "
            "0 shows every wrong voxel. At first it is the diagonal of one voxel.</qt>"
        )
        self._voxel_size_um: VoxelSize | None = None
        self.valueChanged.connect(self._keep)

    def suit(self, voxel_size_um: VoxelSize) -> None:
        """Take what is kept for voxels of a size, or what suits them, unless the box is for such voxels already."""
        if voxel_size_um == self._voxel_size_um:
            return
        self._voxel_size_um = None  # so that nothing is kept yet
        known = recall(_KEY)
        kept = known.get(_words(voxel_size_um)) if isinstance(known, dict) else None
        tolerance_um = kept if isinstance(kept, float | int) else ceil(100 * hypot(*voxel_size_um)) / 100
        self.setSingleStep(max(0.01, round(min(voxel_size_um) / 2, 2)))
        self.setValue(tolerance_um)
        self._voxel_size_um = voxel_size_um

    def _keep(self, value: float) -> None:
        if self._voxel_size_um is not None:
            known = recall(_KEY)
            remember(_KEY, {**(known if isinstance(known, dict) else {}), _words(self._voxel_size_um): value})


def _words(voxel_size_um: VoxelSize) -> str:
    return " ".join(f"{size:.6g}" for size in voxel_size_um)
