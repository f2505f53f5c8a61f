"""The folder of a run: models, settings, history and environment; all files are written atomically."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    atomic_write,
    format_json,
    write_json,
    write_text,
)
from napari_unet3d.leftovers import remove_leftovers
from napari_unet3d.model.checkpoint import Checkpoint, package_versions, save_checkpoint
from napari_unet3d.model.devices import ComputeDevice, cudnn_version
from napari_unet3d.model.plan import Plan
from napari_unet3d.paths import exists
from napari_unet3d.runs.history import EpochRecord, best_record
from napari_unet3d.runs.snapshot_files import remove_snapshots
from napari_unet3d.text_files import read_json_object
from napari_unet3d.training.rescue import rescue
from napari_unet3d.training.resume_state import RunHeader
from napari_unet3d.training.run_lock import RunLock

if TYPE_CHECKING:
    import torch

LAST_FILE = "last.safetensors"
# When an earlier run is replaced, its resume file is removed first, so that a partly removed run cannot be resumed.
_RESULTS = (RESUME_FILE, MODEL_FILE, LAST_FILE, HISTORY_FILE)
_SETTINGS = (SEEN_FILE, ENVIRONMENT_FILE, CONFIG_FILE)


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
    lock : RunLock, optional
        The lock, by which a folder that was removed or renamed during the run is noticed.

    Raises
    ------
    UserError
        If it holds a run that must not be replaced.
    """

    def __init__(
        self,
        path: Path,
        config: TrainingConfig,
        *,
        may_exist: bool,
        earlier: RunHeader | None = None,
        lock: RunLock | None = None,
    ) -> None:
        self.path, self.model = path, path / MODEL_FILE
        self._config, self._earlier, self._lock = config, earlier, lock
        self._settings: dict[str, Any] = {}  # contents of the files of settings, by their names
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
        remove_leftovers(self.path)
        geometries = [sample.geometry for sample in (*split.train, *split.val)]
        voxel_sizes = {geometry.spacing if geometry.is_calibrated else None for geometry in geometries}
        self._voxel_size_um = voxel_sizes.pop() if len(voxel_sizes) == 1 else None
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
        self._settings = {CONFIG_FILE: self._config.model_dump(mode="json"), ENVIRONMENT_FILE: environment}
        with ExitStack() as files:  # a full disk is noticed before an earlier run is removed
            for name, content in self._settings.items():
                temporary = files.enter_context(atomic_write(self.path / name))
                temporary.write_text(format_json(content), encoding="utf-8")
            if self._earlier is None:
                self._remove_results()

    def _remove_results(self) -> None:
        """Remove an earlier run, first what it could be resumed from, last its settings."""
        for name in (*_RESULTS, *_SETTINGS):
            with explain_os_errors(self.path / name, "remove"):
                (self.path / name).unlink(missing_ok=True)
        remove_snapshots(self.path)

    def write_seen(self, seen: SeenContent) -> None:
        """Write what the models of the run see, which they have in them, too; call it after `write_header`."""
        self._seen = seen
        self._settings[SEEN_FILE] = seen.model_dump(mode="json")
        write_json(self.path / SEEN_FILE, self._settings[SEEN_FILE])

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
        names = (LAST_FILE, MODEL_FILE) if is_best else (LAST_FILE,)
        with self.in_place(lambda: weights, is_new_model=is_best):
            self._save_models(self.path, weights, record.epoch, names)
            self._write_history(self.path)
        return is_best

    def save_started_epoch(self, weights: dict[str, torch.Tensor]) -> None:
        """Write the weights of a run that ends within its first epoch."""
        with self.in_place(lambda: weights, is_new_model=True):
            self._save_models(self.path, weights, 0, (LAST_FILE, MODEL_FILE))
            self._write_history(self.path)

    def is_in_place(self) -> bool:
        """Return whether the folder is still the one that was locked."""
        return self._lock is None or self._lock.is_in_place()

    @contextmanager
    def in_place(
        self, get_weights: Callable[[], dict[str, torch.Tensor]], *, is_new_model: bool | None = None
    ) -> Iterator[None]:
        """Check before a block that writes to the folder, and when it fails, that nobody has removed or renamed it.

        Parameters
        ----------
        get_weights : callable
            Returns the weights of the network, which are written elsewhere if the folder is not in place.
        is_new_model : bool
            Whether the block writes the model, which must exist otherwise; by default, before the first epoch is saved.

        Raises
        ------
        UserError
            If it is not in place; the message says where the weights are.
        """
        self.check_in_place(get_weights, is_new_model=is_new_model)
        try:
            yield
        except UserError:
            self.check_in_place(get_weights, is_new_model=True)
            raise

    def check_in_place(
        self, get_weights: Callable[[], dict[str, torch.Tensor]], *, is_new_model: bool | None = None
    ) -> None:
        """Raise the error of `in_place` if the folder is not in place."""
        is_new_model = not self.history if is_new_model is None else is_new_model
        if self.is_in_place() and (is_new_model or self.model.exists()):
            for name, content in self._settings.items():  # which somebody may have removed
                if not (self.path / name).exists():
                    write_json(self.path / name, content)
            return
        weights, epoch = get_weights(), self.history[-1].epoch if self.history else 0

        def write(folder: Path) -> None:
            for name, content in self._settings.items():
                write_json(folder / name, content)
            self._write_history(folder)
            self._save_models(folder, weights, epoch, (LAST_FILE, MODEL_FILE))

        raise rescue(self.path, epoch, write)

    def _save_models(self, folder: Path, weights: dict[str, torch.Tensor], epoch: int, names: Sequence[str]) -> None:
        history, size = tuple(self.history), self._voxel_size_um
        checkpoint = Checkpoint(self._config, weights, epoch, history, size, plan=self.plan, seen=self._seen)
        for name in names:
            save_checkpoint(folder / name, checkpoint)

    def _write_history(self, folder: Path) -> None:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["epoch", "train_loss", "val_loss", "val_dice", "learning_rate", "seconds", "val_f1", "best_by"])
        for record, rate, seconds in zip(self.history, self.learning_rates, self.seconds, strict=True):
            losses = record.train_loss, record.val_loss, record.val_dice
            rest = f"{rate:.6g}", f"{seconds:.3f}", record.val_f1, record.best_by
            rows.writerow([record.epoch, *losses, *rest])
        write_text(folder / HISTORY_FILE, table.getvalue())
