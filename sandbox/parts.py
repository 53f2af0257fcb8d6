"""The one list of what a sandbox is made of."""

from __future__ import annotations

from sandbox import existing_cluster
from sandbox.argocd import ArgoCD
from sandbox.aws import Aws
from sandbox.docker import Docker
from sandbox.existing_cluster import ExistingCluster
from sandbox.git import Git
from sandbox.ingress import Ingress
from sandbox.kubernetes.part import KubernetesPart
from sandbox.part import Part
from sandbox.prefect import Prefect, Replicas, choice
from sandbox.prefect.in_cluster import InCluster, ReplicasInCluster
from sandbox.registry import Registry
from sandbox.world import World

_PREFECT: dict[tuple[choice.Server, choice.Workers], type[Prefect]] = {
    ("sqlite", "process"): Prefect,
    ("sqlite", "kubernetes"): InCluster,
    ("postgres", "process"): Replicas,
    ("postgres", "kubernetes"): ReplicasInCluster,
}


def parts(world: World) -> tuple[Part, ...]:
    """Every part, each after those that it needs; a cluster or server that was chosen stands in for the usual."""
    cluster = ExistingCluster() if existing_cluster.chosen(world) else KubernetesPart()
    prefect = _PREFECT[choice.chosen(world), choice.chosen_workers(world)]()
    return (cluster, Aws(), Docker(), Git(), prefect, Registry(), Ingress(), ArgoCD())
