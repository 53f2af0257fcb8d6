"""The way in: what an environment's Ingresses promise, as what is asked and what must come of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from prefect import task

from symphony.change import Change
from symphony.errors import SmokeError
from symphony.models import Image
from symphony.outside import read_yaml, understood
from symphony.smoke import ANNOTATION, Expected, Smoke
from tasks.answer import Target
from tasks.argocd import application_name
from tasks.kubernetes import ENDPOINT_SLICES, INGRESSES, Object, cluster
from tasks.pods import selector
from tasks.promised import Served, served
from tasks.retry import TRANSIENT
from tasks.routes import read_routes, served_by_route

_TRACKING = "argocd.argoproj.io/tracking-id"
_MEETING = 4
"""How many times a pod the version is asked where several answer by turns: each must be met."""
_MOST = 100
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Entrance:
    """What is asked, and the only places that may be.

    Attributes:
        targets: One a host and path, the version of each host, and a host that nobody serves beside each.
        bases: What leads to each origin of the environment, such as ``http://hello.dev.localhost``.
    """

    targets: tuple[Target, ...]
    bases: Mapping[str, str]


@task(name="read ingresses", task_run_name="read ingresses of {change.environment}", **TRANSIENT)
def read_targets(change: Change, images: Iterable[Image]) -> Entrance:
    """Everything that the Ingresses and HTTPRoutes of these applications promise, each host's version, and wrong hosts.

    Args:
        change: The commit being released.
        images: The applications, and the image that each must tell.

    Returns:
        What is to be asked, in order; nothing for an application without an Ingress.

    Raises:
        TransientError: The cluster could not be reached.
        SmokeError: A path is expected that none of them serves, an annotation breaks a rule, or an Ingress has no
            address and the environment names none.
        SymphonyError: The cluster refused.
    """
    here, namespace = cluster(change.target), change.target.kubernetes.namespace
    settings = change.target.ingress
    routes, gateways = read_routes(here, namespace)
    promises = [
        *((one, served(one, settings)) for one in here.objects(INGRESSES.format(namespace=namespace))),
        *((one, served_by_route(one, gateways, settings)) for one in routes),
    ]
    pods = ready_endpoints(here.objects(ENDPOINT_SLICES.format(namespace=namespace)))
    asked: list[Target] = []
    for image in images:
        smoke = change.configuration.applications[image.application].smoke
        own = [(one, paths) for one, paths in promises if _belongs(one, change.environment, image.application)]
        _all_served("symphony.yaml", change, image, smoke.paths, [path for _, paths in own for path in paths])
        for one, paths in own:
            _all_led_to(one, paths)
            expected = annotated(one, smoke)
            _all_served(f"The annotation {ANNOTATION}", change, image, expected.paths.keys() - smoke.paths, paths)
            asked += targets(paths, image, expected, pods)
    every = [path for _, paths in promises for path in paths if path.base]
    wrong = [] if settings.catch_all or not all(one.host for one in every) else wrong_hosts(asked)
    each = {(one.application, one.url): one for one in asked}
    return Entrance((*each.values(), *wrong), bases(every))


def targets(
    promised: Sequence[Served], image: Image, smoke: Smoke, pods: Mapping[str, int] | None = None
) -> list[Target]:
    """What is asked of what one object promises.

    Args:
        promised: Its paths.
        image: The application's image, which each host must tell.
        smoke: What is expected.
        pods: How many endpoints of each Service are ready; one by default.
    """
    with understood("What an Ingress promises"):
        return _targets(promised, image, smoke, pods)


def _targets(
    promised: Sequence[Served], image: Image, smoke: Smoke, pods: Mapping[str, int] | None = None
) -> list[Target]:
    def target(one: Served, path: str, told: Image | None = None) -> Target:
        expected = smoke.paths.get(path, Expected())
        several = (pods or {}).get((one.backend.get("service") or {}).get("name", ""), 1)
        good = min(_MOST, max(smoke.good, _MEETING * several)) if told and several > 1 else smoke.good
        return Target(image.application, one.name, path, one.base, expected, told, good, backend=one.backend)

    found: list[Target] = []
    for host in dict.fromkeys(one.host for one in promised):
        here = [one for one in promised if one.host == host]
        found += [target(one, one.path) for one in here]
        further = [path for path in smoke.paths if path not in {one.path for one in here}]
        found += [target(way, path) for path in further if (way := _way(here, path))]
        prefixes = sorted((one for one in here if not one.exact), key=lambda one: one.path)
        if prefixes and smoke.version:
            path = f"{prefixes[0].path.rstrip('/')}{smoke.version}"
            found = [one for one in found if (one.host, one.path) != (prefixes[0].name, path)]
            found.append(target(_way(here, path) or prefixes[0], path, image))
    return found


def ready_endpoints(slices: Iterable[Object]) -> dict[str, int]:
    """How many endpoints of each Service are ready, those on their way out that still serve among them."""
    found: dict[str, int] = {}
    for one in slices:
        told = [endpoint.get("conditions") or {} for endpoint in one.get("endpoints") or []]
        serving = sum(each.get("ready") is not False or bool(each.get("serving")) for each in told)
        name = one["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        found[name] = found.get(name, 0) + serving
    return found


def wrong_hosts(asked: Iterable[Target]) -> list[Target]:
    """One host beside each that is asked, which nobody may serve: ``.invalid`` is nobody's (RFC 2606)."""
    first = {one.host: one for one in reversed(list(asked))}
    return [
        Target(one.application, f"{one.host}.invalid", one.path, one.base, good=1, served=False, backend=one.backend)
        for one in reversed(first.values())
    ]


