from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from symphony.addons import AccessEntry
from symphony.change import Change
from symphony.errors import SymphonyError, TransientError
from tasks import cluster_access
from tasks.cluster_access import grant_access, plan_access
from tasks.kubernetes import ConflictError
from tasks.outputs import publish_outputs

if TYPE_CHECKING:
    from tests.conftest import Delivery

NODES = "- rolearn: arn:aws:iam::123456789012:role/nodes\n  username: system:node:{{EC2PrivateDNSName}}\n"
WORKERS = "arn:aws:iam::123456789012:role/workers"
ENTRY = AccessEntry(role="{workers-role.role_arn}", username="workers", groups=("deployers",))


class Cluster:
    """As much of a cluster as is asked for."""

    def __init__(self, written: str | None) -> None:
        self.map = None if written is None else {"data": {"mapRoles": written}, "metadata": {"resourceVersion": "7"}}
        self.faster = False

    def get(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/kube-system/configmaps/aws-auth"
        return self.map

    def create(self, path: str, body: Any) -> None:
        assert path == "/api/v1/namespaces/kube-system/configmaps"
        assert self.map is None
        self.map = body

    def merge(self, path: str, body: Any) -> None:
        assert path.endswith("/aws-auth")
        assert body["metadata"]["resourceVersion"] == "7"
        if self.faster:
            raise ConflictError("409")
        self.map = body

    @property
    def entries(self) -> Any:
        assert self.map is not None
        return YAML(typ="safe", pure=True).load(self.map["data"]["mapRoles"])


@pytest.fixture
def change(delivery: Delivery) -> Change:
    """A commit that lets the workers' role in, which the units have made."""
    given = delivery.change()
    publish_outputs.fn(given.mirror, "dev", {"workers-role": {"role_arn": WORKERS}})
    kubernetes = given.target.kubernetes.model_copy(update={"access": (ENTRY,)})
    target = given.target.model_copy(update={"kubernetes": kubernetes})
    return replace(given, configuration=given.configuration.model_copy(update={"environments": {"dev": target}}))


def has(monkeypatch: pytest.MonkeyPatch, written: str | None) -> Cluster:
    made = Cluster(written)
    monkeypatch.setattr(cluster_access, "cluster", lambda _: made)
    return made


@pytest.mark.parametrize("written", [None, NODES, f"{NODES}- rolearn: {WORKERS}\n  username: old\n"])
def test_who_is_wanted_is_let_in_and_all_others_stay(
    change: Change, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    cluster = has(monkeypatch, written)
    plan = plan_access.fn(change)
    assert plan.count("add" if written is None else "change") == 1
    assert f"rolearn: {WORKERS}" in plan.text
    grant_access.fn(change)
    assert cluster.entries[-1] == {"rolearn": WORKERS, "username": "workers", "groups": ["deployers"]}
    assert [entry["username"] for entry in cluster.entries[:-1]] == (
        [] if written is None else ["system:node:{{EC2PrivateDNSName}}"]
    )
    assert plan_access.fn(change).empty


def test_who_was_faster_is_not_overwritten(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, NODES).faster = True
    with pytest.raises(TransientError, match="somebody else"):
        grant_access.fn(change)


@pytest.mark.parametrize("written", ["- username: x\n", "a: [", "plain"])
def test_entries_that_cannot_be_read_are_left_alone(
    change: Change, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    has(monkeypatch, written)
    with pytest.raises(SymphonyError, match="cannot be read"):
        grant_access.fn(change)
