from __future__ import annotations

import json
import os
import re
import stat
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import tasks.terragrunt
from symphony.config import Environment, load
from symphony.errors import BadInputError, StalePlanError, SymphonyError, TransientError
from symphony.models import UnitPlan
from tasks.live import Live
from tasks.terragrunt import apply_unit, bootstrap_state, plan_provisionally, plan_unit, printed_outputs, restore
from tasks.units import Unit, find_units

SAMPLES = Path(__file__).parent / "samples"
UNIT = Unit(path="network")
TARGET = load(Path(__file__).parents[2] / "symphony.yaml").environments["dev"]
WORKING = Path(".terragrunt-cache") / "a" / "b"

WITH_MOCKS = """\
dependency "network" {
  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = { vpc_id = "vpc-0" }
}
"""

# Writes down how it was called, then answers as `answers.json` says for its first argument.
PROGRAM = """\
import json, os, sys
from pathlib import Path

here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    hcl = Path("terragrunt.hcl").read_text() if Path("terragrunt.hcl").exists() else ""
    call = {"hcl": hcl, "argv": [Path(sys.argv[0]).name, *sys.argv[1:]], "cwd": os.getcwd()}
    call["env"] = dict(os.environ)
    tree = Path.cwd().parents[3]
    call["beside"] = {f"units/{path.name}": path.read_text() for path in (tree / "units").glob("*.hcl")}
    calls.write(json.dumps(call) + "\\n")
answer = json.loads((here / "answers.json").read_text())[sys.argv[1]]
print(answer.get("out", ""), end="")
print(answer.get("err", ""), end="", file=sys.stderr)
if sys.argv[1] == "plan":
    folder = Path(".terragrunt-cache/a/b")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "symphony.tfplan").touch()
sys.exit(answer.get("code", 0))
"""


