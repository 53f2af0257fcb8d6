"""Two runs of provision at once, both started through Prefect's API, on real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.client import Run
from sandbox.world import World
from tests.world.operations import Operator, append

ACCESS, REGISTRY = "infra/modules/access/main.tf", "infra/modules/ecr/main.tf"
SECOND = "beside"
"""A second deployment of provision in dev, since runs of one deployment follow each other."""
TURN = """
resource "terraform_data" "turn" {
  triggers_replace = "%(name)s"

  provisioner "local-exec" {
    command = "echo begin %(name)s >> %(file)s; sleep 5; echo end %(name)s >> %(file)s"
  }
}
"""


@pytest.fixture(scope="module")
def dev(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Dev with main's infrastructure, before and after."""
    made = Operator.take(world, tmp_path_factory.mktemp("dev"))
    assert made.ended(made.begin("main", everything=True)).succeeded
    first = made.api.call("GET", "/deployments/name/provision/dev")
    kept = ("flow_id", "entrypoint", "path", "parameters", "job_variables", "pull_steps", "parameter_openapi_schema")
    same = {name: first[name] for name in (*kept, "work_pool_name", "work_queue_name")}
    second = made.api.call("POST", "/deployments/", {**same, "name": SECOND})
    yield made
    made.api.call("DELETE", f"/deployments/{second['id']}")
    assert made.ended(made.begin("main", everything=True)).succeeded


def changed(dev: Operator, module: str, name: str, file: Path) -> str:
    """A commit that changes one module; its apply writes down when it begins and ends."""
    return dev.committed(lambda copy: append(copy / module, TURN % {"name": name, "file": file}))


def both(dev: Operator, one: str, other: str) -> tuple[Run, Run]:
    """Two commits provisioned side by side, as the runs end."""
    runs = [
        dev.api.start("provision", deployment, {"commit": commit, "since": "main"})
        for deployment, commit in (("dev", one), (SECOND, other))
    ]
    first, second = (dev.ended(run) for run in runs)
    return first, second


def logs(dev: Operator, run: Run) -> str:
    body = {"logs": {"flow_run_id": {"any_": [run.id]}}, "limit": 200}
    return "\n".join(one["message"] for one in dev.api.call("POST", "/logs/filter", body))


def test_two_runs_that_touch_the_same_unit_apply_one_after_the_other_and_both_end_well(
    dev: Operator, tmp_path: Path
) -> None:
    turns = tmp_path / "turns"
    runs = both(dev, *(changed(dev, ACCESS, name, turns) for name in ("one", "other")))
    assert all(run.succeeded for run in runs), [run.message for run in runs]
    first, second, third, fourth = turns.read_text().split("\n")[:4]
    assert {first, third} == {"begin one", "begin other"}
    assert (second, fourth) == (first.replace("begin", "end"), third.replace("begin", "end"))
    # The one that came second says whom it waited for.
    waited = [text for text in (logs(dev, run) for run in runs) if "Waiting for unit-dev-access, held by" in text]
    assert len(waited) == 1
    assert dev.slots() == {}


def test_two_runs_that_touch_different_units_go_on_at_the_same_time(dev: Operator, tmp_path: Path) -> None:
    turns = tmp_path / "turns"
    runs = both(dev, changed(dev, ACCESS, "access", turns), changed(dev, REGISTRY, "registry", turns))
    assert all(run.succeeded for run in runs), [run.message for run in runs]
    lines = turns.read_text().split("\n")
    assert {line.split()[0] for line in lines[:2]} == {"begin"}
    assert sorted(lines[:4]) == ["begin access", "begin registry", "end access", "end registry"]
