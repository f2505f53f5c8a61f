"""Check both directions with bioimageio.core, in an environment of its own; the exit code is 1 if one does not pass.

    .venv/bin/python tools/check_bioimageio.py FOLDER...
    .venv/bin/python tools/check_bioimageio.py --read

With folders of models that were exported for bioimage.io, `bioimageio.core.test_model` runs each kind of weights on the
example of the model and on other sizes. With --read, the library of bioimage.io makes packages, and what
bioimageio.core and this program predict with them is compared.

bioimageio.core pins versions that clash with others, so it is installed apart, in `.venv-bioimageio`; onnxruntime,
torch and monai are those of the Python that runs this.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from own_environment import python_with

from napari_unet3d import Sample, predict

_MOST_DIFFERENT = 1e-5  # of probabilities
_PACKAGE = "bioimageio.core==0.11.0"
_TEST = """
import sys
from bioimageio.core import test_model

failed = False
for rdf in sys.argv[1:]:
    for weights in ("onnx", "pytorch_state_dict"):
        summary = test_model(rdf, weight_format=weights)
        failed |= summary.status != "passed"
        print(f"{rdf}, {weights}: {summary.status}")
        if summary.status != "passed":
            print(summary.format())
sys.exit(failed)
"""


def main(folders: list[str]) -> int:
    """Set up the environment, test each model, and return the exit code."""
    if not folders:
        sys.exit(__doc__)
    python = python_with(".venv-bioimageio", _PACKAGE)
    if folders == ["--read"]:
        return compare_packages(python)
    files = [str(Path(folder, "rdf.yaml")) for folder in folders]
    return subprocess.run([python, "-c", _TEST, *files], check=False).returncode


def compare_packages(python: Path) -> int:
    """Predict with packages of others as bioimageio.core does, print the differences, and return the exit code."""
    failed = False
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "packages")
        subprocess.run([python, Path(__file__).with_name("check_bioimageio_packages.py"), folder], check=True)
        for package in sorted(folder.glob("*.zip")):
            image, expected = (np.load(folder / f"{package.stem}_{each}.npy") for each in ("image", "expected"))
            for weights in _unpack_each(package, folder / package.stem):
                *_, found = predict(weights, Sample(package.stem, image))
                difference = float(np.abs(found.probability - expected).max())
                failed |= not difference <= _MOST_DIFFERENT
                sys.stdout.write(f"{package.stem}, {weights.name}: differs from bioimageio.core by {difference:.1e}\n")
    return int(failed)


def _unpack_each(package: Path, folder: Path) -> list[Path]:
    """Unpack a package once for each kind of weights, of which the others are removed from the description."""
    folders = []
    with zipfile.ZipFile(package) as archive:
        (name,) = (each for each in archive.namelist() if each in ("rdf.yaml", "bioimageio.yaml"))
        about = yaml.safe_load(archive.read(name))
        for kind, entry in about["weights"].items():
            archive.extractall(folder / kind)
            text = yaml.safe_dump(about | {"weights": {kind: entry}})
            (folder / kind / name).write_text(text, encoding="utf-8")
            folders.append(folder / kind)
    return folders


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
