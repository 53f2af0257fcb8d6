from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.exceptions import Pause

import flows.addons
from flows.addons import Step, cluster_steps, take_steps
from flows.layer import Layers, SideBySide
from symphony.addons import AccessEntry, Addon
from symphony.change import Change
from symphony.config import load
from symphony.errors import BadInputError, SymphonyError
from symphony.models import Approval, ResourceChange, UnitPlan, UnitResult
from tasks.live import Live

ROOT = Path(__file__).parents[2]
ADDONS = {
    "argocd": Addon(chart="charts/hello", namespace="argocd", after="cluster"),
    "edge": Addon(chart="oci://charts.example/edge", version="1.0.0", namespace="edge", files=("infra/edge.yaml",)),
}


@dataclass
class Cluster:
    """Stands for helm: what is there already, what fails, and what was done."""

    unchanged: set[str] = field(default_factory=set)
    fails: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)
    answer: Approval | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def plan(self, change: Change, name: str) -> UnitPlan:
        del change
        if f"plan {name}" in self.fails:
            raise SymphonyError(f"{name} does not render.")
        changes = () if name in self.unchanged else (ResourceChange(address=name, action="add"),)
        return UnitPlan(unit=f"addon:{name}", changes=changes, hash=f"hash of {name}")

    def install(self, change: Change, name: str) -> float:
        del change
        self.done.append(name)
        if name in self.fails:
            raise SymphonyError(f"{name} did not come up.")
        return 1.5

    def ask(self, change: Change, plans: Mapping[str, UnitPlan], files: object, **more: object) -> Approval:
        del change, files, more
        self.asked.append({label: plan.hash for label, plan in plans.items()})
        if self.answer is None:
            raise Pause
        return self.answer

    def save(self, shelf: object, live: object, units: object, plans: object, before: list[UnitResult]) -> None:
        del shelf, live
        assert not units
        assert not plans
        self.kept = [result.unit for result in before]


