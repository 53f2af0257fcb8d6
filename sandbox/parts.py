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
from sandbox.prefect import Prefect
from sandbox.registry import Registry
from sandbox.world import World


def parts(world: World) -> tuple[Part, ...]:
    """Every part, each after those that it needs; the user's own cluster stands in for ours where one was chosen."""
    cluster = ExistingCluster() if existing_cluster.chosen(world) else KubernetesPart()
    return (cluster, Aws(), Docker(), Git(), Prefect(), Registry(), Ingress(), ArgoCD())
