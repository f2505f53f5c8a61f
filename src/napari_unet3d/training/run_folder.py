"""The folder of a run: models, settings, history and environment, each file written whole or not at all."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.evaluation.history import EpochRecord
from napari_unet3d.files import write_json, write_text
from napari_unet3d.model.checkpoint import MODEL_FILE, Checkpoint, package_versions, save_checkpoint
from napari_unet3d.model.devices import Hardware, cudnn_version
from napari_unet3d.training.losses import learning_rate

LAST_FILE = "last.safetensors"
HISTORY_FILE = "history.csv"
CONFIG_FILE = "config.json"
ENVIRONMENT_FILE = "environment.json"
_RESULTS = (MODEL_FILE, LAST_FILE, HISTORY_FILE)


class RunFolder:
    """Where one run is written.

    Parameters
    ----------
    path : Path
        The folder; it is made by `start`.
    config : TrainingConfig
        The settings of the run.
    overwrite : bool
        Whether an older run in it may be replaced.

    Raises
    ------
    UserError
        If it is a file, or holds a run that may not be replaced.
    """

    def __init__(self, path: Path, config: TrainingConfig, *, overwrite: bool) -> None:
        self.path, self.model = path, path / MODEL_FILE
        self._config = config
        self._seconds: list[float] = []
        if path.exists() and not path.is_dir():
            raise UserError(f"The run folder {path} is a file; choose the name of a new folder.")
        found = [name for name in _RESULTS if (path / name).exists()]
        if found and not overwrite:
            raise UserError(
                f"The folder {path} holds a run already ({', '.join(found)}); "
                "choose another run folder, or allow this one to be overwritten."
            )

    def start(self, hardware: Hardware, dataset: str, train_names: Sequence[str], val_names: Sequence[str]) -> None:
        """Make the folder, remove the results of an older run, and write settings and environment.

        Parameters
        ----------
        hardware : Hardware
            Device and precision.
        dataset : str
            Where the volumes come from, in words or as a path.
        train_names, val_names : sequence of str
            The split.
        """
        write_json(self.path / CONFIG_FILE, self._config.model_dump(mode="json"))
        environment = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "platform": platform.platform(),
            "device": hardware.words,
            "cudnn": cudnn_version() if hardware.device.type == "cuda" else None,
            "dataset": dataset,
            "train": list(train_names),
            "validation": list(val_names),
        }
        write_json(self.path / ENVIRONMENT_FILE, environment)
        for name in _RESULTS:
            with explain_os_errors(self.path / name, "remove"):
                (self.path / name).unlink(missing_ok=True)

    def save_epoch(self, checkpoint: Checkpoint, seconds: float, *, is_best: bool) -> None:
        """Write what an epoch has reached: the history, the last model, and the best one if it is that.

        Parameters
        ----------
        checkpoint : Checkpoint
            Weights and history after the epoch.
        seconds : float
            How long the epoch took.
        is_best : bool
            Whether it becomes the model of the run.
        """
        self._seconds.append(seconds)
        save_checkpoint(self.path / LAST_FILE, checkpoint)
        if is_best:
            save_checkpoint(self.model, checkpoint)
        self._write_history(checkpoint.history)

    def save_started_epoch(self, checkpoint: Checkpoint) -> None:
        """Write the weights of a run that ends within its first epoch, so that what was learnt is kept."""
        save_checkpoint(self.path / LAST_FILE, checkpoint)
        save_checkpoint(self.model, checkpoint)
        self._write_history(checkpoint.history)

    def _write_history(self, history: Sequence[EpochRecord]) -> None:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["epoch", "train_loss", "val_loss", "val_dice", "learning_rate", "seconds"])
        for record, seconds in zip(history, self._seconds, strict=True):
            rate = learning_rate(self._config, record.epoch)
            rows.writerow(
                [record.epoch, record.train_loss, record.val_loss, record.val_dice, f"{rate:.6g}", f"{seconds:.3f}"]
            )
        write_text(self.path / HISTORY_FILE, table.getvalue())
