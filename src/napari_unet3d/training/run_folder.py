"""The folder of a run: models, settings, history and environment; all files are written atomically."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.seen_content import SeenContent, record_content
from napari_unet3d.data.split import Split
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    RESUME_FILE,
    SEEN_FILE,
    remove_leftovers,
    write_json,
    write_text,
)
from napari_unet3d.model.checkpoint import Checkpoint, package_versions, save_checkpoint
from napari_unet3d.model.devices import ComputeDevice, cudnn_version
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.tensor_file import UNFINISHED
from napari_unet3d.paths import exists
from napari_unet3d.runs.history import EpochRecord, best_record
from napari_unet3d.runs.snapshot_files import remove_snapshots
from napari_unet3d.text_files import read_json_object
from napari_unet3d.training.resume_state import RunHeader

if TYPE_CHECKING:
    import torch

LAST_FILE = "last.safetensors"
# When an earlier run is replaced, its resume file is removed first, so that a partly removed run cannot be resumed.
_RESULTS = (RESUME_FILE, MODEL_FILE, LAST_FILE, HISTORY_FILE)


class RunFolder:
    """Writes the files of one run, and holds its history.

    Parameters
    ----------
    path : Path
        The folder, whose lock is held (see `locked`).
    config : TrainingConfig
        The settings of the run.
    may_exist : bool
        Whether there may be an earlier run in it; `write_header` replaces its results unless it is resumed.
    earlier : RunHeader, optional
        The state of the run in it that is resumed.

    Raises
    ------
    UserError
        If it holds a run that must not be replaced.
    """

    def __init__(
        self, path: Path, config: TrainingConfig, *, may_exist: bool, earlier: RunHeader | None = None
    ) -> None:
        self.path, self.model = path, path / MODEL_FILE
        self._config, self._earlier = config, earlier
        self.plan: Plan
        self._seen: SeenContent | None = None
        self._voxel_size_um: VoxelSize | None = None
        self.history = list(earlier.history) if earlier else []
        self.seconds = list(earlier.seconds) if earlier else []
        self.learning_rates = list(earlier.learning_rates) if earlier else []
        found = [name for name in _RESULTS if exists(path / name)]
        if found and not may_exist and earlier is None:
            raise UserError(
                f"The folder {path} already holds a run ({', '.join(found)}); "
                "choose another run folder, or allow this one to be overwritten."
            )

    def write_header(
        self, split: Split, plan: Plan, device: ComputeDevice, dataset: str, start_from: Path | None = None
    ) -> None:
        """Write settings and environment, and remove the results of a run that is replaced.

        Parameters
        ----------
        split : Split
            Which volumes train and which validate.
        plan : Plan
            Strides, patch, voxel size and classes.
        device : ComputeDevice
            Device and precision.
        dataset : str
            Where the volumes come from: a path, or ``"layers"``.
        start_from : Path, optional
            The model that a new run starts from; for a resumed run, the recorded one is kept.
        """
        self.plan = plan
        self._remove_leftovers()
        geometries = [sample.geometry for sample in (*split.train, *split.val)]
        voxel_sizes = {geometry.spacing if geometry.is_calibrated else None for geometry in geometries}
        self._voxel_size_um = voxel_sizes.pop() if len(voxel_sizes) == 1 else None
        write_json(self.path / CONFIG_FILE, self._config.model_dump(mode="json"))
        environment = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "platform": platform.platform(),
            "plan": plan.model_dump(mode="json"),
            "device": device.description,
            "cudnn": cudnn_version() if device.device.type == "cuda" else None,
            "dataset": dataset,
            "start_from": self._recorded_start() if self._earlier else start_from and str(start_from),
            "train": [sample.name for sample in split.train],
            "validation": [sample.name for sample in split.val],
            "blocks": [asdict(block) for block in split.blocks],
            "resumed_after_epoch": self._earlier.epoch if self._earlier else None,
            "resumed_after_step": self._earlier.n_steps_done if self._earlier else None,
        }
        write_json(self.path / ENVIRONMENT_FILE, environment)
        if self._earlier:
            return
        for name in _RESULTS:
            with explain_os_errors(self.path / name, "remove"):
                (self.path / name).unlink(missing_ok=True)
        remove_snapshots(self.path)

    def write_seen(self, seen: SeenContent) -> None:
        """Write what the models of the run see, which they have in them, too; call it after `write_header`."""
        self._seen = seen
        write_json(self.path / SEEN_FILE, seen.model_dump(mode="json"))

    def record_seen(self, split: Split, model: Checkpoint | None) -> SeenContent:
        """Return what a model sees that is trained on a split, with what the model has seen that it starts from.

        Of a run that is resumed, that is what it has recorded.
        """
        if self._earlier is None:
            return record_content(split, None if model is None else model.seen or SeenContent(is_complete=False))
        before = SeenContent(is_complete=False)
        with suppress(UserError, ValueError):  # of a file of another version
            before = SeenContent(**read_json_object(self.path / SEEN_FILE))
        return record_content(split, before)

    def _recorded_start(self) -> str | None:
        try:
            start_from = read_json_object(self.path / ENVIRONMENT_FILE).get("start_from")
        except UserError:  # it is not needed for resuming
            return None
        return start_from if isinstance(start_from, str) else None

    def _remove_leftovers(self) -> None:
        for name in (RESUME_FILE, MODEL_FILE, LAST_FILE):
            remove_leftovers(self.path / name, UNFINISHED)
        for name in (HISTORY_FILE, CONFIG_FILE, ENVIRONMENT_FILE, SEEN_FILE):
            remove_leftovers(self.path / name)

    @property
    def has_model(self) -> bool:
        """Whether a model of this run is on disk."""
        return exists(self.model)

    @property
    def best(self) -> EpochRecord:
        """The epoch whose weights are the model of the run; LookupError before the first epoch is finished."""
        best = best_record(self.history)
        if best is None:
            raise LookupError("no epoch is finished yet")
        return best

    def save_epoch(
        self, record: EpochRecord, weights: dict[str, torch.Tensor], *, learning_rate: float, seconds: float
    ) -> bool:
        """Write the last model, the best model if this epoch is the best, and the history.

        Parameters
        ----------
        record : EpochRecord
            Losses of the epoch.
        weights : dict of str to Tensor
            Weights of the network after it.
        learning_rate : float
            Learning rate of its first step.
        seconds : float
            How long the epoch took.

        Returns
        -------
        bool
            Whether it is the best epoch so far.
        """
        self.history.append(record)
        self.learning_rates.append(learning_rate)
        self.seconds.append(seconds)
        is_best = self.best is record
        self._save_models(weights, record.epoch, (LAST_FILE, MODEL_FILE) if is_best else (LAST_FILE,))
        self._write_history()
        return is_best

    def save_started_epoch(self, weights: dict[str, torch.Tensor]) -> None:
        """Write the weights of a run that ends within its first epoch."""
        self._save_models(weights, 0, (LAST_FILE, MODEL_FILE))
        self._write_history()

    def _save_models(self, weights: dict[str, torch.Tensor], epoch: int, names: Sequence[str]) -> None:
        history, size = tuple(self.history), self._voxel_size_um
        checkpoint = Checkpoint(self._config, weights, epoch, history, size, plan=self.plan, seen=self._seen)
        for name in names:
            save_checkpoint(self.path / name, checkpoint)

    def _write_history(self) -> None:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["epoch", "train_loss", "val_loss", "val_dice", "learning_rate", "seconds", "val_f1", "best_by"])
        for record, rate, seconds in zip(self.history, self.learning_rates, self.seconds, strict=True):
            losses = record.train_loss, record.val_loss, record.val_dice
            rest = f"{rate:.6g}", f"{seconds:.3f}", record.val_f1, record.best_by
            rows.writerow([record.epoch, *losses, *rest])
        write_text(self.path / HISTORY_FILE, table.getvalue())
