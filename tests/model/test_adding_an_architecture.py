"""The worked example of the documentation adds a network with one new file and one new line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import napari_unet3d
from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.synthetic.dataset import generate

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "adding_an_architecture.md"


def test_the_example_trains_and_predicts_from_the_command(tmp_path: Path) -> None:
    package = tmp_path / "copy" / "napari_unet3d"
    shutil.copytree(Path(napari_unet3d.__file__).parent, package)
    module, line = re.findall(r"```python\n(.*?)```", EXAMPLE.read_text(encoding="utf-8"), re.DOTALL)
    (package / "model" / "architectures" / "plainunet.py").write_text(module, encoding="utf-8")
    enums = package / "configs" / "training_enums.py"
    content = enums.read_text(encoding="utf-8")
    anchor = '    DYNUNET = ("dynunet", "DynUNet")\n'
    assert content.count(anchor) == 1
    enums.write_text(content.replace(anchor, anchor + line), encoding="utf-8")

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(package.parent)}
        program = [sys.executable, "-m", "napari_unet3d", *map(str, command)]
        done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    size = {"objects": 3, "shape": (16, 20, 24), "object_shape_min": (7, 7, 7), "object_shape_max": (9, 9, 9)}
    for _ in generate(tmp_path / "data", SyntheticConfig(**size), n_train=2, n_test=1):
        pass
    trained = run("train", "data", "--run", "run", "--epochs", 1, "--architecture", "plainunet", "--preset", "xsmall")
    assert "Plain U-Net xsmall (16, 32 channels)" in trained.stderr
    run("train", "data", "--run", "tuned", "--epochs", 1, "--start-from", "run", "--task", "semantic")
    run("predict", "tuned", next((tmp_path / "data" / "test" / "images").iterdir()), "--out", "out")
    assert any((tmp_path / "out").iterdir())
