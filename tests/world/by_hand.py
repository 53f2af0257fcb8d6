"""What hands do to an environment beside Git: in the account by boto3, in the cluster as kubectl would."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes.client import ApiClient
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.apply import ROOT
from deployments.automations import ensure_automations
from deployments.client import PrefectApi
from sandbox import manifest
from sandbox.aws.client import client
from sandbox.world import World
from symphony.config import Notifications, load
from tests.world.seat import until

SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/symphony"
APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/dev-{}"
DEPLOYMENT = "/apis/apps/v1/namespaces/dev/deployments/{}"
INGRESS = "/apis/networking.k8s.io/v1/namespaces/dev/ingresses/{}"
HOST = "hello.dev.localhost"
STRAY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "try-by-hand", "namespace": "dev"}}
USER = "dev-secret"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "try-tls", "namespace": "dev"},
    "type": "kubernetes.io/tls",
}


def auto_sync(connection: ApiClient, *, on: bool) -> None:
    """Have Argo CD put things back by itself, or no more, and wait until hello has it so."""
    automated = {"prune": True, "selfHeal": True} if on else None
    manifest.merge(connection, SET, {"spec": {"template": {"spec": {"syncPolicy": {"automated": automated}}}}})
    for name in ("hello", "greet"):
        until(lambda name=name: _automated(connection, name) is on, f"auto-sync of {name}")  # type: ignore[misc]


def _automated(connection: ApiClient, name: str) -> bool:
    application = manifest.read(connection, APPLICATION.format(name)) or {}
    return bool((application["spec"].get("syncPolicy") or {}).get("automated"))


def move_account(world: World, secret: str) -> None:
    """A tag and a rule of a security group, two settings of ECR, and a secret."""
    ec2, ecr = client(world, "ec2"), client(world, "ecr")
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["dev-nodes"]}])["SecurityGroups"]
    ec2.create_tags(Resources=[group["GroupId"]], Tags=[{"Key": "Name", "Value": "mine-now"}])
    https = [one for one in group["IpPermissionsEgress"] if one.get("FromPort") == 443]
    ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=https)
    ecr.put_image_tag_mutability(repositoryName="dev/greet", imageTagMutability="MUTABLE")
    ecr.delete_lifecycle_policy(repositoryName="dev/hello")
    client(world, "iam").tag_user(UserName=USER, Tags=[{"Key": "token", "Value": secret}])


def move_cluster(connection: ApiClient, certificate: tuple[bytes, bytes]) -> None:
    """hello has more pods, TLS and no ConfigMap; greet has no Service and hello's image; something is left behind."""
    cert, key = (base64.b64encode(one).decode() for one in certificate)
    manifest.apply(connection, {**SECRET, "data": {"tls.crt": cert, "tls.key": key}})
    ingress = INGRESS.format("hello")
    rules = (manifest.read(connection, ingress) or {})["spec"]["rules"]
    rules[0]["http"]["paths"][0]["path"] = "/moved"
    manifest.merge(connection, ingress, {"spec": {"rules": rules, "tls": [{"hosts": [HOST], "secretName": "try-tls"}]}})
    hello = DEPLOYMENT.format("hello")
    manifest.merge(connection, hello, {"spec": {"replicas": 2}})
    until(lambda: (manifest.read(connection, hello) or {})["status"].get("readyReplicas") == 2, "hello's second pod")
    pods = json.dumps(manifest.read(connection, hello))
    # A migration that failed in another test leaves a ConfigMap of its own behind: the one that pods read is meant.
    (config,) = [one for one in _named(connection, "configmaps", "hello") if f'"{one}"' in pods]
    manifest.request(connection, "DELETE", f"/api/v1/namespaces/dev/configmaps/{config}")
    (service,) = _named(connection, "services", "greet")
    manifest.request(connection, "DELETE", f"/api/v1/namespaces/dev/services/{service}")
    greet = DEPLOYMENT.format("greet")
    image, name = _container(connection, hello)["image"], _container(connection, greet)["name"]
    change = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}}
    kind = "application/strategic-merge-patch+json"
    manifest.request(connection, "PATCH", greet, body=change, content_type=kind)
    manifest.apply(connection, STRAY)


def _container(connection: ApiClient, deployment: str) -> dict[str, str]:
    containers = (manifest.read(connection, deployment) or {})["spec"]["template"]["spec"]["containers"]
    return {key: str(containers[0][key]) for key in ("name", "image")}


def take_away(connection: ApiClient) -> None:
    """What was added and Argo CD leaves alone: it puts back what the charts name, and no more."""
    manifest.merge(connection, INGRESS.format("hello"), {"spec": {"tls": None}})
    for one in (SECRET, STRAY):
        if manifest.read(connection, manifest.path(one)):
            manifest.request(connection, "DELETE", manifest.path(one))


def _named(connection: ApiClient, plural: str, application: str) -> list[str]:
    query = {"labelSelector": f"app.kubernetes.io/name={application}"}
    found = manifest.request(connection, "GET", f"/api/v1/namespaces/dev/{plural}", query=query)["items"]
    return [str(one["metadata"]["name"]) for one in found]


@contextlib.contextmanager
def webhook(api: PrefectApi, name: str) -> Iterator[list[str]]:
    """What people read: texts that a block of Prefect posts as Slack takes them."""
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append(body["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with temporary_settings({PREFECT_API_URL: api.url, PREFECT_API_AUTH_STRING: api.auth}):
        CustomWebhookNotificationBlock(
            name=name,
            url=f"http://127.0.0.1:{server.server_port}/",
            json_data={"text": "{{subject}}\n{{body}}"},
        ).save(name, overwrite=True)
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()


def notify(api: PrefectApi, *blocks: str) -> None:
    """Have people told by these blocks alone."""
    update = {"notifications": Notifications(blocks=blocks)}
    configuration = load(ROOT / "symphony.yaml").model_copy(update=update)

    async def ensure() -> None:
        async with get_client() as client:
            await ensure_automations(client, configuration, ())

    with temporary_settings({PREFECT_API_URL: api.url, PREFECT_API_AUTH_STRING: api.auth}):
        asyncio.run(ensure())
