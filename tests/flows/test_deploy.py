from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

from flows import deploy as module
from flows import rollout
from flows.deploy import deploy_images, restore_applications
from flows.rollout import undo
from symphony.change import Change
from symphony.drift import Finding
from symphony.errors import BadInputError, DeployError, SupersededError, TransientError
from symphony.models import Commit, Deployed, Image, Rollout
from tasks.approval import Consent
from tasks.desired import read_desired
from tasks.git import git, head
from tasks.pods import Diagnosis, Fault
from tasks.rollout import Outcome, RolloutError

if TYPE_CHECKING:
    from tests.conftest import Delivery


class Cluster:
    """What Argo CD would make of commits: live, but for the digests (by first letter) that never come up."""

    def __init__(self, bad: str = "") -> None:
        self.bad = bad
        self.waits: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.locked: list[tuple[str, ...]] = []

    def wait(self, change: Change, commit: Commit, applications: Sequence[str], gone: Sequence[str] = ()) -> Outcome:
        self.waits.append((tuple(applications), tuple(gone)))
        entries = read_desired(change.mirror, "dev", commit)
        bad = [name for name in applications if entries[name].digest[7] in self.bad]
        fault = Fault(pod="p", container="main", reason="Error", exit_code=3, restarts=1, log=("no disk",))
        outcome = Outcome(
            tuple(Rollout(application=name, revision=commit) for name in applications if name not in bad),
            tuple(Diagnosis(application=name, reason="it crashes", faults=(fault,)) for name in bad),
        )
        if bad:
            raise RolloutError(outcome)
        return outcome

    @contextlib.contextmanager
    def lock(self, environment: str, applications: Collection[str]) -> Iterator[None]:
        assert environment == "dev"
        self.locked.append(tuple(applications))
        yield


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tools: None) -> Cluster:
    del tools
    fake = Cluster()
    monkeypatch.setattr(rollout, "wait_until_live", fake.wait)
    monkeypatch.setattr(rollout, "refresh_applications", lambda *_, **__: None)
    for one in (module, rollout):
        monkeypatch.setattr(one, "reach_argocd", lambda _: None)
        monkeypatch.setattr(one, "locked", fake.lock)
    return fake


def run(change: Change, *images: Image, **more: Any) -> Deployed | None:
    @flow
    def body() -> Any:
        return deploy_images(change, images, **more)

    found: Deployed | None = body()
    return found


def digests(change: Change) -> dict[str, str]:
    return {name: entry.digest[7] for name, entry in read_desired(change.mirror, "dev").items()}


def commits(change: Change) -> int:
    return int(git("rev-list", "--count", "refs/heads/env/dev", cwd=change.mirror))


@pytest.mark.usefixtures("prefect")
def test_all_applications_go_live_by_one_commit_under_their_locks(delivery: Delivery, cluster: Cluster) -> None:
    change = delivery.change()
    deployed = run(change, delivery.image("one", "a"), delivery.image("two", "b"))
    assert deployed is not None
    assert deployed.applications == ("one", "two")
    assert deployed.commit == deployed.revision == head(change.mirror, "env/dev")
    assert digests(change) == {"one": "a", "two": "b"}
    assert commits(change) == 1
    assert cluster.locked == [("one", "two")]


@pytest.mark.usefixtures("prefect", "cluster")
def test_the_same_again_commits_nothing(delivery: Delivery) -> None:
    change = delivery.change()
    first = run(change, delivery.image("one", "a"))
    again = run(delivery.change(run="run-2"), delivery.image("one", "a"))
    assert first is not None
    assert again is not None
    assert first.commit == again.commit


@pytest.mark.usefixtures("prefect", "cluster")
def test_with_nothing_to_move_nothing_is_done(delivery: Delivery) -> None:
    assert run(delivery.change()) is None


