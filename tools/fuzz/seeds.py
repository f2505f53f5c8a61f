"""Tiny sound files of every kind that the package reads, most of them written by the package itself."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (6, 10, 12)
IMAGE = "volume"
Tree = dict[str, bytes]
"""The files of a seed by their paths in its folder."""


def make_seeds(folder: Path) -> dict[str, list[Tree]]:
    """Return the seeds of each reader of `readers.READERS`.

    Parameters
    ----------
    folder : Path
        An empty folder to work in.
    """
    volumes = [_tree(each) for each in _volumes(folder / "volumes")]
    run, dataset = _run(folder / "run"), folder / "run" / "dataset"
    return {
        "predict": volumes,
        "labels": volumes,
        "check": [_tree(dataset)],
        "model": [_tree(run, "model.safetensors")],
        "pth": list(_qim3d(folder / "pth")),
        "resume": [_tree(run, "*.*")],
        "report": [_tree(run, "*.json", "*.csv", "evaluation/*.json", "evaluation/*.csv", "evaluation/errors/*")],
        "snapshots": [_tree(run, "snapshots/*")],
        "settings": list(_settings()),
        "notes": [{"notes.json": json.dumps(_notes()).encode()}],
        "preferences": [_preferences(run)],
        "annotation": [_annotation(folder / "annotation")],
        "evaluate_predictions": [_tree(dataset) | _predictions(run)],
    }


def _tree(folder: Path, *patterns: str) -> Tree:
    found = {path for pattern in patterns or ("**/*",) for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(found)}


def _array(dtype: str = "uint8") -> np.ndarray[Any, Any]:
    values = np.random.default_rng(0).integers(0, 40, SHAPE)
    values[2:4, 3:7, 4:9] += 60
    return values.astype(dtype)


def _volumes(folder: Path) -> Iterator[Path]:
    """Write volumes in all formats, each in a folder of its own."""
    from napari_unet3d import write_volume
    from napari_unet3d.data.geometry import Geometry

    geometry = Geometry((2.0, 0.5, 0.25), origin=(3.0, 4.0, 5.0))
    for suffix in (".tif", ".ome.tif", ".nii", ".nii.gz", ".npy", ".zarr", ".h5", ".nrrd", ".mha", ".mrc"):
        place = Geometry((2.0, 0.5, 0.25)) if "tif" in suffix else geometry
        for number, kind in enumerate(("uint8", "float32")):
            target = folder / f"{suffix}-{number}" / f"{IMAGE}{suffix}"
            write_volume(target, _array(kind), geometry=place)
            yield target.parent
        if suffix in (".ome.tif", ".nii.gz", ".npy", ".zarr", ".h5", ".nrrd"):
            target = folder / f"{suffix}-channels" / f"{IMAGE}{suffix}"
            write_volume(target, np.stack([_array(), _array()]), geometry=place, channel_names=("DAPI", "GFP"))
            yield target.parent
    yield from _of_other_software(folder)
    yield from _of_microscopes(folder)


def _of_other_software(folder: Path) -> Iterator[Path]:
    import h5py
    import SimpleITK
    import tifffile
    import zarr
    from PIL import Image

    def new(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    image = SimpleITK.GetImageFromArray(_array("uint16"))
    for suffix in (".mhd", ".mha", ".nrrd", ".nhdr"):
        SimpleITK.WriteImage(image, str(new(f"compressed{suffix}") / f"{IMAGE}{suffix}"), suffix != ".mhd")
        yield folder / f"compressed{suffix}"
    for compression in ("zlib", "zstd", "lzw", "jpeg2000", "png"):
        tifffile.imwrite(new(compression) / f"{IMAGE}.tif", _array("uint16"), compression=compression)
        yield folder / compression
    tifffile.imwrite(new("tiles") / f"{IMAGE}.tif", _array(), tile=(16, 16), bigtiff=True)
    yield folder / "tiles"
    with tifffile.TiffWriter(new("files") / f"{IMAGE}.ome.tif", ome=True) as file:
        file.write(_array(), metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "TimeIncrement": 2.0})
        file.write(_array()[:1], metadata={"axes": "ZYX"})
    yield folder / "files"
    np.savez_compressed(new("npz") / f"{IMAGE}.npz", raw=_array())
    yield folder / "npz"
    for kind in (".png", ".tif"):
        slices = new(f"slices{kind}") / IMAGE
        slices.mkdir()
        for number, plane in enumerate(_array()):
            Image.fromarray(plane).save(slices / f"z{number}{kind}")
        yield slices.parent
    for version in (2, 3):
        group = zarr.open_group(new(f"zarr{version}") / f"{IMAGE}.zarr", mode="w", zarr_format=version)
        group.create_array("volumes/raw", data=_array(), chunks=(3, 5, 6)).attrs["resolution"] = [2.0, 1.0, 1.0]
        yield folder / f"zarr{version}"
    with h5py.File(new("ilastik") / f"{IMAGE}.h5", "w") as file:
        data = file.create_dataset("exported_data", data=_array()[..., None], compression="gzip")
        data.attrs["axistags"] = json.dumps({"axes": [{"key": key, "resolution": 1.0} for key in "zyxc"]})
    yield folder / "ilastik"
    with h5py.File(new("imaris") / f"{IMAGE}.ims", "w") as file:
        channel = file.create_group("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0")
        channel["Data"] = _array()
        channel.attrs.update({f"ImageSize{axis}": np.bytes_(str(n)) for axis, n in zip("ZYX", SHAPE, strict=True)})
        file.create_group("DataSetInfo/Image").attrs.update({"Unit": "um", "ExtMin0": "0", "ExtMax0": "12"})
    yield folder / "imaris"
    with h5py.File(new("bdv") / f"{IMAGE}.h5", "w") as file:
        file["s00/resolutions"], file["t00000/s00/0/cells"] = [[1.0] * 3], _array("int16")
    view = "<ViewSetup><id>0</id><voxelSize><unit>um</unit><size>1 2 3</size></voxelSize></ViewSetup>"
    (folder / "bdv" / f"{IMAGE}.xml").write_text(
        f"<SpimData><SequenceDescription><ViewSetups>{view}</ViewSetups></SequenceDescription></SpimData>"
    )
    yield folder / "bdv"


def _of_microscopes(folder: Path) -> Iterator[Path]:
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from microscope_files import write_lif, write_nd2

    channels = np.stack([_array("uint16"), _array("uint16")])
    for suffix in (".lif", ".nd2"):
        (folder / suffix).mkdir()
    write_lif(folder / ".lif" / f"{IMAGE}.lif", {"a": channels})
    write_nd2(folder / ".nd2" / f"{IMAGE}.nd2", channels, SHAPE[0])
    yield from (folder / suffix for suffix in (".lif", ".nd2"))


def samples(names: str) -> list[Any]:
    """Return volumes with labels, one for each letter."""
    from napari_unet3d import Sample

    labels = (_array() > 50).astype(np.uint8)
    return [Sample(name, _array(), labels, (2.0, 0.5, 0.25)) for name in names]


def training_config() -> Any:
    """Return the settings of the smallest training."""
    from napari_unet3d import TrainingConfig

    return TrainingConfig(preset="xxsmall", epochs=2, device="cpu", save_snapshots=True, augmentation="none")


def _run(folder: Path) -> Path:
    """Train and evaluate on a dataset in the run folder."""
    from napari_unet3d import evaluate, train
    from napari_unet3d.data.dataset import Subset, add_sample
    from napari_unet3d.data.provenance import CorrectionRecord, Provenance

    for sample, subset in zip(samples("abc"), (Subset.TRAIN, Subset.TRAIN, Subset.TEST), strict=True):
        add_sample(folder / "dataset", sample, subset)
    list(train(samples("ab"), folder, training_config(), overwrite=True))
    list(evaluate(folder, folder / "dataset", out=folder / "evaluation"))
    origin = Provenance(volume="a", subset="train", corrections=(CorrectionRecord(kind="missed", number=1),))
    mask = np.ones(SHAPE, bool)
    (sample,) = samples("d")
    corrected = replace(sample, label_mask=mask, provenance=origin)
    add_sample(folder / "dataset", corrected, Subset.TRAIN)
    shutil.rmtree(folder / "evaluation" / "figures", ignore_errors=True)
    return folder


def _qim3d(folder: Path) -> Iterator[Tree]:
    """Save the weights of a network as qim3d does."""
    import torch

    from napari_unet3d.configs import TrainingConfig
    from napari_unet3d.model.network import build_network

    folder.mkdir()
    network = build_network(TrainingConfig(preset="xxsmall"))
    for content in (network.state_dict(), {"model_state_dict": network.state_dict(), "epoch": 3}):
        torch.save(content, folder / "model.pth")
        yield {"model.pth": (folder / "model.pth").read_bytes(), "model.pth.json": b'{"activation": "prelu"}'}


def _settings() -> Iterator[Tree]:
    from napari_unet3d.configs import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig

    for kind in (TrainingConfig, PredictionConfig, EvaluationConfig, SyntheticConfig):
        values = kind().model_dump(mode="json")
        yield {f"{kind.__name__}.json": json.dumps(values).encode()}
        lines = (f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None)
        yield {f"{kind.__name__}.toml": "\n".join(lines).encode()}
    yield {"positions.csv": b"z,y,x\n3,4,5\n1,2,3\n"}


def _notes() -> dict[str, Any]:
    box = [[1, 3], [2, 5], [0, 4]]
    errors = [{"kind": "missed", "position_zyx": [2, 3, 3], "box_zyx": box, "seen": True, "note": "thin"}]
    return {"volume": "a", "shape_zyx": list(SHAPE), "errors": errors}


def _preferences(run: Path) -> Tree:
    from napari_unet3d.configs import EvaluationConfig, TrainingConfig

    values = {
        "recent-runs": [str(run)],
        "last-training": {"run_folder": str(run), "dataset": None, "is_finished": False, "process": [1, 2.0]},
        "test": EvaluationConfig().model_dump(mode="json"),
        "train": TrainingConfig().model_dump(mode="json"),
    }
    return {f"{name}.json": json.dumps(value).encode() for name, value in values.items()}


def _annotation(folder: Path) -> Tree:
    from napari_unet3d.session.annotation_classes import AnnotationClasses
    from napari_unet3d.session.annotation_store import AnnotationSnapshot, save_annotation

    file = folder / "a-key" / "2026-01-01.npz"
    save_annotation(AnnotationSnapshot(1, file, "a", (_array() > 50).astype(np.uint8), AnnotationClasses(("cell",))))
    return {"2026-01-01.npz": file.read_bytes()}


def _predictions(run: Path) -> Tree:
    found = _tree(run, "evaluation/predictions/*")
    return {f"predictions/{Path(name).name}": content for name, content in found.items()}
