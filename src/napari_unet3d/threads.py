"""How many threads compute, and how they wait for each other, so that a shared processor is shared well.

By default, OpenMP's threads wait by spinning: where another program uses the cores, a thread then spends its time on
waiting for another that could have used it. With half of the processor, steps took up to ten times as long; with
threads that sleep, about twice, and as long as before on a quiet machine (``benchmarks/busy_machine.py``).

OpenMP reads environment variables once, when torch is loaded, so the package sets them when it is imported. In a viewer
in which another plugin has loaded torch before, they apply to trainings in a separate process only.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from functools import cache

from napari_unet3d.cgroups import cpu_quota

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_NUMBER = "OMP_NUM_THREADS"


def configure_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make waiting threads sleep, and start no more threads than a CPU quota has cores.

    What the user has set in the environment remains.

    Parameters
    ----------
    environment : mutable mapping of str
        The environment variables, which are changed.

    Examples
    --------
    >>> environment = {"OMP_NUM_THREADS": "3"}
    >>> configure_threads(environment)
    >>> environment
    {'OMP_NUM_THREADS': '3', 'OMP_WAIT_POLICY': 'PASSIVE'}
    """
    if not any(name in environment for name in _WAITING):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    most = max_threads()
    if most is not None:
        environment.setdefault(_NUMBER, str(most))


@cache
def max_threads() -> int | None:
    """Return how many threads can be busy under the CPU quota of a container; None if all cores may be used."""
    quota = cpu_quota()
    if quota is None or quota >= (os.cpu_count() or 1):
        return None
    return max(1, math.ceil(quota))


def limit_threads(n_threads: int) -> int:
    """Limit a number of threads to the CPU quota, for a torch that was loaded before this package set the number.

    Parameters
    ----------
    n_threads : int
        Number of threads of torch.
    """
    most = max_threads()
    # Another number is the choice of the user.
    return n_threads if most is None or os.environ.get(_NUMBER) != str(most) else min(n_threads, most)


def describe_threads() -> str:
    """Describe the cores, the CPU quota if there is one, and the environment variables that decide on threads."""
    quota, names = cpu_quota(), (*_WAITING, _NUMBER)
    cores = f"{os.cpu_count()} cores" + ("" if quota is None else f", of which a quota allows {quota:g}")
    return "; ".join([cores, *(f"{name}={os.environ[name]}" for name in names if name in os.environ)])
