"""A protected environment on real parts: a run waits for a person and holds nothing; a killed one is started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployments.client import PrefectApi, Run
from deployments.roles import Credentials, Role
from sandbox.aws.client import client
from sandbox.prefect.environment import login
from sandbox.world import World
from symphony.errors import BadInputError
from tests.world.operations import BUCKET, Operator, append

SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "test -e '%s' || sleep 240"
  }
}
"""


@dataclass
class Production(Operator):
    """The protected environment."""

    environment: str = "prod"

    def commit(self, text: str) -> str:
        """A commit on a branch of its own whose unit `access` has more in it than main's."""
        return self.committed(lambda copy: append(copy / "infra/modules/access/main.tf", text))

    def begin(self, commit: str, **parameters: object) -> Run:
        """A run of the whole of prod, since it may never have been released."""
        return super().begin(commit, everything=True, **parameters)

    def with_login(self, role: str) -> Production:
        """The same, asking Prefect as who has this role."""
        return replace(self, api=PrefectApi(self.api.url, login(self.world, role)))

    def groups(self) -> set[str]:
        return {one["GroupName"] for one in client(self.world, "iam").list_groups()["Groups"]}


def group(name: str) -> str:
    return f'resource "aws_iam_group" "{name}" {{\n  name = "${{var.name}}-{name}"\n}}'


@pytest.fixture(scope="module")
def production(world: World, tmp_path_factory: pytest.TempPathFactory) -> Production:
    """Prod with main's infrastructure."""
    made = Production.take(world, tmp_path_factory.mktemp("production"))
    ended = made.ended(made.begin("main", approved_by="the tests"))
    assert ended.succeeded, ended.message
    return made


@pytest.fixture
def restored(production: Production) -> Iterator[None]:
    """Prod ends as main has it."""
    yield
    ended = production.ended(production.begin("main", approved_by="the tests"))
    assert ended.succeeded, ended.message


@pytest.mark.usefixtures("restored")
def test_a_run_that_waits_holds_nothing_and_applies_what_was_approved(production: Production) -> None:
    waiting = production.begin(production.commit(group("approved")))
    production.suspended(waiting)
    # The process ends after its last words.
    deadline = time.monotonic() + 20
    while production.processes(waiting) or production.slots():
        assert time.monotonic() < deadline, (production.processes(waiting), production.slots())
        time.sleep(0.2)
    kept = production.kept(waiting)
    (plan,) = [key for key in kept if key.endswith(".tfplan")]
    s3 = client(production.world, "s3")
    assert {s3.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] for key in kept} == {"AES256"}
    assert not s3.list_objects_v2(Bucket=BUCKET, Prefix="prod/access/terraform.tfstate.tflock").get("Contents")
    question = production.asked(waiting)
    assert plan.split("/")[-1][:12] in question
    assert "/artifacts/artifact/" in question
    assert "prod-approved" not in production.groups()

    production.answer_question(waiting, approver="Ada", decision="approve", reason="It is Wednesday.")
    ended = production.ended(waiting)
    assert ended.succeeded, ended.message
    assert "prod-approved" in production.groups()
    assert production.kept(waiting) == []
    page = production.api.artifact(waiting.id, "plans-prod") or ""
    assert "Approved by Ada" in page
    assert "It is Wednesday." in page
    # The saved plan was applied, not one made after the answer.
    names = [task.name for task in production.api.tasks(waiting.id)]
    assert names.count("plan access") == 1
    assert names.count("apply access") == 1
    # Asked again after the answer, in which time an exception may have ended.
    assert names.count("check policy of access") > 1


def test_a_refusal_leaves_everything_as_it_was(production: Production) -> None:
    waiting = production.begin(production.commit(group("refused")))
    production.suspended(waiting)
    production.answer_question(waiting, approver="Grace", decision="refuse", reason="Not on a Friday.")
    ended = production.ended(waiting)
    assert ended.state_type == "FAILED"
    assert "Grace refused the plan: Not on a Friday." in ended.message
    assert "prod-refused" not in production.groups()
    assert production.kept(waiting) == []


def test_a_deploy_waits_for_what_changes_in_the_manifests_and_is_written_by_its_approver(
    production: Production,
) -> None:
    def grace(seconds: int) -> str:
        """A commit whose chart gives prod's pods another time to end."""

        def edit(copy: Path) -> None:
            with (copy / "charts/hello/values.prod.yaml").open("a") as file:
                file.write(f"terminationGracePeriodSeconds: {seconds}\n")

        production.branch(edit)
        return production.git("rev-parse", "HEAD")

    def head() -> str:
        production.git("fetch", "--quiet", "origin")
        return production.git("rev-parse", "origin/env/prod")

    try:
        waiting = production.api.start("deploy", "prod", {"commit": grace(21), "applications": ["hello"]})
        assert "hello" in production.asked(waiting)
        assert "terminationGracePeriodSeconds: 21" in (production.api.artifact(waiting.id, "changes-prod") or "")
        production.answer_question(waiting, approver="Ada", decision="approve", reason="It is Wednesday.")
        ended = production.ended(waiting)
        assert ended.succeeded, ended.message
        approved = head()
        assert "Symphony-Approved-By: Ada" in production.git("log", "-1", "--format=%B", approved)

        ci, approver = production.with_login("ci"), production.with_login("approver")
        asked = {"commit": grace(22), "applications": ["hello"]}
        with pytest.raises(BadInputError, match="may not approve; start the run without approved_by"):
            ci.api.start("deploy", "prod", {**asked, "approved_by": "the chief"})
        waiting = ci.api.start("deploy", "prod", asked)
        ci.suspended(waiting)
        with pytest.raises(BadInputError, match="it takes the role approver"):
            ci.answer_question(waiting, approver="Grace", decision="approve")
        approver.answer_question(waiting, approver="Grace", decision="refuse", reason="Not on a Friday.")
        ended = ci.ended(waiting)
        assert ended.state_type == "FAILED"
        # Whatever they write, it is their login that counts.
        assert "approver refused the deploy to prod: Not on a Friday." in ended.message
        assert head() == approved
    finally:  # those commits count as newer than main's
        back = {"commit": "main", "applications": ["hello"], "force": True, "approved_by": "the tests"}
        ended = production.ended(production.api.start("deploy", "prod", back))
    assert ended.succeeded, ended.message


