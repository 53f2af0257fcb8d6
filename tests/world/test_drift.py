"""Drift on real parts: what hands moved in the account and in the cluster is found, told right, and cleared again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiClient

from sandbox import manifest
from sandbox.aws.client import client
from sandbox.world import World
from tests.world.seat import Seat, until

SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/symphony"
DEPLOYMENT = "/apis/apps/v1/namespaces/dev/deployments/hello"
STRAY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "try-by-hand", "namespace": "dev"}}


@pytest.fixture(scope="module")
def connection(world: World) -> Iterator[ApiClient]:
    with manifest.api(world) as api:
        yield api


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """Dev released at main, and looked at once, so that what other tests left behind is no news."""
    seat = Seat.take(world, tmp_path_factory.mktemp("drift"))
    assert seat.start("provision", commit="main", everything=True).succeeded
    ended = seat.released(seat.say("Hello, drift"))
    assert ended.succeeded, ended.message
    assert seat.start("drift").succeeded
    return seat


@pytest.fixture
def by_hand(connection: ApiClient) -> Iterator[None]:
    """Argo CD puts nothing back for as long as this lasts."""
    manifest.merge(connection, SET, {"spec": {"template": {"spec": {"syncPolicy": {"automated": None}}}}})
    hello = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/dev-hello"
    until(lambda: not (manifest.read(connection, hello) or {})["spec"]["syncPolicy"].get("automated"), "auto-sync off")
    yield
    automated = {"prune": True, "selfHeal": True}
    manifest.merge(connection, SET, {"spec": {"template": {"spec": {"syncPolicy": {"automated": automated}}}}})
    until(lambda: (manifest.read(connection, hello) or {})["spec"]["syncPolicy"].get("automated"), "auto-sync on")


def events(seat: Seat, name: str, part: str) -> list[str]:
    """Resources of the drift events of a kind whose identity has a part in it."""
    asked = {"filter": {"event": {"name": [name]}}, "limit": 50}
    found = seat.api.call("POST", "/events/filter", asked)["events"]
    return [one["resource"]["prefect.resource.id"] for one in found if part in one["resource"]["prefect.resource.id"]]


def test_what_hands_moved_is_found_told_and_cleared_when_it_is_back(
    seat: Seat, connection: ApiClient, world: World, request: pytest.FixtureRequest
) -> None:
    ec2, ecr = client(world, "ec2"), client(world, "ecr")
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["dev-nodes"]}])["SecurityGroups"]
    ec2.create_tags(Resources=[group["GroupId"]], Tags=[{"Key": "Name", "Value": "mine-now"}])
    ecr.put_image_tag_mutability(repositoryName="dev/greet", imageTagMutability="MUTABLE")
    ecr.delete_lifecycle_policy(repositoryName="dev/hello")
    request.getfixturevalue("by_hand")
    manifest.apply(connection, STRAY)
    (service,) = [
        one["metadata"]["name"]
        for one in manifest.request(connection, "GET", "/api/v1/namespaces/dev/services")["items"]
        if one["metadata"]["labels"].get("app.kubernetes.io/name") == "greet"
    ]
    manifest.request(connection, "DELETE", f"/api/v1/namespaces/dev/services/{service}")
    manifest.merge(connection, DEPLOYMENT, {"spec": {"revisionHistoryLimit": 9}})

    def looked(told: int) -> Any:
        ended = seat.start("drift")
        assert ended.succeeded, ended.message
        page = seat.api.artifact(ended.id, "drift-dev") or ""
        return page if page.count("**new**") >= told else None

    # Argo CD sees a change by hand by its watch, some moments later.
    page = until(lambda: looked(1), "the first look")
    later = until(
        lambda: (text := looked(0)) and f"Service/{service}" in text and "Deployment/hello" in text and text, ""
    )
    for part in (
        "access | aws",
        'tags.Name: is "mine-now", the commit has "dev-nodes"',
        "image_tag_mutability",
        "it is gone",
        "ConfigMap/try-by-hand",
        "it belongs to no application",
        "auto-sync | drift: it is switched off",
    ):
        assert part.replace("_", "\\_").replace("-", "\\-") in page or part in page, (part, page)
    assert "**new**" not in later.split("aws")[1].split("\n")[0]

    # The server writes events down some moments later.
    until(lambda: events(seat, "symphony.drift.found", "try-by-hand"), "the event of what was found")

    # A reconcile: what hands moved goes back by a provision and by Argo CD.
    manifest.request(connection, "DELETE", manifest.path(STRAY))
    automated = {"prune": True, "selfHeal": True}
    manifest.merge(connection, SET, {"spec": {"template": {"spec": {"syncPolicy": {"automated": automated}}}}})
    assert seat.start("provision", commit="main", everything=True).succeeded

    def clear() -> bool:
        ended = seat.start("drift")
        assert ended.succeeded, ended.message
        text = seat.api.artifact(ended.id, "drift-dev") or ""
        standing = text.split("Cleared:")[0]
        return not any(part in standing for part in ("mine-now", "mutability", service, "by\\-hand", "auto\\-sync"))

    until(clear, "all back")
    until(lambda: events(seat, "symphony.drift.cleared", "try-by-hand"), "the event of what was cleared")
    assert len(events(seat, "symphony.drift.found", "try-by-hand")) == 1, "one drift is told once"
