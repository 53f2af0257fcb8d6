from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import tasks.provider
from tasks.live import Live
from tasks.shared_provider import SharedProviders
from tasks.units import Unit
from tests.tasks.fake_provider import write

MAIN = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 3.40"
    }
  }
}
provider "aws" {
  region = "eu-central-1"
}
"""
LOCK = 'provider "registry.opentofu.org/hashicorp/aws" {\n  version = "3.39.0"\n}\n'

# Initialises as tofu does, with the provider where it attaches to none, and says how it was called.
TERRAGRUNT = """\
import json, os, shutil, signal, sys, time
from pathlib import Path

here = Path(__file__).parent
attach = json.loads(os.environ["TF_REATTACH_PROVIDERS"] or "{}")
pid = next(iter(attach.values()))["Pid"] if attach else 0
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([Path.cwd().name, *attach, pid]) + "\\n")
folder = Path(".terragrunt-cache/a/b")
folder.mkdir(parents=True, exist_ok=True)
for file in Path().glob("*.tf*"):
    shutil.copy(file, folder)
provider = folder / ".terraform/providers/registry.opentofu.org/hashicorp/aws/3.40.0/linux_amd64"
provider.mkdir(parents=True, exist_ok=True)
if not attach and not list(provider.iterdir()):
    (provider / "terraform-provider-aws_v3.40.0_x5").symlink_to(here / "provider")
if sys.argv[1] == "plan":
    (folder / "symphony.tfplan").touch()
if attach and Path("signal").exists():
    os.kill(pid, int(Path("signal").read_text()))
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(0.02)
    print("Error: Plugin did not respond", file=sys.stderr)
    sys.exit(1)
"""


class Units:
    """Units whose provider is shared, and how Terragrunt was called for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = Live(folder / "tree", "live", "dev", ("dev",))
        self.providers = SharedProviders()

    def plan(self, name: str, files: dict[str, str | None] | None = None) -> list[int]:
        """Plan a new unit; for each call the process that it attached to, 0 for none."""
        unit = self.live.folder / name
        unit.mkdir(parents=True)
        for file, text in {"terragrunt.hcl": "", "main.tf": MAIN, **(files or {})}.items():
            if text is not None:
                (unit / file).write_text(text)
        before = len(self.calls)
        assert self.providers.plan(self.live, Unit(path=name)) == ""
        calls = self.calls[before:]
        assert {call[0] for call in calls} == {name}
        return [int(call[-1]) for call in calls]

    @property
    def calls(self) -> list[list[str]]:
        file = self.folder / "bin" / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Units]:
    monkeypatch.setattr(tasks.provider, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(tasks.provider, "_ANSWER_SECONDS", 1.0)
    terragrunt = write(tmp_path / "bin" / "provider").with_name("terragrunt")
    terragrunt.write_text(f"#!{sys.executable}\n{TERRAGRUNT}")
    terragrunt.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(terragrunt.parent), os.environ["PATH"]]))
    made = Units(tmp_path)
    with made.providers:
        yield made


def test_the_first_unit_shows_the_provider_and_all_plans_attach_to_one_process(units: Units) -> None:
    initialised, pid = units.plan("a")
    assert initialised == 0 != pid
    assert units.plan("b") == [pid]
    assert units.calls[-1][1] == "registry.opentofu.org/hashicorp/aws"
    assert units.plan("c") == [pid]
    with units.providers:
        pass
    assert not psutil.pid_exists(pid)
    assert units.plan("d") == [0]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_unit_whose_provider_dies_or_hangs_is_planned_again_with_its_own(
    units: Units, signum: signal.Signals
) -> None:
    _, pid = units.plan("a")
    assert units.plan("c", {"signal": str(int(signum))}) == [pid, 0]
    (other,) = units.plan("d")
    assert other not in {0, pid}


def test_where_provider_after_provider_is_lost_none_is_shared_any_more(units: Units) -> None:
    units.plan("a")
    lost = [units.plan(name, {"signal": str(int(signal.SIGKILL))}) for name in ("b", "c", "d")]
    assert [calls[1:] for calls in lost] == [[0]] * 3
    assert units.plan("e") == [0]


@pytest.mark.parametrize(
    "files",
    [
        {"terragrunt.hcl": 'iam_role = "arn:aws:iam::123456789012:role/other"\n'},
        {"terragrunt.hcl": 'terraform {\n  extra_arguments "x" {\n    env_vars = { AWS_PROFILE = "x" }\n  }\n}\n'},
    ],
)
def test_a_unit_with_credentials_of_its_own_never_attaches(units: Units, files: dict[str, str | None]) -> None:
    units.plan("a")
    assert units.plan("b", files) == [0]


@pytest.mark.parametrize(
    "files",
    [
        {"more.tf": 'provider "aws" {\n  alias  = "other"\n  region = "us-east-1"\n}\n'},
        {"main.tf": MAIN.replace("region =", "alias = x\n  for_each = y\n  region =")},
        {"main.tf": MAIN.replace(">= 3.40", ">= 3.0, < 3.40")},
        {"more.tf.json": "{}"},
        {".terraform.lock.hcl": LOCK},
    ],
)
def test_a_unit_that_may_not_be_like_the_others_is_planned_again_with_a_provider_of_its_own(
    units: Units, files: dict[str, str | None]
) -> None:
    units.plan("a")
    attached, own = units.plan("b", files)
    assert (attached != 0, own) == (True, 0)
    lock = units.live.folder / "b" / ".terraform.lock.hcl"
    assert not lock.exists() or lock.read_text() == LOCK


def test_a_provider_that_does_not_come_up_is_tried_once(units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PROVIDER", "down")
    assert [units.plan(name) for name in ("a", "b", "c")] == [[0, 0], [0], [0]]


def test_a_unit_that_cannot_be_initialised_or_shows_no_provider_leaves_that_to_others(units: Units) -> None:
    assert units.plan("a", {"more.tf.json": "{}"}) == [0, 0]
    initialised, pid = units.plan("b")
    assert initialised == 0 != pid


def test_where_the_run_has_a_role_of_terragrunts_nothing_is_shared(
    units: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TG_IAM_ASSUME_ROLE", "arn:aws:iam::123456789012:role/other")
    units.providers = SharedProviders()
    assert [units.plan(name) for name in ("a", "b")] == [[0]] * 2
