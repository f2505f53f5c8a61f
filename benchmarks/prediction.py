"""Time prediction in overlapping tiles on the CPU: MONAI's `sliding_window_inference` and ours, interleaved.

Run it on a quiet machine:

    python benchmarks/prediction.py [--side 256] [--preset small] [--window 96] [--repeats 5]

Both run the same weights over the same tiles, two at a time, with an overlap of one half, and blend the probabilities
with the same Gaussian window. Ours differs in the optimised network (see `napari_unet3d.model.network`: weights
channels last, normalisation, activations and sums in place, and fast convolutions for few channels and a single output)
and in the blending (see `napari_unet3d.inference.tiling`). The peaks are in addition to volume and weights.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context

import numpy as np
import psutil
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from table import Row, in_turns, ratio, spread, table

from napari_unet3d.configs import Device, Preset, TrainingConfig
from napari_unet3d.inference.tile_grid import tile_grid
from napari_unet3d.inference.tiling import GaussianBlend, Tiling, gaussian_window
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, to_device

_OVERLAP, _TILES_PER_BATCH, _POLL_SECONDS = 0.5, 2, 0.002
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def make_monai(preset: Preset, window: int) -> Predict:
    """Return a function that predicts with MONAI and its unmodified network."""
    network = build_network(TrainingConfig(preset=preset)).eval()
    side = gaussian_window(window)
    weights = torch.from_numpy(np.multiply.outer(np.multiply.outer(side, side), side).astype(np.float32))

    def predict(volume: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            output = sliding_window_inference(
                torch.from_numpy(volume)[None, None],
                (window,) * 3,
                _TILES_PER_BATCH,
                lambda tiles: network(tiles).sigmoid(),
                overlap=_OVERLAP,
                mode="gaussian",
                roi_weight_map=weights,
            )
        assert isinstance(output, torch.Tensor)
        return output[0, 0].numpy()

    return predict


def make_ours(preset: Preset, window: int) -> Predict:
    """Return a function that predicts with our network and tiling."""
    hardware = choose_device(Device.CPU)
    network = to_device(build_network(TrainingConfig(preset=preset)).eval(), hardware)

    def predict(volume: NDArray[np.float32]) -> NDArray[np.float32]:
        z, y, x = volume.shape
        result = np.empty(volume.shape, np.float32)

        def on_slice(index: int, output: NDArray[np.float32]) -> None:
            result[index] = output[0]

        grid = tile_grid((z, y, x), (window,) * 3, _OVERLAP, (preset.total_stride,) * 3)
        tiling = Tiling(volume, grid, ((),), GaussianBlend(grid, 1, hardware.device), on_slice)
        with torch.inference_mode():
            while tiling.n_done < tiling.n_total:
                tiling.step(lambda tiles: network(tiles).sigmoid(), hardware.device, _TILES_PER_BATCH)
        return result

    return predict


_IMPLEMENTATIONS = {"MONAI": make_monai, "ours": make_ours}


def measure_peak(name: str, preset: Preset, side: int, window: int) -> int:
    """Predict once, in a separate process, and return by how many bytes its memory increases."""
    predict, volume, this = _IMPLEMENTATIONS[name](preset, window), make_volume(side), psutil.Process()
    before = this.memory_info().rss
    sizes, is_done = [before], threading.Event()

    def poll() -> None:
        while not is_done.wait(_POLL_SECONDS):
            sizes.append(this.memory_info().rss)

    thread = threading.Thread(target=poll)
    thread.start()
    predict(volume)
    is_done.set()
    thread.join()
    return max(sizes) - before


def make_volume(side: int) -> NDArray[np.float32]:
    """Return a random volume."""
    return np.random.default_rng(0).standard_normal((side,) * 3, dtype=np.float32)


def rows(side: int = 256, preset: Preset = Preset.SMALL, window: int = 96, repeats: int = 5) -> list[Row]:
    """Measure seconds, peak memory and the largest difference."""
    volume = make_volume(side)
    predictors = {name: make(preset, window) for name, make in _IMPLEMENTATIONS.items()}
    outputs: dict[str, NDArray[np.float32]] = {}

    def keep(name: str, predict: Predict) -> None:
        outputs[name] = predict(volume)

    seconds = in_turns({name: partial(keep, name, predict) for name, predict in predictors.items()}, repeats)
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {name: pool.apply(measure_peak, (name, preset, side, window)) / 2**20 for name in predictors}
    difference = float(abs(outputs["MONAI"] - outputs["ours"]).max())
    cells = {name: f"{spread(seconds[name])}, {peaks[name]:.0f} MiB" for name in predictors}
    times = ratio(seconds["MONAI"], seconds["ours"])
    what = f"predict {side}³ with {preset} in tiles of {window}³, overlap 0.5, largest difference {difference:.1e}"
    is_reached = times >= 1.5 and difference <= 1e-4
    return [Row(what, "MONAI", cells["ours"], cells["MONAI"], times, "≥ 1.5 ×, equal to within 1e-4", is_reached)]


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--preset", type=Preset, default=Preset.SMALL, choices=list(Preset))
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    sys.stdout.write(table(rows(given.side, given.preset, given.window, given.repeats)))


if __name__ == "__main__":
    main()
