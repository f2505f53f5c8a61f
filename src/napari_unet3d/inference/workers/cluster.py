"""The workers of a running Dask cluster, which see the same files."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from napari_unet3d.errors import UserError
from napari_unet3d.inference.workers.base import MOST_FAILURES, Task

_SECONDS = 15
_one_at_a_time = threading.Lock()  # the threads of a worker share its model


class ClusterWorkers:
    """Workers of a Dask cluster.

    Parameters
    ----------
    address : str
        That of its scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    UserError
        If Dask's distributed is not installed, or there is no scheduler or no worker.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UserError(
                "A scheduler needs Dask's distributed. Install it with: pip install 'napari-unet3d[cluster]'"
            ) from None
        try:
            self._client: Any = Client(address, timeout=_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"There is no Dask scheduler at {address} ({str(error).splitlines()[0].rstrip('.')}). Start one with "
                "dask scheduler, and name the address that it prints."
            ) from None
        if not self.n_workers:
            self.close()
            raise UserError(f"The Dask cluster at {address} has no workers. Start some with: dask worker {address}")

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
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        futures = {self._client.submit(_answers, task, pure=False): number for number, task in enumerate(tasks)}
        try:
            for future in as_completed(list(futures), loop=self._client.loop):
                try:
                    answers = future.result()
                except KilledWorker:
                    raise UserError(
                        f"Workers of the cluster have died {MOST_FAILURES} times at the same part, probably because "
                        "there is not enough memory. Give them more."
                    ) from None
                yield from ((futures[future], answer) for answer in answers)
                future.release()
        finally:
            self._client.cancel(list(futures))

    def close(self) -> None:
        """Leave the cluster, which goes on."""
        self._client.close()


def _answers(task: Task) -> list[Any]:
    """Return the answers of a task, in a worker."""
    with _one_at_a_time:
        return list(task(0))
