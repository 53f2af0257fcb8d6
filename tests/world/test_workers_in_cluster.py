"""Runs as Jobs of the cluster: a release by the chart's worker, from the image that this project builds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes.client import CoreV1Api

from deployments.client import Run
from sandbox import manifest
from sandbox.aws.client import client
from sandbox.docker import base_image
from sandbox.git.part import for_jobs
from sandbox.prefect import jobs
from sandbox.world import World
from tests.faults.settled import locks, settled
from tests.faults.strikes import end
from tests.world.seat import NUMBERS, Seat, until

POOL = "try-jobs"
DAYS = 13
HELD = """
resource "terraform_data" "held" {
  triggers_replace = "NUMBER"

  provisioner "local-exec" {
    command = "sleep 120"
  }
}
"""


@pytest.fixture(scope="module")
def image(world: World) -> str:
    return jobs.image(world)


@pytest.fixture(scope="module")
def seat(world: World, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """A seat where releases of dev go to a worker in the cluster, beside the sandbox's own."""
    seat = Seat.take(world, tmp_path_factory.mktemp("jobs"))
    jobs.install(world, image, POOL)
    online = {"workers": {"status": {"any_": ["ONLINE"]}}}
    until(lambda: seat.api.call("POST", f"/work_pools/{POOL}/workers/filter", online), "a worker in the cluster")
    deployment = seat.api.call("GET", "/deployments/name/release/dev")
    where = f"/deployments/{deployment['id']}"
    own = {name: deployment[name] for name in ("work_pool_name", "work_queue_name")}
    seat.api.call("PATCH", where, {"work_pool_name": POOL, "work_queue_name": "default"})
    try:
        yield seat
    finally:
        seat.api.call("PATCH", where, own)
        seat.api.call("DELETE", f"/work_pools/{POOL}")
        with manifest.api(world) as connection:
            CoreV1Api(connection).delete_namespace(jobs.NAMESPACE)


def ended_pod(seat: Seat, run: Run) -> Any:
    """The one pod of a run, once it has ended; its last words come after the run's."""
    with manifest.api(seat.world) as connection:
        named = f"prefect.io/flow-run-id={run.id}"
        (pod,) = CoreV1Api(connection).list_namespaced_pod(jobs.NAMESPACE, label_selector=named).items
    return pod if all(one.state.terminated for one in pod.status.container_statuses) else None


def test_a_release_is_a_job_of_a_pinned_image_that_is_nobody_and_builds_without_a_docker_engine(
    seat: Seat, image: str
) -> None:
    greeting = f"Hello from a Job, number {next(NUMBERS)}"

    def edit(copy: Path) -> None:
        (copy / "apps/hello/greeting.txt").write_text(f"{greeting}\n")
        configuration = copy / "symphony.yaml"
        configuration.write_text(for_jobs(seat.world, configuration.read_text()))
        unit = copy / "infra/live/dev/registry/terragrunt.hcl"
        unit.write_text(f"{unit.read_text()}\ninputs = {{ untagged_days = {DAYS} }}\n")

    ended = seat.start("release", commit=seat.branch(edit))
    assert ended.succeeded, ended.message
    assert seat.answer() == greeting
    kept = client(seat.world, "ecr").get_lifecycle_policy(repositoryName="dev/hello")["lifecyclePolicyText"]
    assert DAYS in [rule["selection"].get("countNumber") for rule in json.loads(kept)["rules"]]
    pod = until(lambda: ended_pod(seat, ended), "the end of the run's pod")
    assert {one.image for one in (*pod.spec.containers, *pod.spec.init_containers)} == {image}
    assert "@sha256:" in image
    assert pod.spec.security_context.run_as_non_root
    assert pod.spec.restart_policy == "Never"
    assert [one.state.terminated.exit_code for one in pod.status.container_statuses] == [0]
    said = "\n".join(one["message"] for one in seat.api.logs(ended.id))
    assert "hello │ #" in said
    assert base_image.in_registry(seat.world) in said


def cgroups(pid: int) -> str:
    """As the kernel tells them (cgroups(7)); empty for a process that has just ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cgroup").read_text()
    return ""


@pytest.mark.fault
def test_a_run_whose_pod_is_lost_in_an_apply_is_crashed_and_the_next_release_mends_it(seat: Seat) -> None:
    def edit(copy: Path) -> None:
        (copy / "infra/modules/access/held.tf").write_text(HELD.replace("NUMBER", str(next(NUMBERS))))

    run = seat.api.start("release", "dev", {"commit": seat.branch(edit)})
    until(lambda: locks(seat.world), "an apply under way")
    with manifest.api(seat.world) as connection:
        pods = CoreV1Api(connection)
        (pod,) = pods.list_namespaced_pod(jobs.NAMESPACE, label_selector=f"prefect.io/flow-run-id={run.id}").items
        # As a node takes it along: nobody has the time to give a lock back.
        end([one for one in psutil.process_iter() if pod.metadata.uid in cgroups(one.pid)])
        pods.delete_namespaced_pod(pod.metadata.name, jobs.NAMESPACE, grace_period_seconds=0)
    ended = seat.ended(run)
    assert ended.state_type == "CRASHED", ended.message
    assert locks(seat.world)
    until(lambda: "Freed." in seat.symphony("unlock", "--env", "dev", "--yes", ok=(0, 1)), "the unlocking", 150)
    again = seat.start("release", commit="main")
    assert again.succeeded, again.message
    settled(seat)