class Tools:
    """Programs named terragrunt and tofu that answer as told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("terragrunt", "tofu"):
            program = folder / name
            program.write_text(f"#!{sys.executable}\n{PROGRAM}")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def answer(self, **answers: dict[str, Any]) -> None:
        (self._folder / "answers.json").write_text(json.dumps(answers))

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._folder / "calls").read_text().splitlines()]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    return Tools(folder)


@pytest.fixture
def live(tmp_path: Path) -> Live:
    (tmp_path / "tree" / "infra" / "live" / "dev" / "network").mkdir(parents=True)
    return Live(tmp_path / "tree", "infra/live", "dev", ("dev",), {"AWS_REGION": "eu-central-1"})


def test_a_plan_without_changes_is_not_read_again(tools: Tools, live: Live) -> None:
    tools.answer(plan={"out": "No changes.", "code": 0})
    plan = plan_unit.fn(live, UNIT)
    assert plan.empty
    assert [call["argv"][:2] for call in tools.calls] == [["terragrunt", "plan"]]


def test_a_plan_is_saved_read_as_json_and_masked(tools: Tools, live: Live) -> None:
    printed, shown = (SAMPLES / "plan.txt").read_text(), (SAMPLES / "plan.json").read_text()
    tools.answer(plan={"out": printed, "code": 2}, show={"out": shown})
    plan = plan_unit.fn(live, UNIT)
    assert plan.count("replace") == 2
    assert "topsecretvalue" not in plan.model_dump_json()
    planned, show = tools.calls
    assert "-out=symphony.tfplan" in planned["argv"]
    assert "-detailed-exitcode" in planned["argv"]
    assert show["argv"] == ["tofu", "show", "-json", "symphony.tfplan"]
    assert show["cwd"] == str(live.folder / "network" / WORKING)
    masks = live.folder / "network" / WORKING / "symphony.masks.json"
    assert stat.S_IMODE(masks.stat().st_mode) == 0o600


def test_the_tools_ask_nothing_and_know_the_account(tools: Tools, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_ARGS", "-destroy")
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", "{}")
    tools.answer(plan={"code": 0})
    plan_unit.fn(live, UNIT)
    env = tools.calls[0]["env"]
    assert env["TG_NON_INTERACTIVE"] == "true"
    assert env["TG_TF_PATH"] == "tofu"
    assert env["TF_INPUT"] == "0"
    assert env["TF_CLI_ARGS"] == ""
    assert env["TF_REATTACH_PROVIDERS"] == ""
    assert env["AWS_REGION"] == "eu-central-1"


def test_the_tools_collect_garbage_late_unless_the_worker_says_otherwise(
    tools: Tools, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOGC", raising=False)
    monkeypatch.setenv("GOMEMLIMIT", "300MiB")
    tools.answer(
        plan={"out": (SAMPLES / "plan.txt").read_text(), "code": 2}, show={"out": (SAMPLES / "plan.json").read_text()}
    )
    plan_unit.fn(live, UNIT)
    assert [(call["env"]["GOGC"], call["env"]["GOMEMLIMIT"]) for call in tools.calls] == [("off", "300MiB")] * 2


def test_an_apply_takes_the_saved_plan_and_its_log_shows_no_secret(
    tools: Tools, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(tasks.terragrunt, "_log", said.append)
    tools.answer(
        plan={"out": (SAMPLES / "plan.txt").read_text(), "code": 2},
        show={"out": (SAMPLES / "plan.json").read_text()},
        apply={"out": "aws_iam_user.u: Creating...\nthe provider repeats topsecretvalue\n"},
    )
    assert apply_unit.fn(live, UNIT, plan_unit.fn(live, UNIT)) > 0
    assert tools.calls[-1]["argv"][1] == "apply"
    assert tools.calls[-1]["argv"][-1] == str(live.folder / "network" / WORKING / "symphony.tfplan")
    assert "aws_iam_user.u: Creating..." in said
    assert "topsecretvalue" not in "".join(said)


def test_a_secret_that_a_provider_names_before_there_is_a_plan_is_masked(
    tools: Tools, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    (live.folder / "network" / "variables.tf").write_text(
        'variable "name" {}\nvariable "given" {\n  sensitive = true\n}\nvariable "exported" {\n  sensitive = true\n}\n'
        'variable "written" {\n  default   = "in the module"\n  sensitive = true\n}\n'
    )
    monkeypatch.setenv("TF_VAR_exported", "in the environment")
    named = ("in the inputs", "in the environment", "in the module")
    said = "".join(f"│ Error: expected a CIDR, got: {text}\n" for text in (*named, "the name"))
    inputs = {"name": "the name", "given": {"nested": ["in the inputs"]}}
    tools.answer(plan={"err": said, "code": 1}, render={"out": json.dumps({"inputs": inputs})})
    with pytest.raises(SymphonyError, match="got: the name") as caught:
        plan_unit.fn(live, UNIT)
    assert str(caught.value).count("got: (sensitive value)") == 1  # told once, as all that is told twice
    told = "".join(traceback.format_exception(caught.value))
    assert [text for text in named if text in told] == []


def test_an_apply_without_its_saved_plan_is_refused(tools: Tools, live: Live) -> None:
    tools.answer(apply={})
    with pytest.raises(SymphonyError, match="saved plan of unit network is gone"):
        apply_unit.fn(live, UNIT, UnitPlan(unit="network"))


def test_a_provisional_plan_may_use_mocks_and_is_never_applied(tools: Tools, live: Live) -> None:
    file = live.folder / "network" / "terragrunt.hcl"
    file.write_text(WITH_MOCKS)
    printed, shown = (SAMPLES / "plan.txt").read_text(), (SAMPLES / "plan.json").read_text()
    tools.answer(plan={"out": printed, "code": 2}, show={"out": shown}, apply={})
    plan = plan_provisionally.fn(live, UNIT)
    assert plan.provisional
    assert 'commands = ["validate", "plan"]' in tools.calls[0]["hcl"]
    assert 'strategy_with_state = "shallow"' in tools.calls[0]["hcl"]
    assert file.read_text() == WITH_MOCKS
    assert {file.read_bytes() for file in live.folder.glob("**/symphony.tfplan")} == {b""}
    with pytest.raises(SymphonyError, match="provisional and is never applied"):
        apply_unit.fn(live, UNIT, plan)


def test_mocks_of_an_included_file_are_let_in_for_the_unit_alone(tools: Tools, live: Live) -> None:
    """Other units, planned at the same time, include the very file."""
    file, shared = live.folder / "network" / "terragrunt.hcl", live.tree / "units" / "access.hcl"
    shared.parent.mkdir()
    shared.write_text(WITH_MOCKS)
    own = 'include "unit" {\n  path = find_in_parent_folders("units/access.hcl")\n}\n'
    file.write_text(own)
    tools.answer(plan={})
    plan_provisionally.fn(live, UNIT.model_copy(update={"reading": ("units/access.hcl", "values.yaml")}))
    seen = re.search(r'folders\("units/(\w+-access.hcl)"\)', tools.calls[0]["hcl"])
    assert seen is not None
    assert 'commands = ["validate", "plan"]' in tools.calls[0]["beside"][f"units/{seen[1]}"]
    assert tools.calls[0]["beside"]["units/access.hcl"] == WITH_MOCKS
    assert file.read_text() == own
    assert [path.name for path in shared.parent.iterdir()] == ["access.hcl"]


def test_a_plan_that_was_put_back_is_the_one_applied_until_the_unit_is_planned_anew(tools: Tools, live: Live) -> None:
    tools.answer(plan={"out": "", "code": 2}, show={"out": (SAMPLES / "plan.json").read_text()}, apply={})
    restore(live, UNIT, b"saved", '["hidden"]', b"{}")
    apply_unit.fn(live, UNIT, UnitPlan(unit="network"))
    put_back = live.folder / "network" / "symphony.tfplan"
    assert tools.calls[-1]["argv"][-1] == str(put_back)
    assert stat.S_IMODE(put_back.stat().st_mode) == 0o600
    apply_unit.fn(live, UNIT, plan_unit.fn(live, UNIT))
    assert tools.calls[-1]["argv"][-1] == str(live.folder / "network" / WORKING / "symphony.tfplan")


@pytest.fixture
def unwritten(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state that tofu could not write after an apply."""
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "kept"))
    monkeypatch.setattr(tasks.terragrunt, "_PUSHES", 2)
    restore(live, UNIT, b"saved", "[]", b"{}")
    left = live.folder / "network" / WORKING / "errored.tfstate"
    left.parent.mkdir(parents=True)
    left.write_text("the state")
    return left