@pytest.mark.usefixtures("prefect", "cluster")
def test_one_chart_that_does_not_render_stops_all_before_anything_is_written(delivery: Delivery) -> None:
    delivery.commit("charts/two/templates/wrong.yaml", "{{ .Values.nothing.here }}\n")
    change = delivery.change()
    with pytest.raises(
        BadInputError, match=r"The chart charts/two does not render for dev in two/templates/wrong\.yaml"
    ):
        run(change, delivery.image("one", "a"), delivery.image("two", "b"))
    assert head(change.mirror, "env/dev") is None


@pytest.mark.usefixtures("prefect")
def test_what_does_not_come_up_is_put_back_and_the_rest_stays(delivery: Delivery, cluster: Cluster) -> None:
    run(delivery.change(), delivery.image("one", "a"), delivery.image("two", "b"))
    cluster.bad = "c"
    bad = delivery.change(run="run-2")
    with pytest.raises(DeployError) as failed:
        run(bad, delivery.image("one", "c"), delivery.image("two", "d"))
    assert str(failed.value) == (
        "one did not come up in dev: container main ended with exit code 3 (Error, 1 restart); its last log line: "
        f"no disk. Put back: one is back at {bad.commit[:12]} (sha256:aaaaaaaaaaaa) and Healthy."
    )
    assert digests(bad) == {"one": "a", "two": "d"}
    assert cluster.waits[-1] == (("one",), ())


@pytest.mark.usefixtures("prefect")
def test_a_first_deploy_that_fails_leaves_the_environment_without_it(delivery: Delivery, cluster: Cluster) -> None:
    cluster.bad = "c"
    change = delivery.change()
    with pytest.raises(DeployError, match="one was taken out again, since no version was there before"):
        run(change, delivery.image("one", "c"))
    assert digests(change) == {}
    assert cluster.waits[-1] == ((), ("one",))


@pytest.mark.usefixtures("prefect")
def test_an_undo_that_fails_too_is_loud_and_still_says_why_the_deploy_failed(
    delivery: Delivery, cluster: Cluster
) -> None:
    run(delivery.change(), delivery.image("one", "a"))
    cluster.bad = "ac"
    with pytest.raises(DeployError, match=r"no disk\. PUTTING BACK FAILED, and dev needs a person now: one: "):
        run(delivery.change(run="run-2"), delivery.image("one", "c"))


