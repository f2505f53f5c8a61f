"""The README's PyTorch code runs as it is written, and MONAI's class takes the weights that it saves."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_network_runs_in_other_code(
    binary_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"<!-- example: network in PyTorch -->\n```python\n(.*?)```", README, re.DOTALL)
    shutil.copytree(binary_run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    variables = {"volume": np.random.default_rng(0).integers(0, 99, (1, 4, 8, 12)).astype(np.uint8)}

    exec(compile(code, "README.md", "exec"), variables)

    first, build = capsys.readouterr().out.splitlines()
    assert first == "(1, 4, 8, 12) (1, 2, 2)"
    again: dict[str, torch.nn.Module] = {}
    exec(build, again)
    again["network"].load_state_dict(torch.load("weights.pt", weights_only=True))
    tile = torch.from_numpy(np.asarray(variables["image"]))[None]
    with torch.inference_mode():
        torch.testing.assert_close(again["network"].eval()(tile).sigmoid()[0], variables["probability"])