def test_a_state_that_could_not_be_written_is_written_after_the_apply(
    tools: Tools, live: Live, unwritten: Path
) -> None:
    tools.answer(apply={"err": "Error: Failed to persist state\n", "code": 1}, state={})
    with pytest.raises(SymphonyError, match=r"Failed to persist state.* and was written afterwards"):
        apply_unit.fn(live, UNIT, UnitPlan(unit="network"))
    assert tools.calls[-1]["argv"][:3] == ["terragrunt", "state", "push"]
    assert not unwritten.exists()
    assert list((live.tree.parent / "kept" / "states").glob("*")) == []


def test_a_state_that_cannot_be_written_outlives_the_checkout_and_goes_before_the_next_plan(
    tools: Tools, live: Live, unwritten: Path
) -> None:
    refused = {"err": "Error: Failed to persist state\n", "code": 1}
    tools.answer(apply=refused, state=refused)
    with pytest.raises(SymphonyError, match=r"is kept in .*dev-network\.tfstate on this machine"):
        apply_unit.fn(live, UNIT, UnitPlan(unit="network"))
    (kept,) = (live.tree.parent / "kept" / "states").iterdir()
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("the state", 0o600)
    assert not unwritten.exists()

    with pytest.raises(SymphonyError, match="The writing of the kept state of unit network"):
        plan_unit.fn(live, UNIT)
    tools.answer(state={}, plan={"code": 0})
    assert plan_unit.fn(live, UNIT).empty
    assert [call["argv"][1] for call in tools.calls[-2:]] == ["state", "plan"]
    assert not kept.exists()


def test_a_stale_plan_is_told_apart(tools: Tools, live: Live) -> None:
    restore(live, UNIT, b"saved", "[]", b"{}")
    tools.answer(apply={"err": "Error: Saved plan is stale\n", "code": 1})
    with pytest.raises(StalePlanError, match="state has moved since the plan"):
        apply_unit.fn(live, UNIT, UnitPlan(unit="network"))


def test_a_busy_lock_is_transient(tools: Tools, live: Live) -> None:
    tools.answer(plan={"err": (SAMPLES / "locked.txt").read_text(), "code": 1})
    with pytest.raises(TransientError, match="root@somewhere holds it"):
        plan_unit.fn(live, UNIT)


def test_an_error_names_paths_as_the_repository_does(tools: Tools, live: Live) -> None:
    tools.answer(plan={"err": f"Error: Bad source in {live.folder}/network/terragrunt.hcl\n", "code": 1})
    with pytest.raises(SymphonyError, match="Bad source in infra/live/dev/network") as raised:
        plan_unit.fn(live, UNIT)
    assert str(live.tree) not in str(raised.value)


def test_the_state_bucket_is_made_in_a_units_folder_once_the_account_is_known_to_be_the_environments(
    tools: Tools, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.answer(backend={})

    def another(target: Environment, service: str) -> None:
        raise BadInputError(f"{service} of {target.aws.account}: the credentials belong to AWS account 1")

    monkeypatch.setattr("tasks.terragrunt.client", another)
    with pytest.raises(BadInputError, match="belong to AWS account 1"):
        bootstrap_state.fn(TARGET, live, UNIT)
    monkeypatch.setattr("tasks.terragrunt.client", lambda *_: None)
    bootstrap_state.fn(TARGET, live, UNIT)
    assert len(tools.calls) == 1
    assert tools.calls[0]["argv"] == ["terragrunt", "backend", "bootstrap"]
    assert tools.calls[0]["cwd"] == str(live.folder / "network")


def test_outputs_are_read_past_what_init_prints(tools: Tools, live: Live) -> None:
    outputs = {"vpc_id": {"value": "vpc-1", "sensitive": False}, "key": {"value": "hidden", "sensitive": True}}
    tools.answer(output={"out": f"Initializing the backend...\n{json.dumps(outputs, indent=2)}\n"})
    assert printed_outputs(live, UNIT) == outputs


def test_a_folder_that_terragrunt_cannot_read_is_an_error(tools: Tools, live: Live) -> None:
    tools.answer(find={"err": "ERRO[0000] Invalid filter\n", "code": 1})
    with pytest.raises(BadInputError, match=r"cannot read infra/live/dev: Invalid filter\."):
        find_units.fn(live)


def test_units_in_a_circle_are_named_though_find_leaves_them_out(tools: Tools, live: Live) -> None:
    (live.folder / "network" / "terragrunt.hcl").touch()
    tools.answer(find={"out": "[]", "err": "WARN[0000] Cycle detected in dependency graph, attempting removal.\n"})
    with pytest.raises(BadInputError, match="circle, among network;"):
        find_units.fn(live)


def test_terragrunt_that_is_not_installed_is_told(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInputError, match="'terragrunt' is not on PATH"):
        find_units.fn(live)
