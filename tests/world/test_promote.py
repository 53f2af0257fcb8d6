"""A promotion through three environments on real parts: the very same digests, shown first, approved for prod."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest

from deployments.client import Run
from sandbox import manifest
from sandbox.aws.client import client
from sandbox.world import World
from tests.world.operations import Operator
from tests.world.seat import NUMBERS

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass
class Ladder(Operator):
    """The three environments."""

    def promoted(self, environment: str, **parameters: object) -> Run:
        return self.start("promote", environment, applications=["hello"], **parameters)

    def told(self, environment: str) -> str:
        """The digest that the service itself tells."""
        return str(json.loads(self.answer("/version", environment))["digest"])

    def desired_digest(self, environment: str) -> str:
        self.git("fetch", "--quiet", "origin")
        (found,) = _DIGEST.findall(self.git("show", f"origin/env/{environment}:applications/hello.yaml"))
        return str(found)

    def running(self, environment: str) -> set[str]:
        """Digests that the kubelet pulled for the pods that run; a migration that ended may still be looked at."""
        with manifest.api(self.world) as api:
            pods = manifest.read(api, f"/api/v1/namespaces/{environment}/pods") or {"items": []}
        return {
            digest
            for pod in pods["items"]
            if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "hello"
            and pod["status"]["phase"] == "Running"
            and "deletionTimestamp" not in pod["metadata"]
            for status in pod["status"].get("containerStatuses", [])
            for digest in _DIGEST.findall(status["imageID"])
        }


@pytest.fixture(scope="module")
def ladder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    """A release to dev that passed."""
    made = Ladder.take(world, tmp_path_factory.mktemp("ladder"))
    ended = made.released(made.say(f"Hello, number {next(NUMBERS)}"))
    assert ended.succeeded, ended.message
    return made


def test_the_very_same_digest_goes_through_three_environments(ladder: Ladder) -> None:
    digest = ladder.told("dev")
    staged = ladder.promoted("staging", who="the tests", why="It is good.")
    assert staged.succeeded, staged.message
    assert digest in (ladder.api.artifact(staged.id, "promotion-staging") or "")
    assert ladder.api.artifact(staged.id, "changes-staging")

    waiting = ladder.api.start("promote", "prod", {"applications": ["hello"], "who": "the tests"})
    assert "- hello" in ladder.asked(waiting)
    before = ladder.git("ls-remote", "origin", "env/prod")
    ladder.answer_question(waiting, approver="Ada", decision="approve")
    approved = ladder.ended(waiting)
    assert approved.succeeded, approved.message
    assert ladder.git("ls-remote", "origin", "env/prod") != before

    for environment in ("dev", "staging", "prod"):
        assert ladder.told(environment) == digest
        assert ladder.desired_digest(environment) == digest
        assert ladder.running(environment) == {digest}
        assert ladder.answer("/", environment) == ladder.answer()
    images = client(ladder.world, "ecr").describe_images(repositoryName="dev/hello")["imageDetails"]
    assert digest in {one["imageDigest"] for one in images}
    charts = {ladder.git("rev-parse", f"origin/env/{name}:charts/hello") for name in ("dev", "staging", "prod")}
    assert len(charts) == 1, "the charts differ"

    (record, *_) = json.loads(ladder.symphony("history", "--env", "prod", "--app", "hello", "--json"))
    assert (record["kind"], record["state"]) == ("promote", "succeeded")
    assert [one["approver"] for one in record["approvals"]] == ["Ada"]
    assert [image["digest"] for image in record["images"]] == [digest]
    assert record["probes"]
    shown = json.loads(ladder.symphony("show", record["run"], "--json"))
    assert shown == record
    (figures,) = json.loads(ladder.symphony("history", "--env", "prod", "--figures", "--json"))
    assert figures["deployments"] >= 1
    assert ladder.api.artifact(approved.id, "figures-prod")


def test_two_promotions_at_once_move_it_once(ladder: Ladder) -> None:
    ended = ladder.released(ladder.say(f"Hello, number {next(NUMBERS)}"))
    assert ended.succeeded, ended.message
    ladder.git("fetch", "--quiet", "origin")
    before = ladder.git("rev-parse", "origin/env/staging")
    runs = [ladder.api.start("promote", "staging", {"applications": ["hello"]}) for _ in range(2)]
    ends = [ladder.ended(run) for run in runs]
    assert all(run.succeeded for run in ends), [run.message for run in ends]
    assert sorted("has everything already" in run.message for run in ends) == [False, True]
    ladder.git("fetch", "--quiet", "origin")
    assert ladder.git("rev-list", "--count", f"{before}..origin/env/staging") == "1"
    assert ladder.told("staging") == ladder.told("dev")
