"""Argo CD's processes: their arguments, environment and ports, all on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import redis
from sandbox.argocd.applications import NAMESPACE
from sandbox.daemon import Daemon
from sandbox.world import BRIDGE_ADDRESS, HOST, World

REDIS = "argocd-redis"
REPO_SERVER = "argocd-repo-server"
CONTROLLER = "argocd-application-controller"
APPLICATION_SETS = "argocd-applicationset-controller"
API_SERVER = "argocd-server"
NAMES = (REDIS, REPO_SERVER, CONTROLLER, APPLICATION_SETS, API_SERVER)

PAGE = "applications.html"
"""The sandbox's page on Argo CD's API, in place of the UI, whose built files are not in Argo CD's Go module."""
_PAGE = Path(__file__).with_name("page")
_KUBECTL_AT_ONCE = 4
_HEAL_SECONDS = 5


@dataclass(frozen=True)
class Listeners:
    """Ports beside those that people use: metrics, probes and web hooks."""

    repo_metrics: int
    controller_metrics: int
    sets_metrics: int
    sets_webhook: int
    server_metrics: int

    @classmethod
    def of(cls, world: World) -> Listeners:
        """The five ports from ``argocd_metrics`` on."""
        first = world.ports.argocd_metrics
        return cls(first, first + 1, first + 2, first + 3, first + 4)


def redis_settings(world: World) -> str:
    """Redis keeps rendered manifests and nothing that is not found again: no file is written."""
    lines = ('save ""', "appendonly no", "maxmemory 64mb", "maxmemory-policy allkeys-lru")
    return redis.settings(world.ports.redis, world.secret("redis-password"), world.folder("argocd"), *lines)


def environment(world: World) -> Mapping[str, str]:
    """What every process of Argo CD gets: nothing of it reaches outside the state folder, memory is kept small."""
    home = world.folder("argocd", "home")
    direct = f"{HOST},localhost,{BRIDGE_ADDRESS}"
    return {
        "KUBECONFIG": str(world.kubeconfig),
        "HOME": str(home),
        "TMPDIR": str(world.folder("argocd", "tmp")),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_TLS_DATA_PATH": str(world.folder("argocd", "tls")),
        "ARGOCD_SSH_DATA_PATH": str(world.folder("argocd", "ssh")),
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_GNUPGHOME": str(home / "gnupg"),
        "ARGOCD_ASK_PASS_SOCK": str(world.folder("argocd") / "askpass.sock"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(world.folder("argocd", "plugins")),
        "ARGOCD_RECONCILIATION_TIMEOUT": "120s",
        "REDIS_PASSWORD": world.secret("redis-password"),
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": direct,
        "no_proxy": direct,
        "GOGC": "50",
        "GOMEMLIMIT": "256MiB",
    }


def daemons(world: World) -> tuple[Daemon, ...]:
    """The five processes, in the order they start."""
    ports, listeners = world.ports, Listeners.of(world)
    variables = environment(world)
    logs = ("--loglevel", "warn", "--logformat", "text")
    cache = ("--redis", f"{HOST}:{ports.redis}")
    # The repo-server knows no clients' credentials; loopback is what keeps others away, so TLS would add nothing.
    repo = (f"{HOST}:{ports.argocd_repo}", "--repo-server-plaintext")
    cluster = ("--namespace", NAMESPACE)

    def process(name: str, *arguments: str | int) -> Daemon:
        return Daemon(name, (world.tool(name), *map(str, arguments), *logs), env=variables)

    return (
        Daemon(REDIS, (world.tool("redis-server"), world.state / "argocd" / "redis.conf")),
        process(
            REPO_SERVER,
            *("--address", HOST, "--port", ports.argocd_repo, "--disable-tls"),
            *("--metrics-address", HOST, "--metrics-port", listeners.repo_metrics),
            *("--parallelismlimit", _KUBECTL_AT_ONCE, *cache),
        ),
        process(
            CONTROLLER,
            *(*cluster, *cache, "--repo-server", *repo, "--metrics-port", listeners.controller_metrics),
            *("--status-processors", 4, "--operation-processors", 4, "--kubectl-parallelism-limit", _KUBECTL_AT_ONCE),
            # Healing waits after a sync: at once, it would repeat each sync whose changes the watch has yet to report.
            *("--self-heal-backoff-timeout-seconds", 0, "--self-heal-timeout-seconds", _HEAL_SECONDS),
        ),
        process(
            APPLICATION_SETS,
            *(*cluster, "--argocd-repo-server", *repo, "--metrics-addr", f"{HOST}:{listeners.sets_metrics}"),
            # Its probes know no check and answer 404; they stay closed.
            *("--probe-addr", "0", "--webhook-addr", f"{HOST}:{listeners.sets_webhook}"),
            *("--enable-scm-providers=false", "--policy", "sync", "--concurrent-reconciliations", 1),
        ),
        process(
            API_SERVER,
            *(*cluster, *cache, "--repo-server", *repo, "--insecure", "--address", HOST, "--port", ports.argocd),
            *("--metrics-address", HOST, "--metrics-port", listeners.server_metrics),
            *("--staticassets", str(_PAGE)),
        ),
    )
