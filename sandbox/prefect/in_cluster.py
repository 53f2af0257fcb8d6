"""The part ``prefect`` where runs are Jobs of the sandbox's cluster."""

from __future__ import annotations

from typing import ClassVar

from sandbox.prefect import jobs
from sandbox.prefect.part import LAUNCHER, WORKER, Prefect
from sandbox.prefect.replicas import Replicas
from sandbox.world import World


class InCluster(Prefect):
    """Prefect's server here, and in the cluster the worker and, for each run, a Job of an image that is built here."""

    needs: ClassVar[tuple[str, ...]] = ("kubernetes", "aws", "docker", "registry", "git")
    daemons: ClassVar[tuple[str, ...]] = tuple(name for name in Prefect.daemons if name not in {LAUNCHER, WORKER})
    limit: ClassVar[float] = 240.0

    def serve(self, world: World) -> bool:
        """Start the server; the pool has to be there before the deployments make one of processes."""
        super().serve(world)
        return False

    def work(self, world: World) -> None:
        """Build the image of the runs, and install the chart."""
        jobs.install(world, jobs.image(world))


class ReplicasInCluster(InCluster, Replicas):
    """Both: the server of several processes, and runs as Jobs."""

    daemons: ClassVar[tuple[str, ...]] = tuple(name for name in Replicas.daemons if name not in {LAUNCHER, WORKER})
