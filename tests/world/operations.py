"""An operator before the sandbox: starts provision in an environment, answers its questions, kills it, looks at it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.client import Run
from sandbox.aws.client import client
from sandbox.world import ACCOUNT, REGION
from symphony.errors import BadInputError, ToolError
from tests.world.seat import Seat, until

BUCKET = f"symphony-state-{ACCOUNT}-{REGION}"
SECRET_TAG = """
variable "token" {
  default   = "%s"
  sensitive = true
}

# Provider 3.40 prints a sensitive tag again in `tags_all`.
resource "aws_iam_user" "secret" {
  name = "${var.name}-secret"
  tags = { token = var.token }
}
"""
"""What a unit has more, to have a sensitive value in a tag."""
_LIMIT_SECONDS = 300


def append(file: Path, text: str) -> None:
    """Add text to a file."""
    with file.open("a") as opened:
        opened.write(f"\n{text}\n")


@dataclass
class Operator(Seat):
    """Provisions one environment."""

    environment: str = "dev"

    def committed(self, edit: Callable[[Path], None]) -> str:
        """A commit on a branch of its own."""
        self.branch(edit)
        return self.git("rev-parse", "HEAD")

    def begin(self, commit: str, **parameters: object) -> Run:
        return self.api.start("provision", self.environment, {"commit": commit, **parameters})

    def until(self, run: Run, done: Callable[[Run], bool]) -> Run:
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not done(run := self.api.run(run.id)):
            assert time.monotonic() < deadline, f"{run.name} is still {run.state_name}"
            assert not run.final, f"{run.name} ended as {run.state_name}: {run.message}"
            time.sleep(0.25)
        return run

    def ended(self, run: Run) -> Run:
        return self.until(run, lambda now: now.final)

    def suspended(self, run: Run, but: str = "") -> str:
        """The key of the question that the run waits with, another one than `but`."""
        return self.question(self.until(run, lambda now: self.asks(now, but)))

    def asks(self, run: Run, but: str) -> bool:
        """Whether the run waits with another question than `but`."""
        return run.state_name == "Suspended" and self.question(run) != but

    def asked(self, run: Run, but: str = "") -> str:
        """The text of that question, once Prefect has it: a run is suspended some moments before."""
        path = f"/flow_runs/{run.id}/input/suspended-{self.suspended(run, but)}-description"

        def text() -> str:
            try:
                return str(self.api.call("GET", path))
            except BadInputError:
                return ""

        return str(until(text, f"the question of {run.name}"))

    @staticmethod
    def question(run: Run) -> str:
        return str((run.state or {})["state_details"]["pause_key"])

    def answer_question(self, run: Run, **answer: str) -> None:
        """Answer what a run asks; a run is suspended some moments before Prefect has its form, and takes no answer."""
        asked = (f"/flow_runs/{run.id}/resume", {"run_input": answer})
        until(lambda: self.api.call("POST", *asked)["status"] == "ACCEPT", f"the answer to {run.name}")

    def records(self, commit: str) -> list[dict[str, Any]]:
        """What Git keeps of the releases of a commit to the environment."""
        self.git("fetch", "--quiet", "origin")
        try:
            listed = self.git(
                "ls-tree", "-r", "--name-only", "origin/symphony/records", "--", f"{self.environment}/"
            ).split()
        except ToolError:
            return []  # no release yet, of anything
        return [
            json.loads(self.git("show", f"origin/symphony/records:{path}")) for path in listed if commit[:12] in path
        ]

    def slots(self) -> dict[str, int]:
        """Slots taken of every limit of a unit, and of the deployment."""
        limits = self.api.call("POST", "/v2/concurrency_limits/filter", {"limit": 200})
        return {
            one["name"]: one["active_slots"] for one in limits if one["active_slots"] and "deploy-" not in one["name"]
        }

    def keys(self, prefix: str) -> list[str]:
        """Objects of the bucket of the states."""
        listed = client(self.world, "s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for one in listed.get("Contents", ())]

    def kept(self, run: Run) -> list[str]:
        """Keys of the plans that wait."""
        return self.keys(f"symphony-plans/{self.environment}/{run.id}/")

    def kill(self, run: Run) -> None:
        """End all of a run's processes at once, and wait until Prefect knows."""
        for process in self.processes(run):
            process.send_signal(signal.SIGKILL)
        self.until(run, lambda now: now.state_type == "CRASHED")
