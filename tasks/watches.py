"""What a wait sees: the Applications, Deployments and pods of some applications, each kind by a watch of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from symphony.config import Environment
from symphony.errors import SymphonyError
from tasks.argocd import Access
from tasks.kubernetes import DEPLOYMENTS, PODS, Cluster, Object
from tasks.pods import NAME

_TICK = 0.25


class Watches:
    """Three watches, however many applications there are; what they tell is taken in by `take`.

    Attributes:
        applications: Argo CD's Applications, by name.
        complete: Whether all the Applications that there are have been told.
    """

    def __init__(self, target: Environment, here: Cluster, argocd: Access, names: Mapping[str, str]) -> None:
        """Nothing is watched before `begin`; the names are those of the applications, by that of their Application."""
        self._target, self._cluster, self._argocd, self._names = target, here, argocd, names
        self._stop = threading.Event()
        self._events: queue.Queue[tuple[str, str, Object | SymphonyError]] = queue.Queue()
        self.applications: dict[str, Object] = {}
        self.complete = False
        self._kept: dict[str, dict[str, Object]] = {"applications": self.applications, "deployments": {}, "pods": {}}
        self._grouped: dict[str, dict[str, list[Object]]] = {}

    def begin(self, deadline: float) -> None:
        """Watch until `end`, or the deadline on `time.monotonic`'s clock."""
        one = next(iter(self._names)) if len(self._names) == 1 else ""
        self._follow("applications", lambda: self._argocd.watch(deadline, self._stop, one))
        chosen = {"labelSelector": f"{NAME} in ({','.join(sorted(self._names.values()))})"}
        for what, path in (("deployments", DEPLOYMENTS), ("pods", PODS)):
            where = path.format(namespace=self._target.kubernetes.namespace)
            self._follow(what, partial(self._cluster.watch, where, deadline, self._stop, **chosen))

    def end(self) -> None:
        """Watch no more."""
        self._stop.set()

    def take(self) -> None:
        """Wait a moment for news, then take in all there is.

        Raises:
            SymphonyError: The cluster, or Argo CD, refuses to be watched.
        """
        try:
            news = [self._events.get(timeout=_TICK)]
            while not self._events.empty():
                news.append(self._events.get_nowait())
        except queue.Empty:
            return
        for what, kind, found in news:
            if isinstance(found, SymphonyError):
                raise found
            self._store(self._kept[what], kind, found)
            self._grouped.pop(what, None)
            self.complete = self.complete or what == "applications"

    def deployments(self, application: str) -> Collection[Object]:
        """The Deployments of an application."""
        return self._of("deployments", application)

    def pods(self, application: str) -> Collection[Object]:
        """The pods of an application."""
        return self._of("pods", application)

    def _of(self, what: str, application: str) -> Collection[Object]:
        if what not in self._grouped:
            groups = self._grouped[what] = {}
            for one in self._kept[what].values():
                groups.setdefault(one["metadata"].get("labels", {}).get(NAME, ""), []).append(one)
        return self._grouped[what].get(application, [])

    def _follow(self, what: str, watch: Callable[[], Iterator[tuple[str, Object]]]) -> None:
        def follow() -> None:
            try:
                for kind, found in watch():
                    self._events.put((what, kind, found))
            except SymphonyError as error:
                self._events.put((what, "REFUSED", error))

        threading.Thread(target=follow, name=f"watch {what}", daemon=True).start()

    @staticmethod
    def _store(into: dict[str, Object], kind: str, found: Object) -> None:
        if kind == "SYNCED":
            into.clear()
            into.update({one["metadata"]["name"]: one for one in found["items"]})
        elif kind == "DELETED":
            into.pop(found["metadata"]["name"], None)
        else:
            into[found["metadata"]["name"]] = found