def bases(every: Iterable[Served]) -> dict[str, str]:
    """What leads to each origin that the environment serves, with the ingress's own port and without."""
    found: dict[str, str] = {}
    for one in every:
        if one.host:
            parts = urlsplit(one.base)
            port = parts.port or _PORTS[parts.scheme]
            found |= dict.fromkeys((f"{parts.scheme}://{one.host}", f"{parts.scheme}://{one.host}:{port}"), one.base)
    return found


def annotated(found: Object, smoke: Smoke) -> Smoke:
    """What is expected of one object: what its annotation says wins.

    Raises:
        SmokeError: The annotation breaks a rule.
    """
    with understood("The metadata of an Ingress"):
        name, text = found["metadata"]["name"], (found["metadata"].get("annotations") or {}).get(ANNOTATION)
    if not text:
        return smoke
    try:
        given = read_yaml(text)
        return smoke.with_annotation(dict(given))
    except (ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        raise SmokeError(f"The annotation {ANNOTATION} of {name} breaks a rule: {said}.") from error


def _all_led_to(found: Object, promised: Iterable[Served]) -> None:
    """Raise where nothing leads to what is promised."""
    if not all(one.base for one in promised):
        raise SmokeError(
            f"Nothing leads to {found['metadata']['name']} yet: its Ingress has no load balancer, or its Gateway no "
            "address, and symphony.yaml names no ingress.address; look at the ingress controller."
        )


def _all_served(where: str, change: Change, image: Image, paths: Iterable[str], promised: Sequence[Served]) -> None:
    """Raise where a path is expected that no Ingress promises."""
    if missing := sorted(path for path in paths if not _way(promised, path)):
        name = image.application
        raise SmokeError(
            f"{where} expects {', '.join(missing)} of {name}, which no Ingress of {name} in {change.environment} "
            "serves; correct the chart's hosts and paths, or what is expected."
        )


def _way(promised: Iterable[Served], path: str) -> Served | None:
    """The way that a path takes: an exact one first, then the longest."""
    ways = [one for one in promised if one.covers(path)]
    return max(ways, key=lambda one: (one.exact, len(one.path)), default=None)


def _belongs(found: Object, environment: str, application: str) -> bool:
    """By Kubernetes' recommended label, or else by Argo CD's tracking."""
    label, value = selector(application).split("=")
    meta = found["metadata"]
    if label in (meta.get("labels") or {}):
        return bool(meta["labels"][label] == value)
    tracked = (meta.get("annotations") or {}).get(_TRACKING, "")
    return str(tracked).startswith(f"{application_name(environment, application)}:")