def test_a_login_is_given_changed_and_taken_away_while_the_server_runs(production: Production) -> None:
    logins = Credentials(production.world.state / "prefect" / "logins.json")

    def may_read(credential: str) -> bool:
        try:
            PrefectApi(production.api.url, f"visitor:{credential}").call("POST", "/flow_runs/count", {})
        except BadInputError:
            return False
        return True

    first = logins.give("visitor", Role.CI)
    assert may_read(first)
    second = logins.give("visitor", Role.CI)
    assert [may_read(first), may_read(second)] == [False, True]
    logins.take("visitor")
    assert not may_read(second)


def test_an_answer_without_a_name_is_not_taken(production: Production) -> None:
    waiting = production.begin(production.commit(group("nameless")))
    key = production.suspended(waiting)
    assert production.asked(waiting)
    said = production.api.call(
        "POST", f"/flow_runs/{waiting.id}/resume", {"run_input": {"approver": "", "decision": "approve"}}
    )
    assert said["status"] == "REJECT"
    assert production.suspended(waiting) == key
    production.api.cancel(waiting.id)
    production.until(waiting, lambda now: now.state_name != "Suspended")


@pytest.mark.usefixtures("restored")
def test_a_plan_that_was_overtaken_is_asked_about_again(production: Production) -> None:
    waiting = production.begin(production.commit(group("late")))
    key = production.suspended(waiting)
    # The other run takes its turn while this one waits, so the state moves.
    overtaking = production.ended(production.begin(production.commit(group("early")), approved_by="the tests"))
    assert overtaking.succeeded, overtaking.message
    production.answer_question(waiting, approver="Ada", decision="approve")
    production.suspended(waiting, but=key)
    assert "prod-early" in production.groups()
    assert "prod-late" not in production.groups()
    production.answer_question(waiting, approver="Ada", decision="approve")
    ended = production.ended(waiting)
    assert ended.succeeded, ended.message
    assert "prod-late" in production.groups()
    assert "prod-early" not in production.groups()


@pytest.mark.usefixtures("restored")
def test_a_release_waits_too_and_its_record_says_who_approved_what(production: Production) -> None:
    commit = production.commit(group("released"))
    waiting = production.api.start("release", "prod", {"commit": commit})
    key = production.suspended(waiting)
    assert production.records(commit) == []
    while True:
        production.answer_question(waiting, approver="Ada", decision="approve", reason="Asked for by the customer.")
        now = production.until(waiting, lambda now, but=key: now.final or production.asks(now, but))  # type: ignore[misc]
        if now.final:
            break
        key = production.question(now)
    assert now.succeeded, now.message
    (record,) = production.records(commit)
    assert record["state"] == "succeeded"
    for approval in record["approvals"]:
        assert (approval["approver"], approval["decision"], approval["commit"]) == ("Ada", "approve", commit)
        assert approval["reason"] == "Asked for by the customer."
    # The deploy asked after the units; what was approved and applied before that is told all the same.
    hashes = {unit["unit"]: unit["plan"]["hash"] for unit in record["units"] if unit["state"] == "applied"}
    assert hashes
    assert hashes in [approval["plans"] for approval in record["approvals"]]
    names = [task.name for task in production.api.tasks(waiting.id)]
    assert names.count("plan access") == 1
    assert not [key for key in production.kept(waiting) if not key.endswith("progress.json")]
    assert "prod-released" in production.groups()


@pytest.mark.usefixtures("restored")
def test_a_run_killed_in_an_apply_is_told_of_unlocked_and_started_again(production: Production, tmp_path: Path) -> None:
    quick = tmp_path / "quick"
    commit = production.commit(SLOW % quick)
    killed = production.begin(commit, approved_by="the tests")
    lock = "prod/access/terraform.tfstate.tflock"
    s3 = client(production.world, "s3")

    def applying(now: Run) -> bool:
        running = [task.name for task in production.api.tasks(now.id) if task.state_type == "RUNNING"]
        return "apply access" in running and bool(s3.list_objects_v2(Bucket=BUCKET, Prefix=lock).get("Contents"))

    production.until(killed, applying)
    assert "its run has not ended" in production.symphony("unlock", "access", "--env", "prod", "--yes")
    production.kill(killed)
    quick.touch()

    blocked = production.ended(production.begin(commit, approved_by="the tests"))
    assert blocked.state_type == "FAILED"
    assert "waits for a lock" in blocked.message
    assert "symphony unlock" in blocked.message

    shown = production.symphony("unlock", "access", "--env", "prod", "--yes")
    assert "OperationTypeApply" in shown
    assert "Freed." in shown
    assert "No unit of prod is locked." in production.symphony("unlock", "--env", "prod")
    again = production.ended(production.begin(commit, approved_by="the tests"))
    assert again.succeeded, again.message
