"""The package as a Python library: light to import, complete, typed and documented."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys

import pytest

import napari_unet3d
from napari_unet3d.configs import Config

FUNCTIONS = [
    "evaluate",
    "export_meshes",
    "export_model",
    "export_rois",
    "generate",
    "generate_volume",
    "list_volumes",
    "predict",
    "read_image",
    "read_volume",
    "train",
    "write_volume",
]
CONFIGS = ["EvaluationConfig", "ExportConfig", "MeshConfig", "PredictionConfig", "SyntheticConfig", "TrainingConfig"]


def in_a_new_process(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"torch", "monai", "napari", "qtpy", "magicgui", "scipy", "skimage", "matplotlib", "zarr"}
    loaded = in_a_new_process("import sys, napari_unet3d; dir(napari_unet3d); print(*sys.modules)").split()
    assert not heavy & set(loaded)


@pytest.mark.parametrize("order", [1, -1])
def test_functions_are_not_shadowed_by_modules_in_any_order_of_imports(order: int) -> None:
    names = FUNCTIONS[::order]
    program = (
        "import napari_unet3d.training.loop, napari_unet3d.inference.predict, napari_unet3d.data.synthetic.generate\n"
        f"from napari_unet3d import {', '.join(names)}\n"
        f"print(all(callable(each) for each in ({', '.join(names)})))"
    )
    assert in_a_new_process(program).strip() == "True"
    modules = {module.name for module in pkgutil.iter_modules(napari_unet3d.__path__)}
    assert not modules & set(napari_unet3d.__all__)


def test_all_names_are_there() -> None:
    assert set(napari_unet3d.__all__) == {*FUNCTIONS, *CONFIGS, "Sample", "UserError"}
    assert dir(napari_unet3d) == sorted(napari_unet3d.__all__)
    for name in napari_unet3d.__all__:
        assert getattr(napari_unet3d, name).__name__ == name
    with pytest.raises(AttributeError, match="trian"):
        napari_unet3d.trian  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_typed_and_document_each_parameter(name: str) -> None:
    function = getattr(napari_unet3d, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    documented = inspect.getdoc(function) or ""
    for heading in ("Parameters\n-", "Raises\n-"):
        assert heading in documented
    if signature.return_annotation not in ("None", None):
        assert "Yields\n-" in documented or "Returns\n-" in documented
    section = documented.partition("Parameters\n")[2]
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert any(parameter.name in line.partition(" : ")[0].split(", ") for line in section.splitlines()), parameter


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_describe_each_field(name: str) -> None:
    config: type[Config] = getattr(napari_unet3d, name)
    for field, info in config.model_fields.items():
        assert info.description, field
        assert info.description.endswith((".", "odd.")), field
