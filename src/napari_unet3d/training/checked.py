"""A training with the check before it, as dock and command start it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.checks import Severity
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.training.continuing import begin
from napari_unet3d.training.events import Preflight, PreflightEvent, TrainEvent
from napari_unet3d.training.loop import train
from napari_unet3d.training.preflight import preflight


def train_checked(
    data: Path | Sequence[Sample],
    run_folder: Path,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    start_from: Path | None = None,
) -> Iterator[PreflightEvent | TrainEvent]:
    """Check the data, then train; what makes training impossible is said before anything is written.

    Parameters
    ----------
    data, run_folder, config, overwrite, resume, start_from
        As those of `train`.

    Yields
    ------
    PreflightEvent, TrainEvent
        Those of the check without its timing, then those of `train`.

    Raises
    ------
    UserError
        With all errors of the check, a line each, or as `train`.
    """
    settled = begin(run_folder, config, resume=resume, start_from=start_from).config
    for event in preflight(data, settled, run_folder, timed=False):
        yield event
        if isinstance(event, Preflight) and not event.can_train:
            raise UserError("\n".join(finding.message for finding in event.of(Severity.ERROR)))
    yield from train(data, run_folder, config, overwrite=overwrite, resume=resume, start_from=start_from)
