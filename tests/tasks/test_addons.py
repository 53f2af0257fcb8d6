from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from symphony.addons import Addon
from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.models import UnitPlan
from tasks.addons import install_addon, plan_addon
from tasks.outputs import publish_outputs

if TYPE_CHECKING:
    from tests.conftest import Delivery

# Writes down how it was called, then answers as `answers.json` says for its first argument.
PROGRAM = """\
import json, sys
from pathlib import Path

here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
answer = json.loads((here / "answers.json").read_text()).get(sys.argv[1], {})
print(answer.get("out", ""), end="")
print(answer.get("err", ""), end="", file=sys.stderr)
sys.exit(answer.get("code", 0))
"""
NOT_FOUND = {"err": "Error: release: not found\n", "code": 1}
MANIFEST = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: edge}\ndata: {zone: a}\n"


class Helm:
    """A program named helm that answers as told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "helm"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def answer(self, **answers: dict[str, Any]) -> None:
        (self._folder / "calls").unlink(missing_ok=True)
        (self._folder / "answers.json").write_text(json.dumps(answers))

    def has(self, state: str, description: str = "", **more: dict[str, Any]) -> None:
        """It has a release in this state."""
        info = {"status": state, "description": description}
        more.setdefault("upgrade", {"out": json.dumps({"manifest": MANIFEST})})
        self.answer(status={"out": json.dumps({"info": info, "version": 3})}, get={"out": ""}, **more)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self._folder / "calls").read_text().splitlines()]

    @property
    def verbs(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helm:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    return Helm(folder)


def change(delivery: Delivery, **facts: Any) -> Change:
    """A commit with the addon `edge`, a chart of the repository unless said otherwise."""
    given = delivery.change()
    addon = Addon.model_validate({"chart": "charts/one", "namespace": "edge", **facts})
    target = given.target.model_copy(update={"addons": {"edge": addon}})
    environments = {**given.configuration.environments, "dev": target}
    return replace(given, configuration=given.configuration.model_copy(update={"environments": environments}))


def planned(given: Change) -> UnitPlan:
    plan: UnitPlan = plan_addon.fn(given, "edge")
    return plan


def test_what_is_not_there_is_added_with_its_manifests(delivery: Delivery, helm: Helm) -> None:
    helm.answer(status=NOT_FOUND, upgrade={"out": json.dumps({"manifest": MANIFEST})})
    plan = planned(change(delivery))
    assert (plan.unit, [one.action for one in plan.changes]) == ("addon:edge", ["add"])
    assert "+  zone: a" in plan.text
    assert all(call[-2:] == ["--kube-context", "test"] for call in helm.calls)
    assert "--dry-run=server" in helm.calls[1]
    assert helm.verbs == ["status", "upgrade"]


def test_what_was_made_of_the_same_is_left_alone(delivery: Delivery, helm: Helm) -> None:
    given = change(delivery)
    helm.answer(status=NOT_FOUND, upgrade={"out": json.dumps({"manifest": MANIFEST})})
    hash_ = planned(given).hash
    helm.has("deployed", f"symphony {hash_}")
    assert planned(given).empty
    assert helm.verbs == ["status"]
    for state, description in (("failed", f"symphony {hash_}"), ("deployed", "Rollback to 1"), ("deployed", "")):
        helm.has(state, description)
        assert planned(given).count("change") == 1


@pytest.mark.parametrize("path", ["charts/one/templates/map.yaml", "infra/edge.yaml"])
def test_another_chart_or_value_file_makes_a_difference(delivery: Delivery, helm: Helm, path: str) -> None:
    delivery.commit("infra/edge.yaml", "a: 1\n")
    helm.has("deployed")
    given = change(delivery, files=["infra/edge.yaml"])
    before = planned(given).hash
    assert planned(given).hash == before
    delivery.commit(path, "a: 2\n")
    assert planned(given).hash != before


def test_an_output_makes_a_difference_and_reaches_the_values(delivery: Delivery, helm: Helm) -> None:
    given = change(delivery, values={"zone": "{network.zone}"})
    helm.has("deployed")
    with pytest.raises(BadInputError, match="'zone' of unit 'network'"):
        planned(given)
    hashes = set()
    for zone in ("a", "b"):
        publish_outputs.fn(given.mirror, "dev", {"network": {"zone": zone}})
        hashes.add(planned(given).hash)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("facts", "arguments"),
    [
        ({"chart": "oci://charts.example/argo-cd", "version": "9.1.0"}, ["oci://charts.example/argo-cd"]),
        (
            {"chart": "argo-cd", "repository": "https://charts.example", "version": "9.1.0"},
            ["--repo", "https://charts.example", "--version", "9.1.0"],
        ),
    ],
)
def test_a_chart_from_elsewhere_is_taken_at_its_version(
    delivery: Delivery, helm: Helm, facts: dict[str, Any], arguments: list[str]
) -> None:
    helm.has("deployed")
    install_addon.fn(change(delivery, **facts), "edge")
    (upgrade,) = [call for call in helm.calls if call[0] == "upgrade"]
    assert set(arguments) <= set(upgrade)
    assert {"--install", "--atomic", "--wait", "--create-namespace", "9.1.0"} <= set(upgrade)
    assert upgrade[upgrade.index("--timeout") + 1] == "300s"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"chart": "oci://charts.example/argo-cd"}, "version is missing"),
        ({"chart": "charts/one", "version": "1.0.0"}, "a folder inside the repository"),
        ({"chart": "../one"}, "a folder inside the repository"),
        ({"chart": "a/b", "repository": "https://charts.example", "version": "1.0.0"}, "a plain name"),
        ({"chart": "a", "repository": "https://charts.example", "version": ">=1"}, "version"),
    ],
)
def test_a_chart_that_is_not_one_thing_is_refused(delivery: Delivery, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        change(delivery, **facts)


@pytest.mark.parametrize(("state", "verb"), [("pending-install", "uninstall"), ("pending-upgrade", "rollback")])
def test_what_a_killed_helm_left_is_put_back_first(delivery: Delivery, helm: Helm, state: str, verb: str) -> None:
    helm.has(state)
    assert "left half-way" in planned(change(delivery)).text
    assert helm.verbs == ["status"]
    install_addon.fn(change(delivery), "edge")
    assert helm.verbs == ["status", "status", verb, "upgrade"]


@pytest.mark.parametrize(
    "said",
    [
        'Kubernetes cluster unreachable: Get "https://x": dial tcp 10.0.0.1:443: connect: connection refused',
        "failed to do request: Head: net/http: TLS handshake timeout",
        "failed to fetch https://charts.example/index.yaml : 503 Service Unavailable",
        "unexpected status code: 429 Too Many Requests",
    ],
)
def test_a_network_fault_is_transient(delivery: Delivery, helm: Helm, said: str) -> None:
    helm.answer(status={"err": f"Error: {said}\n", "code": 1})
    with pytest.raises(TransientError, match="did not get through"):
        planned(change(delivery))


def test_what_does_not_come_up_is_not_tried_again(delivery: Delivery, helm: Helm) -> None:
    said = "Error: release edge failed, and has been rolled back: context deadline exceeded"
    helm.has("deployed", upgrade={"err": said, "code": 1})
    with pytest.raises(SymphonyError, match=r"helm upgrade of the addon edge in test failed: release edge") as raised:
        install_addon.fn(change(delivery), "edge")
    assert not isinstance(raised.value, TransientError)


def test_a_value_file_that_is_not_there_is_named(delivery: Delivery, helm: Helm) -> None:
    helm.has("deployed")
    with pytest.raises(BadInputError, match=r"infra/none\.yaml"):
        planned(change(delivery, files=["infra/none.yaml"]))
