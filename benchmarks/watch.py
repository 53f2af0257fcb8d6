"""The watch for new images: a look at 100 repositories, and the time from a push to the start of its deploy.

Run ``make bench NAME=watch``, or with the builds ``make bench NAME=images``; the sandbox must be up and have released
once (``make demo`` does both).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.deploy import Bench
from benchmarks.kept import conclude, positive_number
from benchmarks.raw import RawCommands
from cli.world import world as find_world
from deployments.apply import ROOT, deploy_flows
from deployments.automations import name_of
from deployments.client import PrefectApi
from sandbox.aws.client import client
from sandbox.aws.settings import AwsSettings
from sandbox.world import World
from symphony.errors import SymphonyError
from symphony.watch import Watch
from tasks.ecr_poll import poll
from tasks.tag_choice import choose

_PORT = 4599
"""Of a second server of the sandbox's AWS, so that its 20,000 images go with it."""
_WAIT_SECONDS = 90
PLACE = '    repository: "{environment}/hello"\n'
POLICY = "    watch: {dev: {policy: semver, constraint: ^1}}\n"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIGURATION = "application/vnd.oci.image.config.v1+json"


def look(world: World, repositories: int, tags: int) -> list[float]:
    """Seconds of each of three looks at many repositories, all of whose tags a policy judges."""
    with _second_server(world) as ecr:
        names = [f"bench/{number}" for number in range(repositories)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: _fill(ecr, name, tags), names))
        taken, watch = list[float](), Watch(policy="semver", constraint="^1", platform=None)
        for _ in range(3):
            started = time.monotonic()
            found = poll(ecr, dict.fromkeys(names, frozenset[str]()))
            chosen = [
                choose(watch, images).candidates[0].tag for images in found.values() if not isinstance(images, str)
            ]
            taken.append(round(time.monotonic() - started, 3))
            if chosen != [f"1.0.{tags - 1}"] * repositories:
                raise SymphonyError(f"The look did not see all: it chose {sorted(set(chosen))}.")
        return taken


def react(world: World, bench: Bench, folder: Path, pushes: int) -> list[float]:
    """Seconds from the end of each push to the start of the deploy that its event leads to."""
    (folder / "raw").mkdir()
    raw, taken = RawCommands(world, folder / "raw"), list[float]()
    branch = bench.branch({"symphony.yaml": bench.text("symphony.yaml").replace(PLACE, PLACE + POLICY)})
    root = folder / "root"
    root.mkdir()
    shutil.copy(ROOT / "prefect.yaml", root)
    (root / "symphony.yaml").write_text((ROOT / "symphony.yaml").read_text().replace(PLACE, PLACE + POLICY))
    try:
        deploy_flows(bench.api, root / "symphony.yaml", ["dev"], force=True)
        _aim(bench.api, branch)
        for number in range(pushes):
            context = folder / "outside"
            shutil.copytree(world.source / "apps/hello", context, dirs_exist_ok=True)
            (context / "greeting.txt").write_text(f"Hello from outside at {time.time()}\n")
            image = raw.build(context, f"1.{int(time.time())}.{number}")
            raw.push_image(image)
            pushed = time.time()
            taken.append(round(_deploy_began(bench.api, pushed) - pushed, 3))
    finally:
        deploy_flows(bench.api, ROOT / "symphony.yaml", ["dev"], force=True)
        _ended(bench.api, bench.api.start("deploy", "dev", {"applications": ["hello"], "force": True}).id)
    return taken


def _aim(api: PrefectApi, branch: str) -> None:
    """Have the policies of a branch count, since main has none."""
    found = api.call("POST", "/automations/filter", {})
    one = next(each for each in found if each["name"] == name_of("dev"))
    identity = one.pop("id")
    for name in ("created", "updated"):
        del one[name]
    one["actions"][0]["parameters"] = {"environment": "dev", "commit": branch}
    api.call("PUT", f"/automations/{identity}", one)


def _deploy_began(api: PrefectApi, pushed: float) -> float:
    """When the deploy began that followed a push, once its run has ended (both in seconds since 1970)."""
    body = {
        "flows": {"name": {"any_": ["watch"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "RUNNING"]}}},
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": 5,
    }
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        for run in api.call("POST", "/flow_runs/filter", body):
            began = [one for one in api.tasks(run["id"]) if one.name == "bring trees to dev" and one.start_time]
            if began and (at := datetime.fromisoformat(str(began[0].start_time)).timestamp()) > pushed:
                _ended(api, run["id"])
                return at
        time.sleep(0.2)
    raise SymphonyError(f"No watch has deployed within {_WAIT_SECONDS} s of a push.")


def _ended(api: PrefectApi, identity: str) -> None:
    for now, _ in api.follow(identity):
        if now.final and not now.succeeded:
            raise SymphonyError(f"The watch ended as {now.state_name}: {now.message}")


@contextmanager
def _second_server(world: World) -> Iterator[Any]:
    """A client of a server like the sandbox's own, with the sandbox's credentials."""
    settings = replace(AwsSettings.read(world.state / "aws" / "server.json"), port=_PORT)
    path = world.write(world.state / "aws" / "bench.json", settings.text())
    server = subprocess.Popen([sys.executable, "-m", "sandbox.aws.server", str(path), "bench"], cwd=ROOT)
    try:
        elsewhere = replace(world, ports=replace(world.ports, aws=_PORT))
        _answering(elsewhere)
        yield client(elsewhere, "ecr")
    finally:
        server.terminate()
        server.wait(30)
        path.unlink()


def _answering(world: World) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            client(world, "sts").get_caller_identity()
        except Exception:  # whatever it is, it may pass
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _fill(ecr: Any, name: str, tags: int) -> None:
    ecr.create_repository(repositoryName=name)
    for number in range(tags):
        layer = f"sha256:{hashlib.sha256(f'{name} {number}'.encode()).hexdigest()}"
        config = {"mediaType": _CONFIGURATION, "digest": layer, "size": 1}
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": []}
        ecr.put_image(
            repositoryName=name,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType=_MANIFEST,
            imageTag=f"1.0.{number}",
        )


@dataclass(frozen=True)
class Measured:
    """Both figures, all that was measured, and a table for people."""

    figures: dict[str, float]
    details: dict[str, list[float]]
    table: Table


def measure(world: World, folder: Path, *, pushes: int, repositories: int = 100, tags: int = 200) -> Measured:
    """Measure both, in a folder that is not there yet."""
    folder.mkdir()
    looks = look(world, repositories, tags)
    began = react(world, Bench(world, folder), folder, pushes)
    seen, reacted = (round(statistics.median(one), 2) for one in (looks, began))
    table = Table("figure", "measured", "target", title="watch")
    table.add_row(f"a look at {repositories} repositories with {tags} tags each, s", f"{seen}", "10")
    table.add_row("push to the start of its deploy, by event, s", f"{reacted}", "3")
    figures = {"watch_look_seconds": seen, "watch_push_to_deploy_seconds": reacted}
    return Measured(figures, {"looks": looks, "push to deploy": began}, table)


def main() -> None:
    """Measure and print a table, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=positive_number, default=3, help="Images pushed from outside.")
    parser.add_argument("--repositories", type=positive_number, default=100)
    parser.add_argument("--tags", type=positive_number, default=200, help="Tags of each repository.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(find_world(), Path(folder) / "watch", **vars(arguments))
    Console().print(measured.table)
    conclude("watch", measured.figures, measured.details)


if __name__ == "__main__":
    main()
