"""The way in: what an environment's Ingresses promise, as what is asked and what must come of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from prefect import task
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from symphony.change import Change
from symphony.config import Ingress
from symphony.errors import SmokeError, SymphonyError
from symphony.models import Image
from symphony.smoke import ANNOTATION, Expected, Smoke
from tasks.answer import Target
from tasks.argocd import application_name
from tasks.kubernetes import INGRESSES, Object, cluster
from tasks.pods import selector
from tasks.retry import TRANSIENT

_TRACKING = "argocd.argoproj.io/tracking-id"
_ALB = "alb.ingress.kubernetes.io"
_MEETING = 4
"""How many times as often the version is asked: among pods that answer by turns, each must be met."""
_PORTS = {"http": 80, "https": 443}
_PATTERN = frozenset("*(^$|[\\?+")
"""What a path that only its controller understands may have; what stands before it is a path that can be asked."""


@dataclass(frozen=True)
class Entrance:
    """What is asked, and the only places that may be.

    Attributes:
        targets: One a host and path, the version of each host, and a host that nobody serves beside each.
        bases: What leads to each origin of the environment, such as ``http://hello.dev.localhost``.
    """

    targets: tuple[Target, ...]
    bases: Mapping[str, str]


@dataclass(frozen=True)
class Served:
    """One path of one host that an object of the cluster promises.

    Attributes:
        host: The host; empty for every one.
        path: The path.
        exact: Whether nothing below it is served.
        base: Scheme, host and port that lead to it.
        backend: What lies behind it, as an Ingress says it.
    """

    host: str
    path: str
    exact: bool
    base: str
    backend: Object = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Whether a path is this one, or below it."""
        plain = path.partition("?")[0]
        return plain == self.path if self.exact else f"{plain}/".startswith(f"{self.path.rstrip('/')}/")

    @property
    def name(self) -> str:
        """A host's name that may be asked: one of a wildcard's, or that of the address."""
        return self.host.replace("*", "smoke", 1) or urlsplit(self.base).hostname or ""


@task(name="read ingresses", task_run_name="read ingresses of {change.environment}", **TRANSIENT)
def read_targets(change: Change, images: Iterable[Image]) -> Entrance:
    """Everything that the Ingress objects of these applications promise, each host's version, and wrong hosts.

    Args:
        change: The commit being released.
        images: The applications, and the image that each must tell.

    Returns:
        What is to be asked, in order; nothing for an application without an Ingress.

    Raises:
        TransientError: The cluster could not be reached.
        SmokeError: A path is expected that none of them serves, or an annotation breaks a rule.
        SymphonyError: The cluster refused, or an Ingress has no address and the environment names none.
    """
    every = cluster(change.target).objects(INGRESSES.format(namespace=change.target.kubernetes.namespace))
    settings = change.target.ingress
    asked: list[Target] = []
    for image in images:
        smoke = change.configuration.applications[image.application].smoke
        own = [one for one in every if _belongs(one, change.environment, image.application)]
        promised = {one["metadata"]["name"]: served(one, settings) for one in own}
        _all_served("symphony.yaml", change, image, smoke.paths, [one for many in promised.values() for one in many])
        for one in own:
            here, expected = promised[one["metadata"]["name"]], annotated(one, smoke)
            _all_served(f"The annotation {ANNOTATION}", change, image, expected.paths.keys() - smoke.paths, here)
            asked += targets(here, image, expected)
    answering = settings.catch_all or any(not one.host for obj in every for one in served(obj, settings, strict=False))
    wrong = [] if answering else wrong_hosts(asked)
    each = {(one.application, one.url): one for one in asked}
    return Entrance((*each.values(), *wrong), bases(every, settings))


def served(ingress: Object, settings: Ingress, *, strict: bool = True) -> list[Served]:
    """What one Ingress promises.

    Args:
        ingress: The object.
        settings: How the environment is reached.
        strict: Whether one that has no address is an error, and not merely nothing.

    Raises:
        SymphonyError: There is no address to ask.
    """
    if not strict and not (settings.address or _place(ingress)):
        return []
    spec, found = ingress["spec"], []
    if backend := spec.get("defaultBackend"):
        found.append(Served("", "/", exact=False, base=base(ingress, "", settings), backend=backend))
    for rule in spec.get("rules") or []:
        host = rule.get("host", "")
        leads = base(ingress, host, settings)
        for one in (rule.get("http") or {}).get("paths") or []:
            path, kind = _plain(one.get("path") or "/", one.get("pathType", "")), one.get("pathType")
            found.append(Served(host, path, exact=kind == "Exact", base=leads, backend=one.get("backend") or {}))
    return found


