"""Run `bioimageio.core.test_model` on models that were exported for bioimage.io, in an environment of its own.

    .venv/bin/python tools/check_bioimageio.py FOLDER...

bioimageio.core pins versions that clash with others, so it is installed apart, in `.venv-bioimageio`; onnxruntime,
torch and monai are those of the Python that runs this. Each kind of weights is run on the example of the model and on
other sizes; the exit code is 1 if one does not pass.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from own_environment import python_with

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
    files = [str(Path(folder, "rdf.yaml")) for folder in folders]
    return subprocess.run([python, "-c", _TEST, *files], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
