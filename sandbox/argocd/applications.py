"""The project that bounds what Argo CD may do, and the ApplicationSet that makes its applications."""

from __future__ import annotations

from typing import Any

from sandbox.manifest import Manifest
from sandbox.world import ENVIRONMENTS, World

NAMESPACE = "argocd"
APPLICATION_SET = "symphony"
PROJECT = "symphony"
CLUSTER = "https://kubernetes.default.svc"
REFRESH = "argocd.argoproj.io/application-set-refresh"
"""Annotation that makes the controller read the branches at once; it takes it off when it is through."""

_API = "argoproj.io/v1alpha1"
_REPOLL_SECONDS = 60
_AUTOSCALER = "kube-controller-manager"
"""Whom the API server names as the owner of what the HorizontalPodAutoscaler sets."""

# The list of value files has no fixed length, so it cannot stand in the template itself. A path that begins with a
# slash is taken from the repository's root; read last, the application's file gives the chart its digest, and with it
# the synced revision is the commit that carries the digest.
_VALUE_FILES = """\
spec:
  source:
    helm:
      valueFiles:
      {{- range .values }}
        - {{ toJson . }}
      {{- end }}
        - {{ printf "/applications/%s.yaml" .application | toJson }}
"""


def project(world: World) -> Manifest:
    """Nothing but the Git remote as source, the environments' namespaces as destination, and namespaced objects."""
    return {
        "apiVersion": _API,
        "kind": "AppProject",
        "metadata": {"name": PROJECT, "namespace": NAMESPACE},
        "spec": {
            "description": "What Symphony deploys.",
            "sourceRepos": [world.git_remote],
            "destinations": [{"server": CLUSTER, "namespace": name} for name in ENVIRONMENTS],
            "clusterResourceWhitelist": [],
        },
    }


def closed_default_project() -> Manifest:
    """The project that Argo CD makes by itself and that would allow everything: closed."""
    return {
        "apiVersion": _API,
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "spec": {"sourceRepos": [], "destinations": [], "clusterResourceWhitelist": []},
    }


def application_set(world: World) -> Manifest:
    """One application for each file ``applications/*.yaml`` on each branch ``env/<environment>``.

    The list's keys win over a file's, so that a file cannot move its application to another environment.
    """
    files = {
        "repoURL": world.git_remote,
        "revision": "env/{{ .target }}",
        "files": [{"path": "applications/*.yaml"}],
        "requeueAfterSeconds": _REPOLL_SECONDS,
    }
    elements = [{"target": name} for name in ENVIRONMENTS]
    return {
        "apiVersion": _API,
        "kind": "ApplicationSet",
        "metadata": {"name": APPLICATION_SET, "namespace": NAMESPACE},
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [{"matrix": {"generators": [{"list": {"elements": elements}}, {"git": files}]}}],
            "template": _template(world),
            "templatePatch": _VALUE_FILES,
            "syncPolicy": {"applicationsSync": "sync", "preserveResourcesOnDeletion": False},
        },
    }


def _template(world: World) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "{{ .target }}-{{ .application }}",
            "labels": {"symphony/environment": "{{ .target }}", "symphony/application": "{{ .application }}"},
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": PROJECT,
            "source": {
                "repoURL": world.git_remote,
                "targetRevision": "env/{{ .target }}",
                "path": "{{ .chart }}",
                "helm": {"releaseName": "{{ .application }}", "ignoreMissingValueFiles": True},
            },
            "destination": {"server": CLUSTER, "namespace": "{{ .target }}"},
            # The number of pods is an autoscaler's where one has set it.
            "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "managedFieldsManagers": [_AUTOSCALER]}],
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["CreateNamespace=false", "RespectIgnoreDifferences=true"],
                "retry": {"limit": 2, "backoff": {"duration": "2s", "factor": 2, "maxDuration": "10s"}},
            },
        },
    }
