"""The kubelet, and the credential provider by which it pulls with the ECR login."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sandbox.daemon import Daemon
from sandbox.kubernetes import credential_provider, kubeconfig
from sandbox.kubernetes.certificates import AUTHORITY
from sandbox.kubernetes.layout import CGROUP, DOMAIN, KUBELET_PORT, NODE, Layout, yaml_text
from sandbox.world import BRIDGE_ADDRESS, HOST, REGION

_PROVIDER = "ecr-credential-provider"


def configuration(layout: Layout) -> dict[str, Any]:
    """The kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": BRIDGE_ADDRESS,
        "port": KUBELET_PORT,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.certificate(AUTHORITY))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.certificate("kubelet")),
        "tlsPrivateKeyFile": str(layout.key("kubelet")),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Lowering a score needs CAP_SYS_RESOURCE, which sandboxed machines lack.
        "oomScoreAdj": 0,
        "clusterDNS": [BRIDGE_ADDRESS],
        "clusterDomain": DOMAIN,
        "podLogsDir": str(layout.pod_logs),
        "volumePluginDir": str(layout.kubelet / "volume-plugins"),
        # The machine is a person's own: its full disk is no reason to evict or to delete what cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "serializeImagePulls": False,
        "maxParallelImagePulls": 4,
        "registryPullQPS": 0,
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
        "logging": {"verbosity": 1},
    }


def provider_configuration(layout: Layout) -> dict[str, Any]:
    """Which images the credential provider answers for, and what it is told."""
    world = layout.world
    return {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [
            {
                "name": _PROVIDER,
                "apiVersion": credential_provider.API_VERSION,
                "matchImages": [f"{HOST}:{world.ports.ecr}"],
                "defaultCacheDuration": "0s",
                "args": [world.aws_endpoint, REGION],
                "env": [
                    {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": str(world.state / "aws" / "credentials")},
                    {"name": "AWS_CONFIG_FILE", "value": str(world.state / "aws" / "config")},
                ],
            }
        ],
    }


def provider_script() -> str:
    """The program that the kubelet runs: this interpreter, with this project's code, whatever PATH says."""
    source = Path(__file__).resolve().parents[2]
    return (
        f"#!{sys.executable}\n"
        "import sys\n\n"
        f"sys.path.insert(0, {str(source)!r})\n\n"
        "from sandbox.kubernetes.credential_provider import main\n\n"
        "sys.exit(main())\n"
    )


def kubelet(layout: Layout) -> Daemon:
    """The daemon; its configuration is written here."""
    configured = layout.write("kubelet.yaml", yaml_text(configuration(layout)))
    providers = layout.write("credential-providers.yaml", yaml_text(provider_configuration(layout)))
    script = layout.write(f"credential-providers/{_PROVIDER}", provider_script(), mode=0o700)
    return Daemon(
        "kubelet",
        [
            layout.world.tool("kubelet"),
            f"--config={configured}",
            f"--kubeconfig={kubeconfig.path(layout, 'kubelet')}",
            f"--hostname-override={NODE}",
            f"--node-ip={BRIDGE_ADDRESS}",
            f"--root-dir={layout.kubelet}",
            f"--cert-dir={layout.kubelet / 'pki'}",
            f"--image-credential-provider-config={providers}",
            f"--image-credential-provider-bin-dir={script.parent}",
        ],
        grace=4.0,
    )
