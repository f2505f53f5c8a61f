"""The script for docks in the README (``example: docks``), run as it is written there."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"<!-- example: docks -->\s*```python\n(.*?)```", re.DOTALL)

# The test's own viewer and folder, smaller volumes with fewer objects, and fewer epochs.
SMALL = "; ".join(
    f"generate.settings.{name}.value = {value}"
    for name, value in {
        "shape": (24, 28, 32), "object_shape_min": (8, 8, 8), "object_shape_max": (10, 10, 10), "objects": 3
    }.items()
)  # fmt: skip
REDUCED = {
    "viewer = napari.Viewer()": "",
    "generate.settings.objects.value = 10": SMALL,
    "epochs.value = 5": "epochs.value = 2",
}


def test_the_script_for_docks_generates_trains_and_predicts(viewer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = BLOCK.search(README.read_text(encoding="utf-8"))[1]
    for written, reduced in REDUCED.items():
        assert script.count(written) == 1, f"{written} is not in the script any more"
        script = script.replace(written, reduced)
    names = {"viewer": viewer}
    exec(compile(script, "README.md", "exec"), names)
    train, predict = names["train"], names["predict"]
    assert train.run.n_epochs_done == 2
    assert train.run.finished is not None, train.message.text()
    assert predict.results.table.names == ["6"]
    assert any(layer.name.endswith("difference") for layer in viewer.layers)
