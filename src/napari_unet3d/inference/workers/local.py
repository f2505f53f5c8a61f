"""Worker processes on this machine, each with its share of the cores and a GPU of its own where there are several.

The standard library is enough for this: a pipe per process tells which task ended with it, so that only that task is
given to another one. `concurrent.futures` gives up all tasks when a process dies.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from napari_unet3d.errors import UserError
from napari_unet3d.inference.workers.base import MOST_FAILURES, Task

_SECONDS_TO_END = 10.0


@dataclass(frozen=True, slots=True)
class _Done:
    """The task is done."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """The task has raised an error."""

    error: Exception


@dataclass(slots=True, eq=False)
class _Worker:
    process: Any
    connection: Connection
    task: int | None = None


class LocalWorkers:
    """Processes on this machine.

    Parameters
    ----------
    n_workers : int
        How many.
    n_threads : int
        Cores that they share.
    devices : sequence of str
        The GPUs, as in ``CUDA_VISIBLE_DEVICES``; several are distributed among them, each process has one.
    """

    def __init__(self, n_workers: int, n_threads: int, devices: Sequence[str] = ()) -> None:
        self._n_workers, self._devices = n_workers, tuple(devices)
        self._n_threads = max(1, n_threads // n_workers)
        self._context = get_context("spawn")
        self._workers: list[_Worker] = []

    @property
    def n_workers(self) -> int:
        """How many processes there are."""
        return self._n_workers

    @property
    def description(self) -> str:
        """What they are, for the user."""
        gpus = f" and a GPU of {len(self._devices)}" if len(self._devices) > 1 else ""
        threads = f"{self._n_threads} thread{'s' if self._n_threads > 1 else ''}"
        return f"{self._n_workers} worker processes with {threads}{gpus} each."

    @property
    def process_ids(self) -> list[int]:
        """The numbers of the processes that run."""
        return [worker.process.pid for worker in self._workers if worker.process.is_alive()]

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield the number of a task and an answer, as they come; see `Workers.run`."""
        waiting, answered, deaths = deque(range(len(tasks))), Counter[int](), Counter[int]()
        is_complete = False
        try:
            while waiting or any(worker.task is not None for worker in self._workers):
                self._assign(tasks, waiting, answered)
                busy = {worker.connection: worker for worker in self._workers if worker.task is not None}
                for ready in wait(list(busy)):
                    worker = busy[ready]  # type: ignore[index]
                    task = worker.task
                    assert task is not None, "it is busy"
                    try:
                        answer = worker.connection.recv()
                    except (EOFError, OSError):  # the process has died
                        self._end(worker)
                        deaths[task] += 1
                        _check_deaths(deaths[task], worker.process.exitcode)
                        waiting.appendleft(task)
                        continue
                    if isinstance(answer, _Failed):
                        raise answer.error
                    if isinstance(answer, _Done):
                        worker.task = None
                    else:
                        answered[task] += 1
                        deaths[task] = 0  # what counts is whether it gets on
                        yield task, answer
            is_complete = True
        finally:
            if not is_complete:  # some are in the middle of a task that nobody waits for
                self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in list(self._workers):
            self._end(worker)

    def _assign(self, tasks: Sequence[Task], waiting: deque[int], answered: Counter[int]) -> None:
        """Assign waiting tasks to processes that have none; start processes where some are missing."""
        idle = [worker for worker in self._workers if worker.task is None]
        while waiting and (idle or len(self._workers) < self._n_workers):
            worker = idle.pop() if idle else self._start()
            worker.task = waiting.popleft()
            try:
                worker.connection.send((tasks[worker.task], answered[worker.task]))
            except OSError:  # it has died since; its end is read next
                continue

    def _start(self) -> _Worker:
        own, other = self._context.Pipe()
        taken = {worker.process.name for worker in self._workers}
        number = next(n for n in range(self._n_workers) if f"worker {n}" not in taken)
        device = self._devices[number % len(self._devices)] if len(self._devices) > 1 else None
        arguments = other, self._n_threads, device
        process = self._context.Process(target=_work, args=arguments, name=f"worker {number}", daemon=True)
        process.start()
        other.close()
        worker = _Worker(process, own)
        self._workers.append(worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.terminate()
        worker.process.join(_SECONDS_TO_END)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


def _check_deaths(n_deaths: int, exit_code: int | None) -> None:
    if n_deaths >= MOST_FAILURES:
        raise UserError(
            f"Worker processes have died {n_deaths} times at the same part (exit code {exit_code}), probably because "
            "there is not enough memory. Use fewer --workers."
        )


def _work(connection: Connection, n_threads: int, device: str | None) -> None:
    """Work through tasks in a process until the other end of the pipe is closed."""
    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # before torch is imported
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    try:
        while True:
            task, n_done = connection.recv()
            try:
                for answer in task(n_done):
                    connection.send(answer)
                connection.send(_Done())
            except UserError as error:
                connection.send(_Failed(UserError(str(error))))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):  # the process that asked has ended
        return
