"""No module reads a file from outside past the checks: each call that reads is listed here with what makes it safe.

`napari_unet3d.text_files` reads JSON, YAML, TOML and CSV, and opens regular files only; `data.opening` does so for
volumes, `data.array_archive` for the package's own archives, `model.tensor_file`, `model.weights_archive`,
`model.exported` and `model.bioimageio` for models.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_unet3d

PACKAGE = Path(napari_unet3d.__file__).parent

READS = frozenset(
    "open fdopen FileIO read_text read_bytes load loads fromstring XML parse iterparse xml2dict reader DictReader "  # noqa: SIM905
    "memmap fromfile loadtxt genfromtxt safe_open load_file load_safetensors model_validate_json ZipFile "
    "TarFile unpack_archive "
    "Unpickler PyTorchFileReader File TiffFile read_ndtiff_index imread LifFile ND2File CziFile open_group open_array "
    "ImageFileReader ImageOpener decompressobj GzipFile safe_load SafeLoader literal_eval".split()
)
"""Calls by their last name that read a file or parse what was in one."""

_OPENS_NO_FILE = re.compile(r"self(\.|$)|stored$|.*session$")

_CHECKED_BY_OPENING = "data.opening has checked that the file is a regular one, and explains what its library raises"
_UNFINISHED = "plain numbers without pickles, in a folder beside a result, whose settings were compared before"
_OWN = "the package has written it itself, in this process or as a temporary file"

ALLOWED = {
    "text_files.py": {
        "os.open": "the gate: regular files only",
        "os.fdopen": "of what the gate has opened",
        "json.loads": "the gate: limits follow",
        "tomllib.loads": "the gate: limits before and after",
        "yaml.SafeLoader": "the gate: limits before and after",
        "csv.DictReader": "the gate: limits follow",
    },
    "data/array_archive.py": {
        "os.fdopen": "of what the gate has opened",
        "np.load": "the gate: without pickles; sizes and headers are checked before an array is read",
        "arrays.zip.open": "to check the header of an array",
    },
    "data/formats/czi.py": {"czifile.CziFile": _CHECKED_BY_OPENING},
    "data/formats/hdf5.py": {"h5py.File": _CHECKED_BY_OPENING},
    "data/formats/hdf5_layouts.py": {"ElementTree.fromstring": "text of read_limited; expat limits entities"},
    "data/formats/itk.py": {"itk.ImageFileReader": _CHECKED_BY_OPENING + "; itk_header and mrc_header check first"},
    "data/formats/itk_header.py": {
        "path.read_bytes": _OWN,
        "path.open": _CHECKED_BY_OPENING,
        "file.open": "the file itself, or one that file_beside has checked",
        "zlib.decompressobj": "in chunks that are not kept",
    },
    "data/formats/microscopes.py": {
        "liffile.LifFile": _CHECKED_BY_OPENING,
        "nd2.ND2File": _CHECKED_BY_OPENING,
        "czifile.CziFile": _CHECKED_BY_OPENING,
        "ElementTree.fromstring": _CHECKED_BY_OPENING + "; expat limits entities",
    },
    "data/formats/mrc_header.py": {"path.open": _CHECKED_BY_OPENING},
    "data/formats/nifti.py": {
        "nibabel.load": _CHECKED_BY_OPENING + "; nifti_header checks first",
        "ImageOpener": _CHECKED_BY_OPENING,
    },
    "data/formats/nifti_header.py": {"ImageOpener": _CHECKED_BY_OPENING},
    "data/formats/npy.py": {
        "np.load": _CHECKED_BY_OPENING + "; npy_header checks first",
        "path.open": _CHECKED_BY_OPENING,
    },
    "data/formats/npz.py": {
        "zipfile.ZipFile": _CHECKED_BY_OPENING,
        "archive.open": "npy_header reads the header within limits",
        "np.load": _CHECKED_BY_OPENING + "; headers and sizes were checked",
    },
    "data/formats/ome_levels.py": {"zarr.open": _CHECKED_BY_OPENING + ", a level of it at least; metadata only"},
    "data/chunk_cache.py": {"load": "the function that the caller passes; of what data.opening has opened"},
    "data/lazy_volumes.py": {"opened.stored.load": "a part of what data.opening has opened"},
    "inference/blockwise/fragments.py": {"np.load": _UNFINISHED, "temporary.open": "for writing"},
    "inference/blockwise/ngff.py": {
        "zarr.open_array": _UNFINISHED,
        "zarr.open_group": "for writing; of an image that data.opening has checked",
    },
    "inference/blockwise/object_files.py": {"path.open": "for writing"},
    "inference/blockwise/scoring/surface_points.py": {"np.load": "written by the same process"},
    "inference/evaluation_volumes.py": {"np.load": "written by a worker of the same evaluation"},
    "inference/blockwise/stitching.py": {"path.open": "for writing", "np.memmap": _UNFINISHED},
    "inference/blockwise/unfinished.py": {
        "self._path.read_bytes": _UNFINISHED,
        "FileIO": "opened for reading and writing, which does not wait for a pipe",
    },
    "data/formats/ome_zarr.py": {
        "zarr.open": _CHECKED_BY_OPENING + "; zarr_files checks the files in the folder first",
        "zarr.open_group": "for writing",
    },
    "data/formats/compressed_blocks.py": {
        "path.open": "after zarr_files has checked that it is a regular file",
        "zlib.decompressobj": "in chunks that are not kept",
    },
    "data/formats/slices.py": {
        "tifffile.TiffFile": "regular files only; tiff_files checks which others it names",
        "Image.open": "regular files only",
    },
    "data/formats/tiff.py": {"tifffile.TiffFile": _CHECKED_BY_OPENING + "; tiff_files checks which others it names"},
    "data/formats/tiff_content.py": {
        "tifffile.TiffFile": "after check_is_regular; series, for which other files are opened, are not read",
        "ElementTree.fromstring": "tifffile has parsed it before; expat limits entities",
    },
    "data/formats/tiff_files.py": {
        "ElementTree.fromstring": "expat limits entities",
        "tifffile.read_ndtiff_index": "after file_beside",
    },
    "data/formats/tiff_geometry.py": {"tifffile.xml2dict": "tifffile has parsed it before; expat limits entities"},
    "data/memmap.py": {"np.load": _OWN},
    "cgroups.py": {
        "(root / 'proc/self/cgroup').read_text": "a file of the system",
        "path.read_text": "a file of the system",
        "path.with_name('cpu.cfs_period_us').read_text": "a file of the system",
    },
    "memory.py": {
        "each.read_text": "a file of the system",
        "(folder / 'memory.stat').read_text": "a file of the system",
    },
    "data/formats/content.py": {"os.fdopen": "of what the gate has opened; the first bytes only"},
    "data/replacing.py": {"beside.open": "written, not read"},
    "doctor.py": {"json.loads": "the output of a process of the package itself"},
    "cli/app.py": {"os.open": "the null device"},
    "cli/json_lines.py": {"os.fdopen": "standard input, of which lines are compared with three commands"},
    "evaluation/meshes/mesh_files.py": {"path.open": "for writing"},
    "evaluation/object_filter.py": {"ast.parse": "what the user types; only comparisons are allowed, and none is run"},
    "model/architectures/base.py": {"json.loads": _OWN + ", the line before"},
    "export/bioimageio_description.py": {"path.open": _OWN + "; for its hash"},
    "export/comparison.py": {"torch.load": _OWN + "; to check it"},
    "export/monai_format.py": {"nibabel.load": _OWN + "; to check it"},
    "export/torch_format.py": {"torch.export.load": _OWN + "; to check it"},
    "training/processes.py": {"Plan.model_validate_json": "what the first of the processes that train together sends"},
    "model/qim3d.py": {"os.fdopen": "of what the gate has opened"},
    "evaluation/rois/export.py": {"zipfile.ZipFile": "for writing"},
    "model/bioimageio/known_networks.py": {"json.loads": _OWN + ", in the same line, of what text_files has checked"},
    "model/bioimageio/package.py": {
        "os.fdopen": "of what the gate has opened",
        "zipfile.ZipFile": "what is read of it is limited, and nothing is unpacked",
        "archive.open": "as many bytes as are allowed",
    },
    "model/bioimageio/reading.py": {"load_safetensors": "arrays only, of a file whose size was checked"},
    "model/exported/reading.py": {"os.fdopen": "of what the gate has opened"},
    "model/weights_archive.py": {
        "zipfile.ZipFile": "its directory only",
        "torch._C.PyTorchFileReader": "for the pickle, whose size was checked, and which pickle_check follows",
        "torch.load": "weights only, after pickle_check",
    },
    "model/tensor_file.py": {
        "safetensors.safe_open": "after open_regular",
        "header_type.model_validate_json": "with parse_json; pydantic limits the depth",
    },
    "runs/lock_file.py": {"Holder.model_validate_json": "at most 64 KiB; numbers are limited by the model"},
    "runs/snapshot_files.py": {
        "json.loads": _OWN,
        "zipfile.ZipFile": "for writing",
        "archive.open": "for writing",
    },
    "runs/snapshots.py": {"SnapshotManifest.model_validate_json": "after read_limited and parse_json"},
    "session/launchers.py": {"log.open": "for writing"},
    "session/recent_runs.py": {"safetensors.safe_open": "regular files only; of its header, parse_json reads the text"},
    "session/subprocess_training.py": {
        "errors.open": _OWN,
        "errors.read_text": _OWN,
        "load": "a line of the process that it has started",
    },
    "training/event_json.py": {"json.loads": "a line of a process that the package has started; losses may be NaN"},
    "training/run_lock.py": {"FileIO": "opened for reading and writing, which does not wait for a pipe"},
    "widgets/start/dock.py": {"self.viewer.open": "napari asks the reader of the package"},
}
"""For each module the calls in it that read, each with what makes it safe."""


def _calls(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            owner, _, last = name.rpartition(".")
            is_other = last in ("open", "load") and _OPENS_NO_FILE.match(owner) and "viewer" not in owner
            if last in READS and not is_other:
                yield node.lineno, name


def test_every_call_that_reads_is_known() -> None:
    unknown = [
        f"{path.relative_to(PACKAGE).as_posix()}:{line} calls {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, name in _calls(path.read_text(encoding="utf-8"))
        if name not in ALLOWED.get(path.relative_to(PACKAGE).as_posix(), {})
    ]
    assert not unknown, "read it with napari_unet3d.text_files, or say in ALLOWED what makes it safe"


def test_what_is_listed_still_exists() -> None:
    listed = {(module, name) for module, names in ALLOWED.items() for name in names}
    found = {(module, name) for module in ALLOWED for _, name in _calls((PACKAGE / module).read_text(encoding="utf-8"))}
    assert listed == found


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.load(open('a.json'))",
        "Path('a').read_text()",
        "import numpy as np\nnp.load('a.npy')",
        "import pickle\npickle.loads(b'')",
        "import torch\ntorch.load('a.pth')",
        "with path.open('rb') as file: pass",
        "import csv\ncsv.reader(file)",
        "from json import loads\nloads('1')",
    ],
)
def test_a_call_that_reads_is_noticed(source: str) -> None:
    assert list(_calls(source))


def test_volumes_are_opened_in_one_place() -> None:
    """No module but data.opening calls what formats read with, so that its checks come first."""
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and re.search(r"format\.(read|volumes)$", ast.unparse(node.func))
    }
    assert callers == {"data/opening.py"}
