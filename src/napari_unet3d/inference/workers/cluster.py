"""The workers of a running Dask cluster, which see the same files."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from queue import Empty, SimpleQueue
from typing import Any

from napari_unet3d.errors import UserError
from napari_unet3d.inference.workers.base import MOST_FAILURES, Task
from napari_unet3d.model.checkpoint import package_versions

_SECONDS_TO_CONNECT = 15
_SECONDS_BETWEEN_LOOKS = 5.0
_PACKAGE = "napari_unet3d"
_one_at_a_time = threading.Lock()  # the threads of a worker share its model


class ClusterWorkers:
    """Workers of a Dask cluster.

    Parameters
    ----------
    address : str
        That of its scheduler, such as ``tcp://10.0.0.1:8786``.
    patience : float
        Seconds without any worker after which it is given up. A worker that died is usually back before.

    Raises
    ------
    UserError
        If Dask's distributed is not installed, there is no scheduler or no worker, or workers have another version of
        this package.
    """

    def __init__(self, address: str, patience: float = 300.0) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UserError(
                "A scheduler needs Dask's distributed. Install it with: pip install 'napari-unet3d[cluster]'"
            ) from None
        self._address, self._patience = address, patience
        try:
            self._client: Any = Client(  # type: ignore[no-untyped-call]
                address, timeout=_SECONDS_TO_CONNECT, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"There is no Dask scheduler at {address} ({str(error).splitlines()[0].rstrip('.')}). Start one with "
                "dask scheduler, and name the address that it prints."
            ) from None
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        if not self.n_workers:
            raise UserError(
                f"The Dask cluster at {self._address} has no workers. Start some with: dask worker {self._address}"
            )
        workers = self._client.get_versions(packages=[_PACKAGE])["workers"]
        own = package_versions()["napari-unet3d"]
        for worker, found in workers.items():
            version = found["packages"][_PACKAGE]
            if version != own:
                has = "does not have napari-unet3d" if version is None else f"has napari-unet3d {version}"
                raise UserError(
                    f"The Dask worker {worker} {has}, and this computer has {own}. Install the "
                    "same version in the environment of the workers, and start them again."
                )

    @property
    def n_workers(self) -> int:
        """How many workers there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    @property
    def description(self) -> str:
        """What they are, with the address of the dashboard."""
        n_workers = self.n_workers
        return f"{n_workers} Dask worker{'s' if n_workers > 1 else ''}; dashboard: {self._client.dashboard_link}"

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield the number of a task and its answers, when it is done; see `Workers.run`."""
        from distributed.scheduler import KilledWorker

        futures = {self._client.submit(_answers, task, pure=False): number for number, task in enumerate(tasks)}
        ended: SimpleQueue[Any] = SimpleQueue()
        try:
            for future in futures:
                future.add_done_callback(ended.put)
            for _ in tasks:
                future = self._next(ended)
                try:
                    answers = future.result()
                except KilledWorker:
                    raise UserError(
                        f"Workers of the cluster have died {MOST_FAILURES} times at the same part, probably because "
                        "there is not enough memory. Give them more."
                    ) from None
                except CancelledError:
                    raise UserError(
                        f"The Dask scheduler at {self._address} has ended. What is done is kept: start a cluster, and "
                        "repeat the command with its address."
                    ) from None
                yield from ((futures[future], answer) for answer in answers)
                future.release()
        finally:
            self._client.cancel(list(futures))

    def _next(self, ended: SimpleQueue[Any]) -> Any:
        """Return the next task that has ended, as long as there are workers or some may come back."""
        without = 0.0
        while True:
            try:
                return ended.get(timeout=min(_SECONDS_BETWEEN_LOOKS, self._patience))
            except Empty:
                without = 0.0 if self._has_workers() else without + _SECONDS_BETWEEN_LOOKS
            if without >= self._patience:
                raise UserError(
                    f"The Dask cluster at {self._address} has lost all its workers. What is done is kept: start some "
                    f"with dask worker {self._address}, and repeat the command."
                )

    def _has_workers(self) -> bool:
        try:
            return self.n_workers > 0
        except OSError:  # the scheduler has ended; the client cancels the tasks when it has not come back for a while
            return False

    def close(self) -> None:
        """Leave the cluster, which goes on."""
        self._client.close()


def _answers(task: Task) -> list[Any]:
    """Return the answers of a task, in a worker."""
    with _one_at_a_time:
        return list(task(0))
