"""Runs in MLflow, where its own settings say: MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME, or the current folder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from napari_unet3d.training.tracking.tracker import PROJECT, TrackedRun

_MOST_PARAMS = 100  # at once, a limit of MLflow
_MOST_LETTERS = 500  # of a value, which older servers allow


class MLflowTracker:
    """Sends settings and numbers to a server or a local database.

    Parameters
    ----------
    run : TrackedRun
        The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        # The training waits meanwhile; by default MLflow tries for minutes to reach a server that is gone.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        self._client = MlflowClient()
        if run.earlier is not None:
            self.run_id = run.earlier
            self._client.update_run(self.run_id, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        experiment = self._client.get_experiment_by_name(name)
        number = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        self.run_id = self._client.create_run(number, run_name=run.folder.name).info.run_id
        params = [Param(key, str(value)[:_MOST_LETTERS]) for key, value in run.settings.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self.run_id, params=params[first : first + _MOST_PARAMS])

    def log(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Send the numbers of an epoch."""
        now = round(time.time() * 1000)
        self._client.log_batch(self.run_id, metrics=[Metric(key, value, now, epoch) for key, value in scalars.items()])

    def finish(self, *, is_complete: bool) -> None:
        """Mark the run as finished, or as killed."""
        self._client.set_terminated(self.run_id, "FINISHED" if is_complete else "KILLED")


def start(run: TrackedRun) -> MLflowTracker:
    """Start or continue to record a run."""
    return MLflowTracker(run)
