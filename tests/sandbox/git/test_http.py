"""Git itself against the server, on a free port of loopback."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from sandbox.git import Git, credentials
from sandbox.git.http import application, welcome
from sandbox.git.repository import configure, repository, seed
from sandbox.git.settings import GitSettings
from sandbox.world import Ports, World
from symphony.errors import BadInputError

ROOT = Path(__file__).parents[3]


@dataclass
class Remote:
    world: World
    settings: GitSettings

    def git(self, *arguments: str | Path, ok: bool = True) -> str:
        environment = {**os.environ, **credentials.git_environment(self.world)}
        command = ["git", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == ok, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = tmp_path / "clone"
    (source / "apps/hello/__pycache__").mkdir(parents=True)
    (source / "apps/hello/app.py").write_text("print()\n")
    (source / "apps/hello/__pycache__/app.pyc").write_text("x")
    (source / "apps/run").write_text("#!/bin/sh\n")
    (source / "apps/run").chmod(0o755)
    (source / "infra/live/.terragrunt-cache/x").mkdir(parents=True)
    (source / "infra/live/.terragrunt-cache/x/y").write_text("x")
    (source / "infra/live/root.hcl").write_text("\n")
    (source / "symphony.yaml").write_text("version: 1\n")
    (source / "secret.txt").write_text("not for the remote\n")
    world = World(source=source, state=tmp_path / "state", cache=tmp_path / "cache", ports=Ports(git=port, prefect=9))
    credentials.write(world)
    settings = GitSettings(
        "127.0.0.1",
        port,
        str(world.folder("git")),
        "symphony",
        world.secret("git-password"),
        world.prefect_url,
        "x",
        "dev",
        str(world.state),
    )
    path = world.write(world.folder("git") / "server.json", settings.text())
    assert seed(world)
    configure(world, path, ROOT)
    server = uvicorn.Server(uvicorn.Config(application(settings), "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield Remote(world, settings)
    server.should_exit = True
    thread.join()


def test_it_is_seeded_with_the_platform_and_nothing_else(remote: Remote) -> None:
    files = remote.git("-C", repository(remote.world), "ls-tree", "-r", "main").splitlines()
    assert [line.split()[0] + " " + line.split()[3] for line in files] == [
        "100644 apps/hello/app.py",
        "100755 apps/run",
        "100644 infra/live/root.hcl",
        "100644 symphony.yaml",
    ]
    assert remote.git("-C", repository(remote.world), "rev-list", "--count", "main").strip() == "1"


def test_it_is_seeded_once(remote: Remote) -> None:
    assert not seed(remote.world)


def test_a_clone_with_nothing_to_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="from a clone of Symphony"):
        seed(World(source=tmp_path, state=tmp_path / "state"))
    assert not repository(World(source=tmp_path, state=tmp_path / "state")).exists()


def test_a_large_push_arrives_whole_and_main_only_moves_forward(remote: Remote, tmp_path: Path) -> None:
    work = tmp_path / "work"
    remote.git("clone", "-q", remote.world.git_remote, work)
    # Beyond http.postBuffer (1 MiB), Git sends chunks while the server answers already.
    (work / "big").write_bytes(os.urandom(8_000_000))
    remote.git("-C", work, "add", "big")
    remote.git("-C", work, "commit", "-qm", "big")
    told = remote.git("-C", work, "push", "origin", "main")
    assert "remote: symphony:" in told
    assert "symphony release" in told
    again = tmp_path / "again"
    remote.git("clone", "-q", remote.world.git_remote, again)
    assert (again / "big").read_bytes() == (work / "big").read_bytes()
    remote.git("-C", work, "reset", "-q", "--hard", "HEAD~1")
    assert "main only moves forward" in remote.git("-C", work, "push", "--force", "origin", "main", ok=False)
    assert "cannot be deleted" in remote.git("-C", work, "push", "origin", ":main", ok=False)


def test_a_push_to_an_environment_starts_nothing(remote: Remote, tmp_path: Path) -> None:
    work = tmp_path / "work"
    remote.git("clone", "-q", remote.world.git_remote, work)
    told = remote.git("-C", work, "push", "origin", "HEAD:refs/heads/env/dev", "HEAD:refs/symphony/records")
    assert "symphony:" not in told.replace("symphony:///", "")


def test_without_the_password_there_is_nothing(remote: Remote) -> None:
    answer = httpx.get(f"{remote.world.git_remote}/info/refs?service=git-upload-pack")
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]
    assert not welcome(remote.settings, "Basic not-base64")
    assert not welcome(remote.settings, "Bearer x")


@pytest.mark.parametrize(
    "path",
    [
        "/platform.git/../server.json",
        "/platform.git/%2e%2e/server.json",
        "/server.json",
        "/platform.git/config",
        "/platform.git/hooks/post-receive",
        "/other.git/info/refs",
    ],
)
def test_no_other_file_can_be_named(remote: Remote, path: str) -> None:
    with socket.create_connection(("127.0.0.1", remote.settings.port)) as raw:
        login = httpx.BasicAuth("symphony", remote.settings.password)._auth_header  # noqa: SLF001 - only its text
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\nConnection: close\r\n\r\n".encode())
        assert raw.recv(100).split()[1] == b"404"


def test_a_trigger_that_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPHONY_TRIGGER", "github")
    made = World(source=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache")
    with pytest.raises(BadInputError, match="'github'; it may be github_actions or api"):
        Git().start(made)
