"""A MONAI bundle: weights as a state dictionary, and the configuration of their network and of the inference."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from napari_unet3d import __version__
from napari_unet3d.configs import ExportFormat, Task
from napari_unet3d.data.sample import format_shape
from napari_unet3d.errors import UserError
from napari_unet3d.export.comparison import (
    Run,
    checked_difference,
    example_input,
    own_output,
    run_of_weights,
    volume_grid,
)
from napari_unet3d.export.description import not_in_the_file
from napari_unet3d.export.documentation import PAGE_FILE, page
from napari_unet3d.export.model_format import ModelFormat
from napari_unet3d.export.monai_config import inference, library_class
from napari_unet3d.export.saving import save_weights
from napari_unet3d.export.task import ExportTask
from napari_unet3d.files import format_json
from napari_unet3d.transforms.normalise import normalise

MODEL_FILE = "models/model.pt"
_CONFIG, _METADATA = "configs/inference.json", "configs/metadata.json"
_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_NOT_GIVEN = "not given"


def check(task: ExportTask) -> None:
    """Raise a `UserError` if MONAI does not have the network."""
    if library_class(task) is None:
        architecture = task.checkpoint.config.architecture.label
        raise UserError(f"MONAI has no network {architecture}. Choose the format onnx or torch-export.")


def write(task: ExportTask, folder: Path) -> None:
    """Write weights and configurations."""
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(exist_ok=True)
    save_weights(task.network.state_dict(), folder / MODEL_FILE)
    (folder / _CONFIG).write_text(format_json(inference(task)), encoding="utf-8")
    (folder / _METADATA).write_text(format_json(metadata(task)), encoding="utf-8")
    if task.config.license:
        text = f"{task.name} is passed on under the licence {task.config.license}.\n"
        (folder / "LICENSE").write_text(text, encoding="utf-8")


def metadata(task: ExportTask) -> dict[str, Any]:
    """Return what the bundle says about the model, by MONAI's schema."""
    plan, config = task.checkpoint.plan, task.config
    sides = [f"{step}*n" if step > 1 else "n" for step in plan.total_stride]
    tensor = {"format": "segmentation", "spatial_shape": sides, "dtype": "float32", "is_patch_data": True}
    channels = plan.channels or ("intensity",)
    names = {str(number): name for number, name in enumerate(task.outputs)}
    output = {**tensor, "num_channels": plan.out_channels, "channel_def": names}
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"Exported by napari-unet3d {__version__}."},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {name: version(name) for name in ("nibabel",)},
        "name": task.name,
        "task": f"Segmentation of 3D images: {plan.task.label.lower()}",
        "description": config.description or f"{task.name}: a 3D network trained with napari-unet3d.",
        "authors": ", ".join(config.authors) or _NOT_GIVEN,
        "copyright": ", ".join(config.authors) or _NOT_GIVEN,
        "license": config.license or _NOT_GIVEN,
        "references": [config.citation] if config.citation else [],
        "intended_use": " ".join(not_in_the_file(task, ExportFormat.MONAI_BUNDLE)),
        "network_data_format": {
            "inputs": {
                "image": {
                    **tensor,
                    "type": "image",
                    "format": "intensity",
                    "num_channels": plan.in_channels,
                    "value_range": [],
                    "channel_def": {str(number): name for number, name in enumerate(channels)},
                }
            },
            "outputs": {"pred": {**output, "type": "logits", "value_range": []}},
            "post_processed_outputs": {"pred": {**output, "type": "probabilities", "value_range": [0, 1]}},
        },
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what MONAI prints and log while a bundle runs."""
    disabled, search_path = logging.root.manager.disable, list(sys.path)
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        sys.path[:] = search_path  # MONAI adds the bundle


def runners(task: ExportTask, folder: Path) -> list[Run]:
    """Return the network that MONAI makes of the configuration, with the written weights."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(folder / _CONFIG)
    return [run_of_weights(task, parser.get_parsed_content("network_def"), folder / MODEL_FILE)]


def compare_volume(task: ExportTask, folder: Path) -> float:
    """Run the inference of the bundle on a file, in tiles that do not overlap: MONAI blends logits where they do."""
    import nibabel
    from monai.bundle import ConfigWorkflow

    grid = volume_grid(task, overlap=0)
    image = example_input(task, grid.shape_zyx)
    with TemporaryDirectory() as temporary, _quiet():
        images, results = Path(temporary, "images"), Path(temporary, "results")
        images.mkdir()
        stored = image[0].T if len(image) == 1 else image.T  # (x, y, z), or (x, y, z, channel)
        make: Any = nibabel.Nifti1Image  # without types in nibabel
        nibabel.save(make(stored, np.eye(4)), images / "volume.nii.gz")
        settings: dict[str, Any] = {"inferer#overlap": 0.0, "inferer#roi_size": list(grid.tile_zyx)}
        workflow = ConfigWorkflow(
            config_file=str(folder / _CONFIG),
            meta_file=str(folder / _METADATA),
            logging_file=False,
            workflow_type="inference",
            bundle_root=str(folder),
            dataset_dir=str(images),
            output_dir=str(results),
            save_probabilities=True,
            device="$torch.device('cpu')",
            **settings,
        )
        workflow.initialize()
        workflow.run()
        written: Any = nibabel.load(results / "volume_probabilities.nii.gz")
        output = np.asarray(written.dataobj, np.float32)
    output = output.T.reshape(-1, *grid.shape_zyx)
    config = task.checkpoint.config
    own = own_output(task, normalise(image, config.normalisation, config.percentiles), grid)
    return checked_difference(own, output, f"a volume of {format_shape(grid.shape_zyx)}")


def document(task: ExportTask, folder: Path, checked: str) -> None:
    """Write the page into the folder, and as the documentation of the bundle."""
    found = library_class(task)
    assert found is not None
    usage = (
        "Put volumes as NIfTI (.nii.gz) into a folder, and run the bundle with monai, nibabel and fire:\n\n"
        f"```sh\npython -m monai.bundle run --config_file {_CONFIG} --meta_file {_METADATA} \\\n"
        "    --bundle_root . --dataset_dir IMAGES --output_dir LABELS\n```\n\n"
        "`--save_probabilities True` writes the outputs of the network instead. Or in Python, with numpy, monai and "
        "torch:"
    )
    activation = "softmax(1)" if task.checkpoint.plan.task is Task.SEMANTIC else "sigmoid()"
    network = (
        f'model = ConfigParser.load_config_file("{_CONFIG}")["network_def"]\n'
        f'model = {found.name}(**{{key: value for key, value in model.items() if key != "_target_"}}).eval()\n'
        f'model.load_state_dict(torch.load("{MODEL_FILE}", weights_only=True))\n\n\n'
        "def network(tiles):\n"
        "    with torch.inference_mode():\n"
        f"        return model(torch.from_numpy(tiles)).{activation}.numpy()\n"
    )
    imports = ["import torch", "from monai.bundle import ConfigParser", f"from {found.module} import {found.name}"]
    text = page(task, ExportFormat.MONAI_BUNDLE, usage, imports, network, checked)
    for path in (folder / PAGE_FILE, folder / "docs" / PAGE_FILE):
        path.write_text(text, encoding="utf-8")


FORMAT = ModelFormat(
    name=ExportFormat.MONAI_BUNDLE,
    file=MODEL_FILE,
    tool="MONAI",
    check=check,
    write=write,
    runners=runners,
    document=document,
    compare_volume=compare_volume,
)
