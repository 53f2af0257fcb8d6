"""The control plane: etcd, API server, controller manager and scheduler, each with credentials of its own."""

from __future__ import annotations

import platform

from sandbox.daemon import Daemon
from sandbox.kubernetes import kubeconfig
from sandbox.kubernetes.certificates import AUTHORITY, SERVICE_ACCOUNTS
from sandbox.kubernetes.layout import DOMAIN, NODE, Layout
from sandbox.world import BRIDGE_ADDRESS, HOST, POD_SUBNET, SERVICE_SUBNET

_GRACE_SECONDS = 4.0


def etcd(layout: Layout) -> Daemon:
    """The store, which takes none but the authority's client certificates."""
    peer = f"https://{HOST}:{layout.world.ports.etcd_peer}"
    authority = layout.certificate(AUTHORITY)
    return Daemon(
        "etcd",
        [
            layout.world.tool("etcd"),
            f"--name={NODE}",
            f"--data-dir={layout.root / 'etcd'}",
            f"--listen-client-urls={layout.etcd}",
            f"--advertise-client-urls={layout.etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={NODE}={peer}",
            "--client-cert-auth=true",
            f"--trusted-ca-file={authority}",
            f"--cert-file={layout.certificate('etcd')}",
            f"--key-file={layout.key('etcd')}",
            "--peer-client-cert-auth=true",
            f"--peer-trusted-ca-file={authority}",
            f"--peer-cert-file={layout.certificate('etcd')}",
            f"--peer-key-file={layout.key('etcd')}",
            # A small store: history and write-ahead log are kept short to keep memory low.
            "--snapshot-count=5000",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=5m",
            "--logger=zap",
            "--log-level=warn",
        ],
        env={"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {},
        grace=_GRACE_SECONDS,
    )


def api_server(layout: Layout) -> Daemon:
    """The API server, on the bridge alone: the network outside has no way to it."""
    service_accounts = layout.key(SERVICE_ACCOUNTS)
    return Daemon(
        "kube-apiserver",
        [
            layout.world.tool("kube-apiserver"),
            f"--etcd-servers={layout.etcd}",
            f"--etcd-cafile={layout.certificate(AUTHORITY)}",
            f"--etcd-certfile={layout.certificate('apiserver-etcd-client')}",
            f"--etcd-keyfile={layout.key('apiserver-etcd-client')}",
            f"--bind-address={BRIDGE_ADDRESS}",
            f"--advertise-address={BRIDGE_ADDRESS}",
            f"--secure-port={layout.world.ports.kubernetes}",
            f"--tls-cert-file={layout.certificate('kube-apiserver')}",
            f"--tls-private-key-file={layout.key('kube-apiserver')}",
            "--tls-min-version=VersionTLS12",
            f"--client-ca-file={layout.certificate(AUTHORITY)}",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={layout.pki / f'{SERVICE_ACCOUNTS}.pub'}",
            f"--service-account-signing-key-file={service_accounts}",
            f"--kubelet-certificate-authority={layout.certificate(AUTHORITY)}",
            f"--kubelet-client-certificate={layout.certificate('apiserver-kubelet-client')}",
            f"--kubelet-client-key={layout.key('apiserver-kubelet-client')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--event-ttl=2h",
            "--profiling=false",
        ],
        grace=_GRACE_SECONDS,
    )


def controller_manager(layout: Layout) -> Daemon:
    """The controllers; alone, so without a leader's election, and without a port of their own."""
    return Daemon(
        "kube-controller-manager",
        [
            layout.world.tool("kube-controller-manager"),
            f"--kubeconfig={kubeconfig.path(layout, 'kube-controller-manager')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={layout.key(SERVICE_ACCOUNTS)}",
            f"--root-ca-file={layout.certificate(AUTHORITY)}",
            f"--cluster-cidr={POD_SUBNET}",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            "--allocate-node-cidrs=false",
            "--profiling=false",
        ],
        grace=_GRACE_SECONDS,
    )


def scheduler(layout: Layout) -> Daemon:
    """The scheduler, likewise alone."""
    return Daemon(
        "kube-scheduler",
        [
            layout.world.tool("kube-scheduler"),
            f"--kubeconfig={kubeconfig.path(layout, 'kube-scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ],
        grace=_GRACE_SECONDS,
    )
