"""What Argo CD needs to follow the desired state: a project that bounds it, and an ApplicationSet over the branches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from symphony.config import Configuration, branch_of

NAME = "symphony"
"""Name of both objects."""
SERVER = "https://kubernetes.default.svc"
"""The cluster that Argo CD runs in."""
MADE_FROM = "symphony/made-from"
"""Annotation of the set with a hash of what both are made from; a set without it is somebody else's, and left alone."""

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


def project(remote: str, namespaces: Mapping[str, str], argocd: str = "argocd") -> dict[str, Any]:
    """Nothing but the Git remote as source, the environments' namespaces as destination, and namespaced objects.

    Args:
        remote: URL of the Git remote.
        namespaces: Namespace of each environment.
        argocd: Namespace of Argo CD.
    """
    return {
        "apiVersion": _API,
        "kind": "AppProject",
        "metadata": {"name": NAME, "namespace": argocd},
        "spec": {
            "description": "What Symphony deploys.",
            "sourceRepos": [remote],
            "destinations": [{"server": SERVER, "namespace": name} for name in dict.fromkeys(namespaces.values())],
            "clusterResourceWhitelist": [],
        },
    }


def application_set(remote: str, namespaces: Mapping[str, str], argocd: str = "argocd") -> dict[str, Any]:
    """One application for each file ``applications/*.yaml`` on each branch ``env/<environment>``.

    The list's keys win over a file's, so that a file cannot move its application to another environment.

    Args:
        remote: URL of the Git remote.
        namespaces: Namespace of each environment.
        argocd: Namespace of Argo CD.
    """
    files = {
        "repoURL": remote,
        "revision": branch_of("{{ .target }}"),
        "files": [{"path": "applications/*.yaml"}],
        "requeueAfterSeconds": _REPOLL_SECONDS,
    }
    elements = [{"target": name, "namespace": namespace} for name, namespace in namespaces.items()]
    return {
        "apiVersion": _API,
        "kind": "ApplicationSet",
        "metadata": {"name": NAME, "namespace": argocd},
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [{"matrix": {"generators": [{"list": {"elements": elements}}, {"git": files}]}}],
            "template": _template(remote),
            "templatePatch": _VALUE_FILES,
            "syncPolicy": {"applicationsSync": "sync", "preserveResourcesOnDeletion": False},
        },
    }


def objects(configuration: Configuration, environment: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Project and ApplicationSet for an environment's Argo CD, with all environments that it serves."""
    target = configuration.environments[environment]
    namespaces = {
        name: one.kubernetes.namespace
        for name, one in configuration.environments.items()
        if (one.kubernetes.context, one.argocd.namespace) == (target.kubernetes.context, target.argocd.namespace)
    }
    made = (
        project(configuration.git.remote, namespaces, target.argocd.namespace),
        application_set(configuration.git.remote, namespaces, target.argocd.namespace),
    )
    mark = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]
    made[1]["metadata"]["annotations"] = {MADE_FROM: mark}
    return made


def _template(remote: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "{{ .target }}-{{ .application }}",
            "labels": {"symphony/environment": "{{ .target }}", "symphony/application": "{{ .application }}"},
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": NAME,
            "source": {
                "repoURL": remote,
                "targetRevision": branch_of("{{ .target }}"),
                "path": "{{ .chart }}",
                "helm": {"releaseName": "{{ .application }}", "ignoreMissingValueFiles": True},
            },
            "destination": {"server": SERVER, "namespace": "{{ .namespace }}"},
            # The number of pods is an autoscaler's where one has set it.
            "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "managedFieldsManagers": [_AUTOSCALER]}],
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["CreateNamespace=false", "RespectIgnoreDifferences=true"],
                "retry": {"limit": 2, "backoff": {"duration": "2s", "factor": 2, "maxDuration": "10s"}},
            },
        },
    }
