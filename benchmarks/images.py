"""Two applications built and pushed, and then nothing changed, against docker's own commands.

Run ``make bench NAME=images``; the sandbox must be up and have released once (``make demo`` does both).
"""

from __future__ import annotations

import argparse
import base64
import itertools
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import watch
from benchmarks.deploy import Bench
from benchmarks.kept import conclude, positive_number
from cli.world import world as find_world
from deployments.client import PrefectApi
from sandbox.aws.client import client
from sandbox.docker.base_image import NAME
from sandbox.world import HOST, World
from symphony.errors import SymphonyError
from symphony.tool import run

_APPLICATIONS = ("hello", "greet")
_LIMIT_SECONDS = 600
_NUMBERS = itertools.count(int(time.time()))


class Raw:
    """What a script does: build, push, for one application after the other, whatever is there already."""

    def __init__(self, world: World, folder: Path) -> None:
        """Log in, which is not measured."""
        self._host = f"{HOST}:{world.ports.ecr}"
        self._env = {
            "DOCKER_HOST": world.docker_host, "DOCKER_CONFIG": str(folder / "docker"), "DOCKER_BUILDKIT": "0"
        }  # fmt: skip
        self._source = world.source / "apps"
        token = client(world, "ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().partition(":")[2]
        login = ["docker", "login", "--username", "AWS", "--password-stdin", self._host]
        run(login, env=self._env, stdin=password)

    def build(self, folder: Path, number: int) -> float:
        """Seconds that both applications of a folder take."""
        started = time.monotonic()
        for name in _APPLICATIONS:
            tag = f"{self._host}/dev/{name}:raw-{number}"
            arguments = ["--quiet", "--build-arg", f"BASE={NAME}", "--tag", tag, str(folder / name)]
            run(["docker", "build", *arguments], env=self._env)
            run(["docker", "push", "--quiet", tag], env=self._env)
        return time.monotonic() - started

    def change(self, folder: Path, number: int) -> None:
        """Both applications, different from every other."""
        run(["cp", "--recursive", self._source, folder])
        for name, text in _changed(number).items():
            path = folder / Path(name).relative_to("apps")
            path.write_text(path.read_text() + text[1:] if text.startswith("+") else text, encoding="utf-8")


def _changed(number: int) -> dict[str, str]:
    return {"apps/hello/greeting.txt": f"Hello, {number}\n", "apps/greet/greet.py": f"+# {number}\n"}


def _ours(api: PrefectApi, branch: str) -> tuple[float, float, int]:
    """Seconds of a run of build until all is in ECR, seconds of the whole run, and how many images it built.

    What comes after the images are in ECR, SBOM and signature, the raw commands do not make.
    """
    started = api.start("build", "dev", {"commit": branch, "applications": list(_APPLICATIONS)})
    ended, deadline = started, time.monotonic() + _LIMIT_SECONDS
    for now, _ in api.follow(started.id):
        if time.monotonic() > deadline:
            raise SymphonyError(f"{now.name} has not ended after {_LIMIT_SECONDS} s.")
        ended = now
    if not ended.succeeded:
        raise SymphonyError(f"{ended.name} ended as {ended.state_name}: {ended.message}")
    whole, tasks = api.call("GET", f"/flow_runs/{ended.id}"), api.tasks(ended.id)
    begun = datetime.fromisoformat(whole["start_time"])
    there = max(task.end_time or "" for task in tasks if task.name.startswith(("look up ", "push ")))
    built = sum(task.name.startswith("build ") for task in tasks)
    seconds = ((datetime.fromisoformat(moment) - begun).total_seconds() for moment in (there, whole["end_time"]))
    return next(seconds), next(seconds), built


def main() -> None:
    """Measure and print a table, and as the last line one JSON object of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=positive_number, default=3, help="Builds of each kind.")
    rounds = parser.parse_args().rounds
    sides = ("ours", "raw", "ours, unchanged", "raw, unchanged", "ours, whole run", "ours, unchanged, whole run")
    times: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        world, place = find_world(), Path(folder)
        bench, raw = Bench(world, place), Raw(world, place)
        for _ in range(rounds):
            branch = bench.branch(_changed(next(_NUMBERS)))
            for side, expected in (("ours", len(_APPLICATIONS)), ("ours, unchanged", 0)):
                seconds, whole, built = _ours(bench.api, branch)
                if built != expected:
                    raise SymphonyError(f"{built} images were built, not {expected}.")
                times[side].append(seconds)
                times[f"{side}, whole run"].append(whole)
            number = next(_NUMBERS)
            raw.change(place / str(number), number)
            for side in ("raw", "raw, unchanged"):
                times[side].append(raw.build(place / str(number), number))
        watching = watch.measure(world, place / "watch", pushes=rounds)
    median = {side: statistics.median(seconds) for side, seconds in times.items()}
    figures = {
        "two_applications_ratio": round(median["ours"] / median["raw"], 2),
        "nothing_changed_ratio": round(median["ours, unchanged"] / median["raw, unchanged"], 2),
    }
    table = Table("figure", "Symphony, s", "of the whole run, s", "raw, s", "ratio", title="images")
    rows = zip(("both changed", "nothing changed"), ("", ", unchanged"), figures.values(), strict=True)
    for what, mark, ratio in rows:
        measured = (median[f"ours{mark}"], median[f"ours{mark}, whole run"], median[f"raw{mark}"], ratio)
        table.add_row(what, *(f"{figure:.2f}" for figure in measured))
    Console().print(table)
    Console().print(watching.table)
    figures |= watching.figures
    conclude("images", figures, times | watching.details)


if __name__ == "__main__":
    main()
