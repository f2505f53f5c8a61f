"""Settings of the processes that predict at the same time."""

from __future__ import annotations

from napari_unet3d.configs.base import Config, setting


class WorkersConfig(Config):
    """Which processes predict: this one, others on this machine, or those of a Dask cluster."""

    workers: int = setting(
        1,
        "Processes that predict at the same time, each with its share of the cores, and with a GPU of its own where "
        "there are several. One that dies is replaced.",
        minimum=1,
        maximum=1024,
    )
    scheduler: str = setting(
        "",
        "Address of the scheduler of a running Dask cluster, such as tcp://10.0.0.1:8786, whose workers predict "
        "instead; they need the same files in the same places. Needs napari-unet3d[cluster].",
    )

    @property
    def is_alone(self) -> bool:
        """Whether this process predicts by itself."""
        return self.workers == 1 and not self.scheduler
