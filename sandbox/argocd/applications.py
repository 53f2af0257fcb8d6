"""The project that bounds what Argo CD may do, and the ApplicationSet that makes its applications."""

from __future__ import annotations

from sandbox.manifest import Manifest
from sandbox.world import ENVIRONMENTS, World
from symphony import application_set as made

NAMESPACE = "argocd"
PROJECT = made.NAME
CLUSTER = made.SERVER
REFRESH = "argocd.argoproj.io/application-set-refresh"
"""Annotation that makes the controller read the branches at once; it takes it off when it is through."""

_NAMESPACES = {name: name for name in ENVIRONMENTS}


def project(world: World) -> Manifest:
    """The project of the sandbox's environments."""
    return made.project(world.git_remote, _NAMESPACES, NAMESPACE)


def closed_default_project() -> Manifest:
    """The project that Argo CD makes by itself and that would allow everything: closed."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "spec": {"sourceRepos": [], "destinations": [], "clusterResourceWhitelist": []},
    }


def application_set(world: World) -> Manifest:
    """The ApplicationSet of the sandbox's environments."""
    return made.application_set(world.git_remote, _NAMESPACES, NAMESPACE)