@pytest.fixture
def cluster(prefect: None, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    del prefect
    made = Cluster()

    def plan(change: Change, name: str) -> UnitPlan:
        return made.plan(change, name)

    def install(change: Change, name: str) -> float:
        return made.install(change, name)

    monkeypatch.setattr(flows.addons, "plan_addon", task(name="plan addon")(plan))
    monkeypatch.setattr(flows.addons, "install_addon", task(name="install addon")(install))
    monkeypatch.setattr(flows.addons, "ask", made.ask)
    monkeypatch.setattr(flows.addons, "save_plans", made.save)
    return made


def change(changed: tuple[str, ...] = ()) -> Change:
    configuration = load(ROOT / "symphony.yaml")
    target = configuration.environments["dev"].model_copy(update={"addons": ADDONS})
    configuration = configuration.model_copy(update={"environments": {"dev": target}})
    return Change(configuration, "dev", "c" * 40, None, ROOT, ROOT, "", changed)


def install(before: str = "", **options: Any) -> dict[str, UnitResult]:
    """What became of both addons, where the cluster's unit is as said; empty for one that the run left alone."""
    state: Any = before
    results = {"cluster": UnitResult(unit="cluster", state=state)} if before else {}
    layers = Layers(change(), SideBySide(Live(ROOT, "infra/live", "dev"), 2), results=results, **options)

    @flow(name="provision")
    def body() -> None:
        take_steps(layers, cluster_steps(change(), {"cluster"}, touched=True))

    body()
    return {label: result for label, result in layers.results.items() if label != "cluster"}


def looked_at(given: Change, *, touched: bool = False) -> tuple[str, ...]:
    steps: tuple[Step, ...] = cluster_steps(given, {"cluster"}, touched=touched)
    return tuple(step.label.removeprefix("addon:") for step in steps)


def states(results: Mapping[str, UnitResult]) -> dict[str, str]:
    return {label.removeprefix("addon:"): result.state for label, result in results.items()}


def test_addons_are_installed_in_order_after_the_cluster(cluster: Cluster) -> None:
    results = install("applied")
    assert states(results) == {"argocd": "applied", "edge": "applied"}
    assert cluster.done == ["argocd", "edge"]
    assert results["addon:edge"].seconds >= 1.5


def test_what_is_there_already_is_not_installed_again(cluster: Cluster) -> None:
    cluster.unchanged = {"argocd", "edge"}
    assert states(install()) == {"argocd": "unchanged", "edge": "unchanged"}
    assert cluster.done == []


def test_one_that_fails_is_told_and_leaves_the_others_alone(cluster: Cluster) -> None:
    cluster.fails = {"argocd"}
    results = install()
    assert states(results) == {"argocd": "failed", "edge": "applied"}
    assert results["addon:argocd"].reason == "argocd did not come up."
    cluster.fails = {"plan edge"}
    assert states(install()) == {"argocd": "applied", "edge": "failed"}


@pytest.mark.parametrize(("state", "why"), [("failed", "failed"), ("planned", "is not applied")])
def test_a_cluster_that_is_not_applied_holds_back_what_comes_after_it(cluster: Cluster, state: str, why: str) -> None:
    results = install(state)
    assert states(results) == {"argocd": "held back", "edge": "applied"}
    assert results["addon:argocd"].reason == f"It comes after cluster, which {why}."
    assert cluster.done == ["edge"]


def test_a_plan_alone_installs_nothing(cluster: Cluster) -> None:
    assert states(install(plan_only=True)) == {"argocd": "planned", "edge": "planned"}
    assert cluster.done == []


def test_where_nobody_can_be_asked_a_protected_environment_stays_as_it_is(cluster: Cluster) -> None:
    results = install(must_ask=True)
    assert states(results) == {"argocd": "planned", "edge": "planned"}
    assert "nobody has approved" in results["addon:edge"].reason
    assert cluster.done == []


def test_a_person_is_asked_about_each_and_what_was_done_before_is_kept_for_the_next_start(cluster: Cluster) -> None:
    shelf: Any = "shelf"
    with pytest.raises(Pause):
        install("applied", must_ask=True, shelf=shelf)
    assert cluster.asked == [{"addon:argocd": "hash of argocd"}]
    assert cluster.kept == ["cluster"]
    assert cluster.done == []


@pytest.mark.parametrize(("decision", "state"), [("approve", "applied"), ("refuse", "planned")])
def test_the_answer_counts_and_is_kept(cluster: Cluster, decision: Any, state: str) -> None:
    shelf: Any = "shelf"
    cluster.answer = Approval(approver="Ada", decision=decision, at="now", commit="c" * 40, plans={})
    earlier = {"addon:edge": UnitResult(unit="addon:edge", state="applied", approval=cluster.answer)}
    cluster.unchanged = {"edge"}
    results = install(must_ask=True, shelf=shelf, earlier=earlier)
    assert states(results) == {"argocd": state, "edge": "applied"}
    assert [result.approval for result in results.values()] == [cluster.answer] * 2


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("symphony.yaml", ("argocd", "edge")),
        ("charts/service/templates/x.tpl", ("argocd",)),
        ("infra/edge.yaml", ("edge",)),
        ("apps/hello/hello.py", ()),
    ],
)
def test_addons_are_looked_at_where_their_files_changed(path: str, names: tuple[str, ...]) -> None:
    assert looked_at(change((path,))) == names
    assert looked_at(change((path,)), touched=True) == ("argocd", "edge")
    assert looked_at(replace(change(), changed=None)) == ("argocd", "edge")


def test_a_step_comes_after_the_units_whose_outputs_it_takes() -> None:
    given = change()
    entry = AccessEntry(role="{workers-role.role_arn}", username="workers")
    addon = ADDONS["argocd"].model_copy(update={"values": {"role": "{argocd-role.role_arn}", "x": ["{dns.zone_id}"]}})
    kubernetes = given.target.kubernetes.model_copy(update={"access": (entry,)})
    target = given.target.model_copy(update={"kubernetes": kubernetes, "addons": {"argocd": addon}})
    configuration = given.configuration.model_copy(update={"environments": {"dev": target}})
    steps = cluster_steps(replace(given, configuration=configuration), {"cluster"}, touched=True)
    assert [(step.label, set(step.after)) for step in steps] == [
        ("aws-auth", {"workers-role"}),
        ("addon:argocd", {"cluster", "argocd-role", "dns"}),
    ]


def test_an_addon_after_a_unit_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInputError, match="'argocd' comes after the unit 'cluster', which dev does not have; there"):
        cluster_steps(change(), {"network"}, touched=True)
