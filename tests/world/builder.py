"""The flow build of dev as its user sees it, and what is left on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from ruamel.yaml import YAML

from deployments.client import Run
from sandbox.aws.client import client
from sandbox.docker.engine import Engine
from sandbox.world import HOST
from tasks.oci_registry import OciRegistry
from tests.world.seat import NUMBERS, Seat

BOTH = ["hello", "greet"]
SLEEP = "import time; time.sleep(3601)"


@dataclass
class Builder(Seat):
    """The flow build of dev, and ECR."""

    def provisioned(self) -> Self:
        """With the repositories of dev."""
        repositories = client(self.world, "ecr").describe_repositories()["repositories"]
        if not {f"dev/{name}" for name in BOTH} <= {one["repositoryName"] for one in repositories}:
            ended = self.start("provision", commit="main")
            assert ended.succeeded, ended.message
        return self

    def logs(self, run: Run) -> str:
        """All that the run logged."""
        body = {"logs": {"flow_run_id": {"any_": [run.id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        pages = [self.api.call("POST", "/logs/filter", body | {"offset": page * 200}) for page in range(3)]
        return "\n".join(line["message"] for page in pages for line in page)

    def changing(self, *more: Callable[[Path], object]) -> tuple[str, str]:
        """A branch whose applications differ from every other, and its commit."""

        def edit(copy: Path) -> None:
            (copy / "apps/hello/greeting.txt").write_text(f"Hello {next(NUMBERS)}\n")
            with (copy / "apps/greet/greet.py").open("a") as file:
                file.write(f"# {next(NUMBERS)}\n")
            for one in more:
                one(copy)

        return self.branch(edit), self.git("rev-parse", "HEAD")

    def on_top(self, path: str) -> tuple[str, str]:
        """A branch on top of the last one with one more file, and its commit."""
        (self.copy / path).write_text(f"{next(NUMBERS)}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "try")
        name = f"try-{next(NUMBERS)}"
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
        return name, self.git("rev-parse", "HEAD")

    def build(self, branch: str, applications: list[str] | None = None) -> Run:
        """A run of build, as it ends."""
        return self.start("build", commit=branch, applications=applications or ["hello"])

    def built(self, run: Run) -> set[str]:
        """Applications that the run built."""
        return {task.name.removeprefix("build ") for task in self.api.tasks(run.id) if task.name.startswith("build ")}

    def image(self, commit: str, application: str = "hello") -> dict[str, Any]:
        """What ECR has under a commit's alias."""
        asked = {"repositoryName": f"dev/{application}", "imageIds": [{"imageTag": f"commit-{commit}"}]}
        return dict(client(self.world, "ecr").describe_images(**asked)["imageDetails"][0])

    def containers(self) -> set[str]:
        """Containers of the engine, running or not."""
        engine = Engine(self.world.docker_host, own=False).client()
        try:
            return {one.id or "" for one in engine.containers.list(all=True)}
        finally:
            engine.close()

    def registry(self) -> OciRegistry:
        return OciRegistry(httpx.Client(base_url=f"http://{HOST}:{self.world.ports.ecr}", auth=self.login()))


def sleeping() -> list[psutil.Process]:
    """Processes of a step that sleeps."""
    return [one for one in psutil.process_iter(["cmdline"]) if SLEEP in " ".join(one.info["cmdline"] or [])]


def slow(copy: Path) -> None:
    """An edit by which a step of hello's build never ends."""
    with (copy / "apps/hello/Dockerfile").open("a") as file:
        file.write(f'RUN ["python3", "-c", "{SLEEP}"]\n')


def configured(*place_and_value: Any) -> Callable[[Path], None]:
    """An edit of ``symphony.yaml``: keys, then the value there."""
    *place, last, value = place_and_value

    def edit(copy: Path) -> None:
        path, yaml = copy / "symphony.yaml", YAML()
        configuration = section = yaml.load(path)
        for key in place:
            section = section[key]
        section[last] = value
        yaml.dump(configuration, path)

    return edit


def cancelled(seat: Builder, branch: str) -> None:
    """Cancel a build during its slow step, and see that it ends by itself, and that nothing of it is left."""
    before = seat.containers()
    run = seat.api.start("build", "dev", {"commit": branch, "applications": ["hello"]})
    deadline = time.monotonic() + 60
    while not sleeping():
        assert time.monotonic() < deadline, "the step did not begin"
        time.sleep(0.1)
    seat.api.cancel(run.id)  # what the UI's button asks of the API
    asked = time.monotonic()
    assert seat.ended(run).state_type == "CANCELLED"
    while sleeping() or seat.containers() != before or seat.processes(run):
        assert time.monotonic() < asked + 60, (sleeping(), seat.containers() - before, seat.processes(run))
        time.sleep(0.1)
    assert time.monotonic() < asked + 25, "it went on until Prefect killed its process"
