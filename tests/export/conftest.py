from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from napari_unet3d import ExportConfig, TrainingConfig, export_model
from napari_unet3d.cli.app import main
from napari_unet3d.configs import Task
from napari_unet3d.export.events import ExportEvent, ModelExported
from napari_unet3d.export.task import ExportTask
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.runs.history import EpochRecord

CLASSES = (LabelClass(value=1, name="wall"), LabelClass(value=5, name="lumen"))


def untrained(task: str, architecture: str = "unet", **plan: object) -> Checkpoint:
    """A tiny network with initial weights, with strides that differ between the axes."""
    names = {"class_names": ("wall", "lumen")} if task == "semantic" else {}
    config = TrainingConfig(preset="xxsmall", task=task, architecture=architecture, seed=3, **names)
    strides = ((1, 2, 2),) if architecture == "unet" else ((1, 2, 2), (2, 2, 2))
    classes = CLASSES if task == "semantic" else ()
    values = {"patch_zyx": (6, 16, 12), **plan}
    settled = Plan(task=Task(task), strides=strides, classes=classes, **values)
    network = build_network(config, settled)
    return Checkpoint(config, network.state_dict(), 1, plan=settled, voxel_size_um=(2.0, 0.5, 0.5))


@pytest.fixture(scope="session")
def task_for() -> Callable[..., ExportTask]:
    def make(task: str = "binary", **values: object) -> ExportTask:
        return ExportTask(untrained(task), ExportConfig(**values), Path("run"))

    return make


@pytest.fixture(scope="session")
def binary_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a network for one foreground."""
    run = tmp_path_factory.mktemp("runs") / "nuclei"
    save_checkpoint(run / "model.safetensors", untrained("binary"))
    return run


@pytest.fixture(scope="session")
def classes_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DynUNet for two classes in images with two channels; its patch is not a multiple of twice the stride."""
    path = tmp_path_factory.mktemp("models") / "classes.safetensors"
    plan = {"channels": ("dna", "membrane"), "patch_zyx": (6, 16, 12)}
    save_checkpoint(path, untrained("semantic", "dynunet", **plan))
    return path


@pytest.fixture(scope="session")
def as_onnx(binary_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the command has written."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    card = ["--name", "Nuclei", "--authors", "A. Person", "B. Person", "--license", "CC-BY-4.0"]
    with redirect_stdout(StringIO()) as printed:
        assert main(["export", str(binary_run), "--to", "onnx", "--out", str(folder), *card]) == 0
    assert printed.getvalue().startswith(f"{folder}: ONNX; its output differs by at most ")
    return folder


@pytest.fixture(scope="session")
def as_bundle(classes_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ExportConfig(license="MIT", authors=("A. Person",))
    *_, exported = export_model(classes_model, tmp_path_factory.mktemp("exported") / "b", "monai-bundle", config)
    return exported.folder


@pytest.fixture(scope="session")
def torch_events(classes_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ExportEvent]:
    """The events of an export to PyTorch."""
    return list(export_model(classes_model, tmp_path_factory.mktemp("exported") / "torch", "torch-export"))


@pytest.fixture(scope="session")
def as_torch(torch_events: list[ExportEvent]) -> Path:
    assert isinstance(torch_events[-1], ModelExported)
    return torch_events[-1].folder


@pytest.fixture(scope="session")
def as_bioimageio(binary_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model that was trained for two epochs, as far as its file says."""
    base = tmp_path_factory.mktemp("bioimageio")
    records = tuple(EpochRecord(epoch=n, train_loss=1 / n) for n in (1, 2))
    save_checkpoint(base / "run" / "model.safetensors", replace(load_checkpoint(binary_run), history=records))
    card = {"license": "CC-BY-4.0", "authors": ("A. Person", "B. Person")}
    config = ExportConfig(name="Nuclei: 3D/fast", citation="Person et al. 2026, doi:10.1234/abc.5.", **card)
    *_, exported = export_model(base / "run", base / "out", "bioimageio", config)
    return exported.folder
