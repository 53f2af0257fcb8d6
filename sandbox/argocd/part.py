"""The part ``argocd``: installed into the cluster, started, asked, and ended."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from typing import ClassVar

import httpx
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from sandbox import daemon, manifest, redis
from sandbox.argocd import applications, branches, fence, processes, settings
from sandbox.argocd.processes import Listeners
from sandbox.part import NotReadyError, Part
from sandbox.toolchain import crds
from sandbox.world import HOST, World
from symphony.errors import BadInputError, SymphonyError

_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 10.0
_CRDS = ("application", "applicationset", "appproject")
_KINDS = "/apis/argoproj.io/v1alpha1"
_CLOSED = 404
_SET_CONDITIONS = {"ErrorOccurred": "False", "ParametersGenerated": "True"}


class ArgoCD(Part):
    """Argo CD on the host, following the branches ``env/<environment>`` of the sandbox's Git remote."""

    name: ClassVar[str] = "argocd"
    needs: ClassVar[tuple[str, ...]] = ("kubernetes", "git")
    daemons: ClassVar[tuple[str, ...]] = processes.NAMES
    hint: ClassVar[str] = "Its settings and applications are objects in the cluster's namespace argocd."

    def ports(self, world: World) -> Mapping[str, int]:
        """Ports of the five processes that others ask; each has more for metrics and web hooks."""
        listeners = Listeners.of(world)
        return {
            processes.REDIS: world.ports.redis,
            processes.REPO_SERVER: world.ports.argocd_repo,
            processes.CONTROLLER: listeners.controller_metrics,
            processes.APPLICATION_SETS: listeners.sets_metrics,
            processes.API_SERVER: world.ports.argocd,
        }

    def start(self, world: World) -> None:
        """Write its settings into the cluster, start what does not run, and let it look at the branches at once."""
        branches.ensure(world)
        self._forget_another_cluster(world)
        with manifest.api(world) as connection:
            _install(world, connection)
            world.write(world.folder("argocd") / "redis.conf", processes.redis_settings(world))
            fence.put_up(world)
            for process in processes.daemons(world):
                process.start(world)
                if process.name == processes.REPO_SERVER:
                    # A generator that finds no repo-server is tried again only three minutes later.
                    self.wait(world, lambda: _repo_server(world))
            self._look_at_branches(world, connection)

    def check(self, world: World) -> None:
        """Ask every process for its health, and the ApplicationSet whether its branches could be read.

        Raises:
            NotReadyError: One is not well, and which.
        """
        redis.check(processes.REDIS, world.ports.redis, world.secret("redis-password"))
        _repo_server(world)
        listeners = Listeners.of(world)
        _answers(processes.CONTROLLER, listeners.controller_metrics, "/healthz")
        _answers(processes.APPLICATION_SETS, listeners.sets_metrics, "/metrics")
        _answers(processes.API_SERVER, world.ports.argocd, "/healthz?full=true")
        _application_set(world)

    def stop(self, world: World) -> None:
        """End its processes, and remove its checkouts and its firewall rule."""
        super().stop(world)
        fence.take_down(world)
        shutil.rmtree(world.state / "argocd", ignore_errors=True)

    def _look_at_branches(self, world: World, connection: ApiClient) -> None:
        """Have the branches read, and ask again where nothing came of it.

        The controller itself tries a look that failed again only three minutes later, whatever stood in its way.
        """
        where = manifest.path(applications.application_set(world))
        asked = -_ASK_AGAIN_SECONDS

        def looked() -> None:
            nonlocal asked
            if time.monotonic() - asked >= _ASK_AGAIN_SECONDS:
                asked = time.monotonic()
                # A value of its own each time: the controller wakes by a change alone.
                refresh = {"metadata": {"annotations": {applications.REFRESH: str(time.time_ns())}}}
                manifest.merge(connection, where, refresh)
            _application_set(world)

        self.wait(world, looked)

    def _forget_another_cluster(self, world: World) -> None:
        """End processes that a cluster made before this one still keeps busy; they would never look at the new one."""
        text = world.kubeconfig.read_bytes() + world.secret("redis-password").encode()
        mark, digest = world.folder("argocd") / "cluster", hashlib.sha256(text).hexdigest()
        if not mark.exists() or mark.read_text() != digest:
            for name in reversed(self.daemons):
                daemon.stop(world, name)
            world.write(mark, digest)


def _install(world: World, connection: ApiClient) -> None:
    secret = f"/api/v1/namespaces/{applications.NAMESPACE}/secrets/{settings.LOGIN_SECRET}"
    existing = manifest.read(connection, secret) or {}
    if existing and not settings.OWNER.items() <= existing["metadata"].get("labels", {}).items():
        raise BadInputError(
            f"The cluster has an Argo CD in its namespace {applications.NAMESPACE} already, and the sandbox would "
            "overwrite its settings; choose another cluster, or remove it."
        )
    folder = crds(world.cache)
    root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for name in _CRDS:
        where = f"{root}/{name}s.argoproj.io"
        manifest.apply_text(connection, where, (folder / f"{name}-crd.yaml").read_text())
    objects = (
        *settings.config_maps(world),
        settings.login_secret(world, existing.get("data") or {}),
        settings.repository_secret(world),
        settings.cluster_secret(),
    )
    for item in objects:
        manifest.apply(connection, item)
    ArgoCD().wait(world, lambda: _resources(world, connection))


def _resources(world: World, connection: ApiClient) -> None:
    """Objects of the new kinds; the API server serves a kind a moment after its definition, and lists it later still.

    A controller that looks the kind up in that list too early tries again ten seconds later.
    """
    listed = {item["name"] for item in (manifest.read(connection, _KINDS) or {}).get("resources", [])}
    if missing := {f"{name}s" for name in _CRDS} - listed:
        raise NotReadyError(f"the cluster does not list {', '.join(sorted(missing))} of Argo CD yet")
    items = (
        applications.project(world),
        applications.closed_default_project(),
        applications.application_set(world),
    )
    try:
        for item in items:
            manifest.apply(connection, item)
    except ApiException as error:
        if error.status == _CLOSED:
            raise NotReadyError("the cluster does not serve Argo CD's kinds yet") from error
        raise


def _repo_server(world: World) -> None:
    _answers(processes.REPO_SERVER, Listeners.of(world).repo_metrics, "/healthz?full=true")


def _answers(process: str, port: int, path: str) -> None:
    try:
        answer = httpx.get(f"http://{HOST}:{port}{path}", timeout=_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        raise NotReadyError(f"{process} does not answer on port {port}: {error}") from error
    if answer.status_code != httpx.codes.OK:
        raise NotReadyError(f"{process} says it is not well: {answer.text.strip()}")


def _application_set(world: World) -> None:
    try:
        with manifest.api(world) as connection:
            found = manifest.read(connection, manifest.path(applications.application_set(world)))
    except SymphonyError as error:
        raise NotReadyError(str(error)) from error
    if found is None:
        raise NotReadyError("the ApplicationSet symphony is missing")
    conditions = {item["type"]: item for item in found.get("status", {}).get("conditions", [])}
    if applications.REFRESH in found["metadata"].get("annotations", {}):
        failed = conditions.get("ErrorOccurred", {})
        said = f", after: {failed['message']}" if failed.get("status") == "True" else ""
        raise NotReadyError(f"the ApplicationSet symphony is being read anew{said}")
    for name, wanted in _SET_CONDITIONS.items():
        condition = conditions.get(name)
        if condition is None or condition["status"] != wanted:
            said = condition["message"] if condition else "nothing yet"
            raise NotReadyError(f"the ApplicationSet symphony cannot make its applications: {said}")
