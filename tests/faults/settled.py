"""What must hold after a fault: nothing locked, nothing under way, and the cluster as the desired state says."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import Any

from deployments.client import PrefectApi
from sandbox import manifest
from sandbox.aws.client import client
from sandbox.world import World
from tests.world.operations import BUCKET
from tests.world.seat import NUMBERS, Seat, until

APPLICATIONS = ("hello", "greet")
UNDER_WAY = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
FREE_SECONDS = 150
"""A dead run's slots are free within two minutes, those of its deployment after some more."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ASKED = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}


@dataclass
class Row:
    """What a fault did."""

    fault: str
    stage: str
    run: str = "not ended"
    mended: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    passed: bool = False

    def __str__(self) -> str:
        """As a line of the table."""
        seconds = ", ".join(f"{what} {number:.0f}" for what, number in self.seconds.items())
        seen = "yes" if self.passed else "no"
        return f"| {self.fault} | {self.stage} | {seen} | {self.run} | {self.mended} | {seconds} |"


def settled(seat: Seat) -> None:
    """Wait until nothing is left of a fault, and assert it."""
    until(lambda: not busy(seat.api), "the end of all runs", FREE_SECONDS)
    until(lambda: not slots(seat.api), f"the end of the slots {slots(seat.api)}", FREE_SECONDS)
    assert locks(seat.world) == []
    told: list[str] = []

    def agrees() -> bool:
        told[:] = differing(seat)
        return not told

    with contextlib.suppress(AssertionError):
        until(agrees, "it")
    assert told == []


def recovers(seat: Seat, row: Row, since: float) -> None:
    """The next release goes live, and then nothing is left of the fault that came at ``since``."""
    greeting = f"Mended, number {next(NUMBERS)}"
    again = seat.released(seat.say(greeting))
    assert again.succeeded, again.message
    row.seconds["live"] = time.monotonic() - since
    assert seat.answer() == greeting
    settled(seat)
    row.seconds["settled"] = time.monotonic() - since


def busy(api: PrefectApi) -> list[str]:
    """Names of the runs that have begun and not ended."""
    return [one["name"] for one in api.call("POST", "/flow_runs/filter", UNDER_WAY)]


def slots(api: PrefectApi) -> dict[str, int]:
    """Slots taken of every limit, those of deployments among them."""
    limits = api.call("POST", "/v2/concurrency_limits/filter", {"limit": 200})
    return {one["name"]: one["active_slots"] for one in limits if one["active_slots"]}


def locks(world: World) -> list[str]:
    """Locks on states of units."""
    listed = client(world, "s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return [one["Key"] for one in listed if one["Key"].endswith(".tflock")]


def differing(seat: Seat) -> list[str]:
    """How the cluster differs from dev's desired state, application by application."""
    seat.git("fetch", "--quiet", "origin")
    head = seat.git("rev-parse", "origin/env/dev")
    found = []
    with manifest.api(seat.world) as api:
        for name in APPLICATIONS:
            wanted = set(_DIGEST.findall(seat.git("show", f"{head}:applications/{name}.yaml")))
            place = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/dev-{name}"
            status = (manifest.read(api, place) or {}).get("status", {})
            now = (
                status.get("sync", {}).get("status"),
                status.get("health", {}).get("status"),
                status.get("sync", {}).get("revision"),
            )
            if now != ("Synced", "Healthy", head):
                manifest.merge(api, place, _ASKED)
                found.append(f"{name} is {now}, not at {head}")
            query = {"labelSelector": f"app.kubernetes.io/name={name}"}
            pods = manifest.request(api, "GET", "/api/v1/namespaces/dev/pods", query=query)["items"]
            if (running := _digests(pods)) != wanted:
                found.append(f"{name} runs {running}, not {wanted}")
    return found


def _digests(pods: list[dict[str, Any]]) -> set[str]:
    """Digests of the images that these pods run, without those that are about to go, or that ended as Jobs do."""
    live = [pod for pod in pods if pod["status"]["phase"] != "Succeeded" and "deletionTimestamp" not in pod["metadata"]]
    live = [pod for pod in live if not any(one["kind"] == "Job" for one in pod["metadata"].get("ownerReferences", ()))]
    statuses = [one for pod in live for one in pod["status"].get("containerStatuses", ())]
    return {digest for one in statuses for digest in _DIGEST.findall(one["imageID"])}