@pytest.mark.usefixtures("prefect")
def test_a_remote_that_fails_during_the_undo_does_not_hide_why_the_deploy_failed(
    delivery: Delivery, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise TransientError("the remote is away")

    cluster.bad = "c"
    monkeypatch.setattr(rollout, "put_back", gone)
    with pytest.raises(DeployError, match=r"no disk\. PUTTING BACK FAILED, .*: the remote is away"):
        run(delivery.change(), delivery.image("one", "c"))


@pytest.mark.usefixtures("prefect", "cluster")
def test_nothing_is_written_where_argo_cd_cannot_be_reached(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Change) -> None:
        raise TransientError("the cluster is away")

    monkeypatch.setattr(module, "reach_argocd", away)
    with pytest.raises(TransientError):
        run(delivery.change(), delivery.image("one", "a"))
    assert head(delivery.change().mirror, "env/dev") is None


@pytest.mark.usefixtures("prefect")
def test_what_this_run_did_not_write_is_not_undone(delivery: Delivery, cluster: Cluster) -> None:
    run(delivery.change(), delivery.image("one", "a"))
    run(delivery.change(run="run-2"), delivery.image("one", "b"))
    cluster.bad = "b"
    change = delivery.change(run="run-3")
    with pytest.raises(DeployError, match="Nothing was put back, since this run had changed nothing"):
        run(change, delivery.image("one", "b"))
    assert digests(change) == {"one": "b"}


@pytest.mark.usefixtures("prefect", "cluster")
def test_an_older_commit_never_overtakes_a_newer_one_unless_forced(delivery: Delivery) -> None:
    older = delivery.change()
    delivery.commit("x", "x")
    newer = delivery.change(run="run-2")
    run(newer, delivery.image("one", "b"))
    with pytest.raises(SupersededError, match=f"one at {newer.commit[:12]}") as superseded:
        run(older, delivery.image("one", "a"))
    assert superseded.value.newer == newer.commit
    assert digests(newer) == {"one": "b"}

    deployed = run(older, delivery.image("one", "a"), delivery.image("two", "c"))
    assert deployed is not None
    assert (deployed.applications, deployed.superseded) == (("two",), ("one",))
    assert digests(newer) == {"one": "b", "two": "c"}

    run(older, delivery.image("one", "a"), force=True)
    assert digests(newer) == {"one": "a", "two": "c"}


def protected(change: Change) -> Change:
    target = change.target.model_copy(update={"protected": True})
    return replace(change, configuration=change.configuration.model_copy(update={"environments": {"dev": target}}))


@pytest.mark.usefixtures("prefect", "cluster")
def test_a_protected_environment_is_written_once_what_changes_is_approved(delivery: Delivery) -> None:
    change = protected(delivery.change())
    with pytest.raises(BadInputError, match="nobody has approved what changes in one"):
        run(change, delivery.image("one", "a"))
    assert head(change.mirror, "env/dev") is None

    deployed = run(change, delivery.image("one", "a"), consent=Consent(beforehand="Ada"))
    assert deployed is not None
    assert "Symphony-Approved-By: Ada" in git("log", "-1", "--format=%B", deployed.commit, cwd=change.mirror)

    again = run(protected(delivery.change(run="run-2")), delivery.image("one", "a"))
    assert again is not None
    assert again.commit == deployed.commit
    with pytest.raises(BadInputError, match="nobody has approved what changes in one"):
        run(protected(delivery.change(run="run-3")), removed=("one",))


@pytest.mark.usefixtures("prefect")
def test_what_moved_in_the_cluster_is_restored_without_a_commit_once_somebody_approved(
    delivery: Delivery, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore(consent: Consent) -> Any:
        @flow
        def body() -> Any:
            return restore_applications(delivery.change(run="run-2"), ["one", "two"], consent)

        return body(return_state=True)

    found: list[Finding] = []
    proved: list[str] = []
    monkeypatch.setattr(module, "look_at_cluster", lambda *_: tuple(found))
    monkeypatch.setattr(module, "prove", lambda _change, deployed, *_: proved.extend(deployed.applications))
    run(delivery.change(), delivery.image("one", "a"), delivery.image("two", "b"))
    waits = len(cluster.waits)
    nothing = restore(Consent(always=True))
    assert nothing.message == "Nothing of one, two in dev has moved."

    found.append(Finding(area="cluster", kind="drift", where="one", what="Deployment/one"))
    refused = restore(Consent(always=True))
    assert "is to be put back and nobody has approved what changes in one" in str(refused.message)
    assert len(cluster.waits) == waits

    done = restore(Consent("Ada", always=True))
    assert done.message == "one in dev is as Git has it again; Ada approved."
    assert cluster.waits[waits:] == [(("one",), ())]
    assert proved == ["one"]
    assert commits(delivery.change()) == 1


@pytest.mark.usefixtures("prefect")
def test_removed_applications_go_and_are_waited_for(delivery: Delivery, cluster: Cluster) -> None:
    change = delivery.change()
    run(change, delivery.image("one", "a"), delivery.image("two", "b"))
    run(delivery.change(run="run-2"), removed=("two",))
    assert digests(change) == {"one": "a"}
    assert cluster.waits[-1] == ((), ("two",))


@pytest.mark.usefixtures("prefect", "cluster")
def test_a_release_whose_smoke_fails_goes_back_to_the_version_before(delivery: Delivery) -> None:
    change = delivery.change()
    run(change, delivery.image("one", "a"))
    bad = delivery.change(run="run-2")
    run(bad, delivery.image("one", "b"))
    assert undo(bad, ["one"]).startswith("Put back: one is back at")
    assert digests(change) == {"one": "a"}