def base(ingress: Object, host: str, settings: Ingress) -> str:
    """Scheme, host and port that lead to a host of an Ingress: the environment's, or else the load balancer's.

    Raises:
        SymphonyError: There is neither.
    """
    secure = is_secure(ingress, host)
    if given := (settings.tls_address if secure else None) or settings.address:
        return given
    if place := _place(ingress):
        return f"{'https' if secure else 'http'}://{place}"
    raise SymphonyError(
        f"The Ingress {ingress['metadata']['name']} has no load balancer yet, and symphony.yaml names no "
        "ingress.address; look at the ingress controller."
    )


def is_secure(ingress: Object, host: str) -> bool:
    """Whether a host is served by TLS: the Ingress says so, or the ALB is told by annotations."""
    told = ingress["metadata"].get("annotations") or {}
    if told.get(f"{_ALB}/certificate-arn") or "HTTPS" in told.get(f"{_ALB}/listen-ports", ""):
        return True
    wide = f"*.{host.partition('.')[2]}"
    return any(not tls.get("hosts") or {host, wide} & {*tls["hosts"]} for tls in ingress["spec"].get("tls") or [])


def targets(promised: Sequence[Served], image: Image, smoke: Smoke) -> list[Target]:
    """What is asked of what one object promises.

    Args:
        promised: Its paths.
        image: The application's image, which each host must tell.
        smoke: What is expected.
    """

    def target(one: Served, path: str, told: Image | None = None) -> Target:
        expected = smoke.paths.get(path, Expected())
        good = smoke.good * _MEETING if told else smoke.good
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


def wrong_hosts(asked: Iterable[Target]) -> list[Target]:
    """One host beside each that is asked, which nobody may serve: ``.invalid`` is nobody's (RFC 2606)."""
    first = {one.host: one for one in reversed(list(asked))}
    return [
        Target(one.application, f"{one.host}.invalid", one.path, one.base, good=1, served=False, backend=one.backend)
        for one in reversed(first.values())
    ]


def bases(every: Iterable[Object], settings: Ingress) -> dict[str, str]:
    """What leads to each origin that the environment's Ingresses serve, with the ingress's own port and without."""
    found: dict[str, str] = {}
    for ingress in every:
        for one in served(ingress, settings, strict=False):
            if one.host:
                parts = urlsplit(one.base)
                found[f"{parts.scheme}://{one.host}"] = one.base
                found[f"{parts.scheme}://{one.host}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"] = (
                    one.base
                )
    return found


def annotated(found: Object, smoke: Smoke) -> Smoke:
    """What is expected of one object: what its annotation says wins.

    Raises:
        SmokeError: The annotation breaks a rule.
    """
    text = (found["metadata"].get("annotations") or {}).get(ANNOTATION)
    if not text:
        return smoke
    try:
        given = YAML(typ="safe", pure=True).load(text)
        return smoke.with_annotation(dict(given))
    except (YAMLError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        raise SmokeError(
            f"The annotation {ANNOTATION} of {found['metadata']['name']} breaks a rule: {said}."
        ) from error


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


def _plain(path: str, kind: str) -> str:
    """A path that can be asked: what only its controller understands is cut off."""
    if kind in {"Prefix", "Exact"}:
        return path
    return "".join(_until(path)) or "/"


def _until(path: str) -> Iterator[str]:
    for letter in path:
        if letter in _PATTERN:
            return
        yield letter


def _belongs(found: Object, environment: str, application: str) -> bool:
    """By Kubernetes' recommended label, or else by Argo CD's tracking."""
    label, value = selector(application).split("=")
    meta = found["metadata"]
    if label in (meta.get("labels") or {}):
        return bool(meta["labels"][label] == value)
    tracked = (meta.get("annotations") or {}).get(_TRACKING, "")
    return str(tracked).startswith(f"{application_name(environment, application)}:")


def _place(ingress: Object) -> str:
    """Where the load balancer is; empty where there is none yet."""
    for one in ingress.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        if place := one.get("hostname") or one.get("ip"):
            return f"[{place}]" if ":" in place else str(place)
    return ""
