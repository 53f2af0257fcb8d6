"""The Kubernetes part: brings the cluster up, repairs it, and takes it away whole."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from sandbox import daemon
from sandbox.daemon import Daemon
from sandbox.kubernetes import (
    certificates,
    cluster,
    container_runtime,
    control_plane,
    dns,
    firewall,
    kubeconfig,
    kubelet,
    leftovers,
    network,
    proxy,
)
from sandbox.kubernetes.layout import Layout
from sandbox.part import NotReadyError, Part
from sandbox.world import World
from symphony.errors import BadInputError

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class KubernetesPart(Part):
    """A control plane and one node; namespaces for the environments and for Argo CD."""

    name: ClassVar[str] = "kubernetes"
    daemons: ClassVar[tuple[str, ...]] = (
        "etcd",
        "kube-apiserver",
        "containerd",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "coredns",
    )
    limit: ClassVar[float] = 90.0
    hint: ClassVar[str] = (
        "It needs root, cgroups, overlay file systems and iptables of this machine; `symphony doctor` checks them."
    )

    def ports(self, world: World) -> Mapping[str, int]:
        """Ports of etcd, and of the API server, which takes its port on the bridge's address."""
        return {"etcd": world.ports.etcd, "kube-apiserver": world.ports.kubernetes}

    def start(self, world: World) -> None:
        """Bring the cluster up, or repair it: what runs is left, what died is started, what it left is recovered."""
        layout = Layout(world)
        if os.geteuid():
            raise BadInputError("The sandbox's cluster needs root (namespaces, mounts, iptables); use sudo.")
        layout.check_length()
        self._forget_the_dead(world)
        self._remember_the_machine(layout)
        self._forget_the_last_boot(layout)
        network.setup(layout)
        firewall.setup(world)
        leftovers.make_cgroups()
        certificates.ensure(layout)
        kubeconfig.write(layout)
        control_plane.etcd(layout).start(world)
        control_plane.api_server(layout).start(world)
        with ThreadPoolExecutor() as side_by_side:
            _all(
                side_by_side.submit(self._start_node, layout),
                side_by_side.submit(self._start_control_loops, layout),
            )

    def check(self, world: World) -> None:
        """Ask every component; the node must be Ready and the cluster's names must resolve.

        Raises:
            NotReadyError: One is not as it should be, and why.
        """
        layout = Layout(world)
        alive = daemon.recorded(world)
        if missing := [name for name in self.daemons if name not in alive]:
            raise NotReadyError(f"{', '.join(missing)} {'does' if len(missing) == 1 else 'do'} not run")
        cluster.check_node(layout)
        cluster.check_proxy()
        dns.check()

    def stop(self, world: World) -> None:
        """Take away the cluster and every trace of it on the machine, from any state it may be in."""
        layout = Layout(world)
        before = _before(layout)
        with ThreadPoolExecutor() as side_by_side:
            # Nothing of what they would still write outlives this.
            list(side_by_side.map(lambda name: daemon.stop(world, name, grace=1.0), self.daemons))
        leftovers.end_processes(layout)
        if not layout.root.exists() and not network.exists():
            # Whatever else the machine has is another cluster's.
            return
        leftovers.unmount(layout)
        network.remove(layout)
        firewall.cleanup(world, before.get("chains", []))
        leftovers.remove_cgroups()
        network.restore(before.get("sysctls", {}))
        leftovers.remove_files(layout, before.get("folders"))

    def _start_node(self, layout: Layout) -> None:
        world = layout.world
        container_runtime.containerd(layout).start(world)
        self.wait(world, lambda: container_runtime.check(layout))
        container_runtime.import_pause(layout)
        self._start_after_api(layout, [kubelet.kubelet(layout), proxy.kube_proxy(layout)])

    def _start_control_loops(self, layout: Layout) -> None:
        importlib.import_module("kubernetes")  # takes seconds on a busy machine, which the API server needs anyway
        self._start_after_api(
            layout, [control_plane.controller_manager(layout), control_plane.scheduler(layout), dns.coredns(layout)]
        )
        cluster.furnish(layout)

    def _start_after_api(self, layout: Layout, daemons: Iterable[Daemon]) -> None:
        """Their first request would fail before, and be repeated only after a growing pause."""
        self.wait(layout.world, lambda: cluster.check_api(layout))
        for each in daemons:
            each.start(layout.world)

    def _forget_the_dead(self, world: World) -> None:
        """A record of a process that was killed would be taken for one that just failed."""
        alive = daemon.recorded(world)
        for name in self.daemons:
            if name not in alive:
                daemon.stop(world, name)
        leftovers.end_strays(Layout(world), alive.values())

    def _remember_the_machine(self, layout: Layout) -> None:
        """Keep what ``stop`` restores; the first start alone sees the machine as it was."""
        if not layout.before.exists():
            before = {
                "sysctls": network.sysctls(),
                "folders": leftovers.present(),
                "chains": firewall.foreign_chains(layout.world),
            }
            layout.write(layout.before.name, json.dumps(before, indent=2) + "\n")

    def _forget_the_last_boot(self, layout: Layout) -> None:
        """After a reboot no shim, mount or namespace that containerd remembers is there any more."""
        boot = _BOOT.read_text()
        path = layout.root / "boot"
        if path.exists() and path.read_text() != boot:
            leftovers.remove_runtime_state(layout)
        layout.write(path.name, boot)


def _before(layout: Layout) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(layout.before.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _all(*futures: Future[None]) -> None:
    """Wait for all, and raise the first failure."""
    for future in futures:
        future.result()
