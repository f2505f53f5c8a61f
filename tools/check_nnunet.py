"""Run nnU-Net's own check of datasets on what `napari-unet3d dataset export` has written, in an environment of its own.

    .venv/bin/python tools/check_nnunet.py FOLDER...

Each folder is a dataset such as Dataset501_cells. nnunetv2 is installed apart, in `.venv-nnunet`; torch, SimpleITK and
others that it shares with this package are those of the Python that runs this. Besides the check of labels, shapes and
voxel sizes, the first case is read as nnU-Net reads it, and its voxel size is printed. The exit code is 1 if a dataset
does not pass.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from own_environment import python_with

_PACKAGE = "nnunetv2==2.8.1"
_TEST = """
import json
import sys
import traceback
from pathlib import Path

from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

failed = False
for folder in sys.argv[1:]:
    try:
        verify_dataset_integrity(folder, 2)
        description = json.loads(Path(folder, "dataset.json").read_text(encoding="utf-8"))
        files = next(iter(get_filenames_of_train_images_and_targets(folder, description).values()))
        reader = determine_reader_writer_from_dataset_json(description, files["images"][0], verbose=False)
        image, about = reader().read_images(files["images"])
        spacing = [float(size) for size in about["spacing"]]
        print(f"{folder}: passed; {reader.__name__} reads shape {image.shape}, spacing {spacing}")
    except (AssertionError, RuntimeError, OSError):
        failed = True
        traceback.print_exc()
        print(f"{folder}: failed")
sys.exit(failed)
"""


def main(folders: list[str]) -> int:
    """Set up the environment, check each dataset, and return the exit code."""
    if not folders:
        sys.exit(__doc__)
    torch = f"torch=={version('torch').partition('+')[0]}"  # so that pip does not install another one
    python = python_with(".venv-nnunet", _PACKAGE, torch)
    return subprocess.run([python, "-c", _TEST, *folders], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
