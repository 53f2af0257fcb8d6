from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from prefect.exceptions import Pause
from prefect.states import State

from flows import release as module
from flows import rollout
from flows import stages as shared
from flows.provision import ProvisionError
from flows.release import release, release_change
from symphony.errors import DeployError, SmokeError, SupersededError, SymphonyError
from symphony.models import Approval, Deployed, Probe, UnitResult
from symphony.record import ReleaseRecord
from tasks.change import open_change
from tasks.git import fetch
from tasks.records import last_succeeded, read_record, records

if TYPE_CHECKING:
    from tests.conftest import Delivery


class Stages:
    """The stages of a release, each of which does what it is told."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.called: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.undone: list[tuple[str, ...]] = []
        self.held = False

    def do(self, stage: str) -> None:
        self.called.append(stage)
        if stage in self.fails:
            raise self.fails[stage]

    def provision(self, change: Any, **options: Any) -> tuple[UnitResult, ...]:
        self.do(f"provision by {options['approved_by']}" if options["approved_by"] else "provision")
        return (UnitResult(unit="network", state="applied"),) if change.touches("infra") else ()

    def build(self, _change: Any, names: Any) -> Any:
        self.do("build")
        return tuple(self.delivery.image(name, "a") for name in names)

    def deploy(self, _change: Any, images: Any, removed: Any, **_: Any) -> Deployed:
        assert self.held
        self.do("deploy")
        names = (*(image.application for image in images), *removed)
        return Deployed(environment="dev", commit="c" * 40, revision="c" * 40, applications=names, seconds=1)

    def smoke(self, _change: Any, images: Any) -> tuple[Probe, ...]:
        assert self.held
        self.do("smoke")
        return tuple(Probe(application=i.application, url="http://x/", status=200, milliseconds=1) for i in images)

    def undo(self, _change: Any, names: Any, _hours: float) -> str:
        assert self.held
        self.undone.append(tuple(names))
        return "What was there before is back."

    @contextlib.contextmanager
    def locked(self, _environment: str, _names: Any) -> Iterator[None]:
        self.held = True
        yield
        self.held = False


@pytest.fixture
def stages(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, prefect: None) -> Stages:
    del prefect
    stages = Stages(delivery)
    monkeypatch.setenv("SYMPHONY_CONFIG", str(delivery.copy / "symphony.yaml"))
    for name, fake in {
        "provision_change": stages.provision,
        "build_images": stages.build,
        "deploy_images": stages.deploy,
        "locked": stages.locked,
    }.items():
        monkeypatch.setattr(module, name, fake)
    monkeypatch.setattr(rollout, "smoke_applications", stages.smoke)
    monkeypatch.setattr(rollout, "undo", stages.undo)
    return stages


def run(commit: str = "main", **more: Any) -> State[Any]:
    state: State[Any] = release(environment="dev", commit=commit, return_state=True, **more)  # type: ignore[call-overload]
    return state


def kept(delivery: Delivery) -> list[ReleaseRecord]:
    mirror = fetch(f"file://{delivery.remote}")
    return [read_record(mirror, path) for path in records(mirror, "dev")]


def test_a_release_goes_through_all_stages_and_is_recorded(delivery: Delivery, stages: Stages) -> None:
    commit = delivery.commit("apps/one/x", "1")
    state = run()
    assert state.name == "Completed"
    assert f"{commit[:12]} is live in dev" in str(state.message)
    assert stages.called == ["provision", "build", "deploy", "smoke"]
    (record,) = kept(delivery)
    assert (record.state, record.commit, record.base) == ("succeeded", commit, "")
    assert [image.application for image in record.images] == ["one", "two"]
    assert list(record.stages) == ["provision", "build", "deploy", "smoke"]


def test_only_what_changed_since_the_last_good_release_moves(delivery: Delivery, stages: Stages) -> None:
    first = delivery.commit("apps/one/x", "1")
    run()
    stages.fails["smoke"] = SmokeError("no answer")
    delivery.commit("apps/one/x", "2")
    run()
    del stages.fails["smoke"]
    delivery.commit("charts/two/values.yaml", "a: 1\n")
    run()
    newest, failed, oldest = kept(delivery)
    assert [image.application for image in failed.images] == ["one"]
    assert [image.application for image in newest.images] == ["one", "two"], "the failed release's change was lost"
    assert newest.base == failed.base == oldest.commit == first


def test_nothing_affected_ends_at_once_without_a_record(delivery: Delivery, stages: Stages) -> None:
    delivery.commit("apps/one/x", "1")
    run()
    stages.called.clear()
    delivery.commit("README.md", "words")
    state = run()
    assert "Nothing that dev has differs" in str(state.message)
    assert stages.called == ["provision"]
    assert len(kept(delivery)) == 1


def test_an_older_commit_never_overtakes_a_newer_one(delivery: Delivery, stages: Stages) -> None:
    older = delivery.commit("apps/one/x", "1")
    newer = delivery.commit("apps/one/x", "2")
    run(newer)
    stages.called.clear()
    state = run(older)
    assert state.name == "Superseded"
    assert newer[:12] in str(state.message)
    assert stages.called == []


def test_a_deploy_that_was_overtaken_meanwhile_ends_as_superseded(delivery: Delivery, stages: Stages) -> None:
    delivery.commit("apps/one/x", "1")
    stages.fails["deploy"] = SupersededError("dev has a newer commit", "f" * 40)
    assert run().name == "Superseded"
    assert [record.state for record in kept(delivery)] == ["superseded"]
    assert last_succeeded(fetch(f"file://{delivery.remote}"), "dev") is None


def test_a_smoke_test_that_fails_undoes_the_deploy_and_says_so(delivery: Delivery, stages: Stages) -> None:
    delivery.commit("apps/one/x", "1")
    stages.fails["smoke"] = SmokeError("1 of 2 URLs did not answer.")
    state = run()
    assert state.name == "Failed"
    assert "1 of 2 URLs did not answer. What was there before is back." in str(state.message)
    assert stages.undone == [("one", "two")]


@pytest.mark.parametrize(
    ("stage", "error"),
    [("build", SymphonyError("does not build")), ("deploy", DeployError("crashes")), ("build", KeyError("a bug"))],
)
def test_whatever_fails_a_stage_is_recorded(delivery: Delivery, stages: Stages, stage: str, error: Exception) -> None:
    delivery.commit("apps/one/x", "1")
    stages.fails[stage] = error
    assert run().name == "Failed"
    (record,) = kept(delivery)
    assert (record.state, record.reason) == ("failed", str(error))
    assert list(record.stages)[-1] == stage


def test_units_that_were_applied_before_another_failed_are_recorded(delivery: Delivery, stages: Stages) -> None:
    delivery.commit("infra/live/dev/x", "1")
    results = (UnitResult(unit="a", state="applied"), UnitResult(unit="b", state="failed", reason="no"))
    stages.fails["provision"] = ProvisionError("Units of dev failed: b.", results)
    assert run().name == "Failed"
    (record,) = kept(delivery)
    assert record.units == results
    assert stages.called == ["provision"]


def test_the_approver_reaches_provision_and_the_record(delivery: Delivery, stages: Stages) -> None:
    delivery.commit("apps/one/x", "1")
    run(approved_by="Ada")
    assert stages.called[0] == "provision by Ada"
    assert kept(delivery)[0].approved_by == "Ada"


def test_a_record_that_cannot_be_written_does_not_hide_why_the_release_failed(
    delivery: Delivery, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SymphonyError("the remote is closed")

    delivery.commit("apps/one/x", "1")
    monkeypatch.setattr(shared, "write_record", refuse)
    stages.fails["build"] = SymphonyError("does not build")
    assert "does not build" in str(run().message)
    del stages.fails["build"]
    assert "the remote is closed" in str(run().message)


def test_a_release_that_waits_for_approval_has_no_story_yet(delivery: Delivery, stages: Stages) -> None:
    delivery.commit("apps/one/x", "1")
    stages.fails["provision"] = Pause()
    with open_change("dev") as change, pytest.raises(Pause):
        release_change(change)
    assert kept(delivery) == []
    assert stages.called == ["provision"]


def test_who_approved_what_is_in_the_record(
    delivery: Delivery, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stages
    commit = delivery.commit("apps/one/x", "1")
    approval = Approval(approver="Ada", decision="approve", at="now", commit=commit, plans={"a": "1", "b": "2"})
    units = tuple(UnitResult(unit=unit, state="applied", approval=approval) for unit in ("a", "b"))
    monkeypatch.setattr(module, "provision_change", lambda *_, **__: units)
    run()
    assert kept(delivery)[0].approvals == (approval,)
