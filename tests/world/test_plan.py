"""``symphony plan`` on real parts: what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from sandbox.aws.client import client
from sandbox.prefect import worker_environment
from sandbox.world import World
from tests.world.operations import BUCKET, Operator, append

ACCESS = "infra/modules/access/main.tf"
GROUP = 'resource "aws_iam_group" "planned" {\n  name = "${var.name}-planned"\n}'
MANY = """
variable "token" {
  default   = "text-that-nobody-may-see"
  sensitive = true
}

resource "aws_iam_user" "many" {
  count = 120
  name  = "${var.name}-${count.index}"
  tags  = { token = var.token }
}
"""


@pytest.fixture(scope="module")
def dev(world: World, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Dev with main's infrastructure."""
    made = Operator.take(world, tmp_path_factory.mktemp("dev"))
    ended = made.ended(made.begin("main", everything=True))
    assert ended.succeeded, ended.message
    return made


def symphony(dev: Operator, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", *arguments]
    environment = worker_environment(dev.world) | {"COLUMNS": "400"}
    return subprocess.run(
        command, cwd=dev.world.source, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


def test_changes_are_shown_counted_in_json_and_end_with_2_and_nothing_is_applied(dev: Operator) -> None:
    commit = dev.committed(lambda copy: append(copy / ACCESS, GROUP))
    shown = symphony(dev, "plan", commit, "--since", "main")
    assert shown.returncode == 2, shown.stdout + shown.stderr
    assert "access: planned, 1 to add" in shown.stdout
    assert 'resource "aws_iam_group" "planned" {' in shown.stdout
    assert "<" not in shown.stdout.partition("access: planned")[2]

    asked = symphony(dev, "plan", commit, "--env", "dev", "--since", "main", "--json")
    assert asked.returncode == 2, asked.stderr
    found = json.loads(asked.stdout)
    assert (found["environment"], found["commit"], found["since"], found["error"]) == ("dev", commit, "main", "")
    (unit,) = found["units"]
    assert (found["changes"], unit["unit"], unit["state"], unit["add"]) == (True, "access", "planned", 1)
    groups = client(dev.world, "iam").list_groups()["Groups"]
    assert "dev-planned" not in {one["GroupName"] for one in groups}


def test_nothing_to_change_ends_with_0(dev: Operator) -> None:
    none = symphony(dev, "plan", "--since", "main")
    assert none.returncode == 0, none.stderr
    assert "No unit is affected; nothing would change." in none.stdout
    comment = dev.committed(lambda copy: append(copy / ACCESS, "# a word"))
    unchanged = symphony(dev, "plan", comment, "--since", "main", "--json")
    assert unchanged.returncode == 0, unchanged.stderr
    found = json.loads(unchanged.stdout)
    assert [(unit["unit"], unit["state"]) for unit in found["units"]] == [("access", "unchanged")]
    assert found["changes"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--env", "nowhere"], "has no deployment provision/nowhere; there are: provision/dev"),
        (["no-such-branch"], "The commit 'no-such-branch' is not in the Git remote"),
        (["--since", "no-such-tag"], "The commit 'no-such-tag' is not in the Git remote"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_input_ends_with_1_and_one_sentence_that_names_it(dev: Operator, arguments: list[str], told: str) -> None:
    ended = symphony(dev, "plan", *arguments)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    if arguments != ["--nonsense"]:
        assert re.fullmatch(r"symphony: [^\n]+\n", ended.stderr)
        asked = symphony(dev, "plan", *arguments, "--json")
        assert asked.returncode == 1
        assert told in json.loads(asked.stdout)["error"]


def test_a_plan_that_fails_ends_with_1_and_names_the_unit(dev: Operator) -> None:
    broken = dev.committed(lambda copy: append(copy / ACCESS, GROUP.replace("var.name", "local.nowhere")))
    ended = symphony(dev, "plan", broken, "--since", "main", "--json")
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert "Units of dev failed: access." in found["error"]
    assert "nowhere" in found["error"]
    assert [(unit["unit"], unit["state"]) for unit in found["units"]] == [("access", "failed")]


def test_a_plan_too_long_for_its_page_is_kept_whole_beside_it_and_masked(dev: Operator) -> None:
    commit = dev.committed(lambda copy: append(copy / ACCESS, MANY))
    asked = symphony(dev, "plan", commit, "--since", "main", "--json")
    assert asked.returncode == 2, asked.stderr
    page = dev.api.artifact(json.loads(asked.stdout)["run"], "plans-dev") or ""
    assert page.index("1 planned; 2 not affected") < page.index("<details><summary>access: planned, 120 to add")
    assert "cut here: the plan has" in page
    assert len(page) < 200_000
    named = re.search(r"in s3://([^/]+)/(\S+); to read it: symphony plan-text (\S+) --env dev", page)
    assert named is not None
    assert named[1] == BUCKET
    kept = client(dev.world, "s3").head_object(Bucket=BUCKET, Key=named[2])
    assert kept["ServerSideEncryption"] == "AES256"
    whole = symphony(dev, "plan-text", named[3])
    assert whole.returncode == 0, whole.stderr
    last = 'resource "aws_iam_user" "many" {'
    assert whole.stdout.count(last) == 120 > page.count(last.replace('"', "&quot;")) + page.count(last)
    assert "Plan: 120 to add" in whole.stdout
    assert "(sensitive value)" in whole.stdout
    for text in (page, whole.stdout, asked.stdout):
        assert "text-that-nobody-may-see" not in text

    missing = symphony(dev, "plan-text", "nowhere/plan.txt")
    assert missing.returncode == 2
    assert "There is no plan 'nowhere/plan.txt' of dev" in missing.stderr
