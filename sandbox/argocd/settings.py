"""Argo CD's own settings, which it reads from the cluster: ConfigMaps, Secrets, and who may do what."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import bcrypt

from sandbox.argocd.applications import CLUSTER, NAMESPACE, PROJECT
from sandbox.argocd.session import url
from sandbox.manifest import Manifest
from sandbox.world import ENVIRONMENTS, World

LOGIN_SECRET = "argocd-secret"  # noqa: S105 - the name of an object
OWNER = {"app.kubernetes.io/managed-by": "symphony-sandbox"}
"""Label that tells our Argo CD's settings from those of one that a user's cluster has already."""
_WEBHOOK_KEYS = (
    "webhook.azuredevops.password",
    "webhook.azuredevops.username",
    "webhook.bitbucket.uuid",
    "webhook.bitbucketserver.secret",
    "webhook.github.secret",
    "webhook.gitlab.secret",
    "webhook.gogs.secret",
)
# Objects that no chart declares and that change all the time; Argo CD's own default list, as far as it exists here.
_EXCLUSIONS = """\
- apiGroups: ["", discovery.k8s.io]
  kinds: [Endpoints, EndpointSlice]
- apiGroups: [coordination.k8s.io]
  kinds: [Lease]
- apiGroups: [authentication.k8s.io, authorization.k8s.io]
  kinds: ["*"]
- apiGroups: [certificates.k8s.io]
  kinds: [CertificateSigningRequest]
"""


def config_maps(world: World) -> list[Manifest]:
    """Argo CD's ConfigMaps: only Helm charts, no anonymous user, and no rights for a user without a role."""
    settings = {
        "url": url(world),
        "kustomize.enable": "false",
        "jsonnet.enable": "false",
        "resource.exclusions": _EXCLUSIONS,
        "resource.customizations.ignoreResourceUpdates.all": "jsonPointers: [/status]\n",
    }
    rights = {"policy.default": "", "scopes": "[groups]"}
    return [
        _object("ConfigMap", "argocd-cm", data=settings),
        _object("ConfigMap", "argocd-rbac-cm", data=rights),
        _object("ConfigMap", "argocd-tls-certs-cm", data={}),
        _object("ConfigMap", "argocd-ssh-known-hosts-cm", data={"ssh_known_hosts": ""}),
    ]


def login_secret(world: World, existing: Mapping[str, str]) -> Manifest:
    """Password of the user ``admin`` and the key that signs sessions.

    Args:
        world: The sandbox.
        existing: Data of the secret as it is, base64; a hash that still fits is kept, since a new one ends sessions.
    """
    password = world.secret("argocd-password").encode()
    hashed = base64.b64decode(existing.get("admin.password", ""))
    changed = base64.b64decode(existing.get("admin.passwordMtime", "")).decode()
    if not (changed and _fits(password, hashed)):
        hashed = bcrypt.hashpw(password, bcrypt.gensalt(rounds=10))
        changed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = {
        "admin.password": hashed.decode(),
        "admin.passwordMtime": changed,
        "server.secretkey": world.secret("argocd-session-key"),
    }
    # Without a secret each of these web hooks would believe anyone.
    data |= dict.fromkeys(_WEBHOOK_KEYS, world.secret("argocd-webhook"))
    return _object("Secret", LOGIN_SECRET, stringData=data)


def repository_secret(world: World) -> Manifest:
    """Credentials for the Git remote, for the one project that may read it."""
    data = {
        "type": "git",
        "url": world.git_remote,
        "project": PROJECT,
        "username": "symphony",
        "password": world.secret("git-password"),
    }
    return _object("Secret", "repository-platform", "repository", stringData=data)


def cluster_secret() -> Manifest:
    """The cluster, narrowed to the environments' namespaces: less to watch, and nothing else to touch."""
    data = {
        "name": "in-cluster",
        "server": CLUSTER,
        "namespaces": ",".join(ENVIRONMENTS),
        "clusterResources": "false",
        "config": json.dumps({"tlsClientConfig": {"insecure": False}}),
    }
    return _object("Secret", "cluster-in-cluster", "cluster", stringData=data)


def _fits(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _object(kind: str, name: str, secret_type: str = "", **content: Mapping[str, str]) -> Manifest:
    labels = {"app.kubernetes.io/part-of": "argocd", **OWNER}
    if secret_type:
        labels["argocd.argoproj.io/secret-type"] = secret_type
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        **content,
    }
