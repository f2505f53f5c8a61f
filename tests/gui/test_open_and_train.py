"""Files as they come from microscopes and other tools: opened by napari with the right scale, and trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Labels

from microscope_files import write_lif, write_nd2
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.widgets.viewer.from_layers import geometry_of

OURS = "napari-unet3d"
CZI = Path(__file__).parents[1] / "data" / "files" / "cells.czi"
SHAPE = (8, 12, 14)


def cell() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 60, SHAPE).astype(np.uint16)
    image[2:6, 3:8, 4:10] += 150
    return image


def two_channels() -> np.ndarray:
    return np.stack([cell(), cell()[::-1]])


def czi(folder: Path) -> Path:
    return Path(shutil.copy(CZI, folder / "cells.czi"))


def lif(folder: Path) -> Path:
    return write_lif(folder / "cells.lif", {"Series 1": two_channels()})


def nd2(folder: Path) -> Path:
    return write_nd2(folder / "cells.nd2", two_channels(), SHAPE[0])


def ilastik(folder: Path) -> Path:
    axes = ", ".join(f'{{"key": "{axis}", "typeFlags": {8 if axis == "t" else 2}}}' for axis in "zyxc")
    with h5py.File(folder / "cells.h5", "w") as file:
        data = file.create_dataset("exported_data", data=cell()[..., None])
        data.attrs["axistags"] = f'{{"axes": [{axes}]}}'
        data.attrs["element_size_um"] = (2.0, 0.5, 0.5)
    return folder / "cells.h5"


def slices(folder: Path) -> Path:
    (folder / "cells").mkdir()
    for number, plane in enumerate(cell(), start=8):  # z8, z9, z10 …: in the order of numbers, not of letters
        resolution = (2.0, 2.0)  # pixels per µm
        tifffile.imwrite(
            folder / "cells" / f"z{number}.tif", plane, imagej=True, resolution=resolution, metadata={"unit": "um"}
        )
    return folder / "cells"


def plate(folder: Path) -> Path:
    root = zarr.open_group(folder / "plate.zarr")
    wells, rows, columns = [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}], [{"name": "A"}], [{"name": "1"}]
    root.attrs["ome"] = {"version": "0.5", "plate": {"wells": wells, "rows": rows, "columns": columns}}
    root.create_group("A/1").attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
    write_volume(folder / "field.zarr", cell(), (2.0, 0.5, 0.5))
    (folder / "field.zarr").rename(folder / "plate.zarr" / "A" / "1" / "0")
    return folder / "plate.zarr"


@pytest.mark.filterwarnings("ignore:The voxel size")  # of slices, whose distance no file gives
@pytest.mark.parametrize(
    ("make", "scale", "channels"),
    [
        (czi, (2.0, 0.25, 0.5), ("DAPI", "GFP")),
        (lif, (2.0, 0.25, 0.5), ("Blue", "Green")),
        (nd2, (2.0, 0.5, 0.5), ("DAPI", "GFP")),
        (ilastik, (2.0, 0.5, 0.5), ()),
        (slices, (None, 0.5, 0.5), ()),
        (plate, (2.0, 0.5, 0.5), ()),
    ],
)
def test_it_opens_with_the_right_scale_and_trains(make, scale, channels, viewer, open_dock, wait_for_end, tmp_path):
    images = viewer.open(make(tmp_path), plugin=OURS)
    assert len(images) == max(1, len(channels))
    image = images[0]
    assert geometry_of(image).sizes == pytest.approx(scale)
    if None not in scale:
        assert tuple(image.scale) == pytest.approx(scale)
        assert str(image.units[-1]) == "micrometer"

    labels = Labels((image.data > 150).astype(np.uint8), name="labels", scale=image.scale, units=image.units)
    viewer.add_layer(labels)
    viewer.layers.selection = {image, labels}
    dock = open_dock("Train")
    dock.settings.epochs.value, dock.settings.val_fraction.value = 1, 0.0
    dock.run_folder.value = tmp_path / "run"
    assert wait_for_end(dock, dock.train, timeout=60_000).message is None

    model = load_checkpoint(tmp_path / "run")
    assert len(model.plan.channels or [""]) == max(1, len(channels))
    if None not in scale:
        assert model.voxel_size_um == pytest.approx(scale)
    else:
        assert model.voxel_size_um is None
