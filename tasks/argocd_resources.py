"""Argo CD reached by its own resources, through the Kubernetes API of the cluster that it runs in."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from symphony.application_set import NAME
from symphony.models import Commit
from tasks.kubernetes import APPLICATION_SETS, APPLICATIONS, PROJECTS, Cluster, ConflictError, Object

REFRESH = "argocd.argoproj.io/refresh"
"""Makes the controller compare at once, with the branch resolved anew; it is taken off together with the answer."""
SET_REFRESH = "argocd.argoproj.io/application-set-refresh"


class Resources:
    """Argo CD as Kubernetes shows it; needs rights on Applications and ApplicationSets, and no login."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """The cluster and the namespace that it runs in."""
        self._cluster = cluster
        self._applications = APPLICATIONS.format(namespace=namespace)
        self._projects = PROJECTS.format(namespace=namespace)
        self._sets = APPLICATION_SETS.format(namespace=namespace)
        self._set = f"{self._sets}/{NAME}"

    def set(self) -> Object | None:
        """The ApplicationSet; None where there is none.

        Raises:
            TransientError: The cluster could not be reached.
        """
        return self._cluster.get(self._set)

    def make(self, project: Object, application_set: Object) -> None:
        """Make the project and the ApplicationSet as they are given, or bring those that are there to that.

        Raises:
            TransientError: The cluster could not be reached.
            SymphonyError: It refuses, or has no Argo CD.
        """
        self._cluster.apply(f"{self._projects}/{project['metadata']['name']}", project)
        self._cluster.apply(f"{self._sets}/{application_set['metadata']['name']}", application_set)

    def refresh(self, name: str) -> None:
        """Make it compare an application now, where it has one of that name.

        Raises:
            TransientError: The cluster could not be reached.
        """
        self._cluster.merge(f"{self._applications}/{name}", {"metadata": {"annotations": {REFRESH: "normal"}}})

    def refresh_set(self) -> None:
        """Make the ApplicationSet look for new and removed applications now.

        Raises:
            TransientError: The cluster could not be reached.
        """
        self._cluster.merge(self._set, {"metadata": {"annotations": {SET_REFRESH: "true"}}})

    def get(self, name: str) -> Object | None:
        """The Application; None where there is none.

        Raises:
            TransientError: The cluster could not be reached.
        """
        return self._cluster.get(f"{self._applications}/{name}")

    def project(self, application: Object) -> Object | None:
        """The AppProject that an Application is in; None where there is none.

        Raises:
            TransientError: The cluster could not be reached.
        """
        name = application["spec"].get("project") or "default"
        return self._cluster.get(f"{self._projects}/{name}")

    def sync(self, application: Object, commit: Commit) -> bool:
        """Sync to a commit by the application's own options; false where somebody else was faster.

        Raises:
            TransientError: The cluster could not be reached.
        """
        policy = application["spec"].get("syncPolicy") or {}
        asked: Object = {"revision": commit, "prune": True, "syncOptions": policy.get("syncOptions", [])}
        by = {"username": "symphony"}
        operation = {"initiatedBy": by, "sync": asked, "retry": policy.get("retry") or {"limit": 0}}
        # As Argo CD's own API does: what is left of the operation before would be merged into this one's state.
        return self._if_unchanged(application, {"operation": operation, "status": {"operationState": None}})

    def terminate(self, application: Object) -> bool:
        """End the sync that runs, with the hooks that it waits for; false where it changed meanwhile.

        Raises:
            TransientError: The cluster could not be reached.
        """
        # What Argo CD's own API does: https://argo-cd.readthedocs.io/en/stable/user-guide/commands/argocd_app_terminate-op/
        return self._if_unchanged(application, {"status": {"operationState": {"phase": "Terminating"}}})

    def watch(self, deadline: float, stop: threading.Event, name: str = "") -> Iterator[tuple[str, Object]]:
        """Every change of the Applications, or of one; see `Cluster.watch`.

        Raises:
            SymphonyError: The cluster refuses.
        """
        one = {"fieldSelector": f"metadata.name={name}"} if name else {}
        return self._cluster.watch(self._applications, deadline, stop, **one)

    def unwell(self, name: str) -> tuple[str, ...]:
        """Nothing: Argo CD tells the health of single resources by its API alone since 3.0."""
        del name
        return ()

    def _if_unchanged(self, application: Object, change: Object) -> bool:
        """Merge a change where nobody else has changed the Application since it was read."""
        about = application["metadata"]
        version = {"metadata": {"resourceVersion": about.get("resourceVersion")}}
        try:
            return self._cluster.merge(f"{self._applications}/{about['name']}", {**change, **version}) is not None
        except ConflictError:
            return False
