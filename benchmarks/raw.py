"""Push to live by the raw commands, one after another, as a careful script would."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from sandbox.aws import aws_environment
from sandbox.aws.client import client
from sandbox.demo import GREETING
from sandbox.git import git_environment
from sandbox.world import HOST, World
from symphony.tool import run

REPOSITORY = "dev/hello"


class RawCommands:
    """Build, push, commit the digest, refresh Argo CD; nothing is recorded, checked or undone."""

    def __init__(self, world: World, folder: Path) -> None:
        """Clone the desired state and log in, neither of which is measured."""
        self._world = world
        self._name = f"{HOST}:{world.ports.ecr}/{REPOSITORY}"
        self._state = folder / "state"
        self._env: Mapping[str, str] = {
            **git_environment(world),
            **aws_environment(world),
            "DOCKER_HOST": world.docker_host,
            "DOCKER_CONFIG": str(folder / "docker"),
            "DOCKER_BUILDKIT": "0",
            "KUBECONFIG": str(world.kubeconfig),
            "PATH": world.path,
            "GIT_AUTHOR_NAME": "raw",
            "GIT_AUTHOR_EMAIL": "raw@localhost",
            "GIT_COMMITTER_NAME": "raw",
            "GIT_COMMITTER_EMAIL": "raw@localhost",
        }
        self._run("git", "clone", "--quiet", "--branch", "env/dev", world.git_remote, str(self._state))
        self._login()

    def push(self, source: Path, greeting: str, number: int, *, refresh: bool = True) -> None:
        """Take a changed service live, up to the point where Argo CD has been asked to look, or is left to itself."""
        (source / GREETING).write_text(greeting + "\n", encoding="utf-8")
        tag = self.build(source / "apps" / "hello", f"raw-{number}")
        self.push_image(tag)
        shown = self._run("docker", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag)
        digest = next(line for line in shown.splitlines() if line.startswith(self._name)).partition("@")[2]
        self._run("git", "pull", "--quiet", "--rebase", cwd=self._state)
        self._write(digest)
        self._run("git", "commit", "--quiet", "--all", "--message", greeting, cwd=self._state)
        self._run("git", "push", "--quiet", cwd=self._state)
        if refresh:
            asked = ("--namespace", "argocd", "applications", "dev-hello", "argocd.argoproj.io/refresh=normal")
            self._run("kubectl", "annotate", "--overwrite", *asked)

    def build(self, context: Path, tag: str) -> str:
        """Build the service from a folder, and tell the image's whole name."""
        name = f"{self._name}:{tag}"
        base = "BASE=symphony-base/python:3.11"
        self._run("docker", "build", "--quiet", "--build-arg", base, "--tag", name, str(context))
        return name

    def push_image(self, name: str) -> None:
        """Push an image by its whole name."""
        self._run("docker", "push", "--quiet", name)

    def _write(self, digest: str) -> None:
        file = self._state / "applications" / "hello.yaml"
        yaml = YAML()
        desired = yaml.load(file)
        desired["image"]["digest"] = digest
        yaml.dump(desired, file)

    def _login(self) -> None:
        ecr = client(self._world, "ecr")
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().partition(":")[2]
        host = self._name.partition("/")[0]
        self._run("docker", "login", "--username", "AWS", "--password-stdin", host, stdin=password)

    def _run(self, *argv: str, cwd: Path | None = None, stdin: str | None = None) -> str:
        return run(argv, cwd=cwd, env=self._env, stdin=stdin).stdout.strip()
