from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from sandbox.toolchain import folders
from sandbox.world import cache_home
from symphony.change import Change
from symphony.config import load
from symphony.models import Image
from tasks.git import fetch, git


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A Prefect API of the test session's own; a flow's heartbeat thread would cost a second a run."""
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toolchain's programs on PATH; a test that needs one fails where it is not built, and says so."""
    places = [str(place) for place in folders(cache_home())]
    monkeypatch.setenv("PATH", os.pathsep.join([*places, os.environ["PATH"]]))


@pytest.fixture
def helm(tools: None) -> Path:
    del tools
    found = shutil.which("helm")
    if found is None:
        pytest.fail("helm is neither on PATH nor in the toolchain's cache; `make setup` builds it")
    return Path(found)


@dataclass(frozen=True)
class Delivery:
    """A remote on this disk with two applications in it, and changes of it."""

    remote: Path
    copy: Path

    def commit(self, name: str, text: str) -> str:
        """Push one file to main and return the commit."""
        (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
        (self.copy / name).write_text(text)
        git("add", "--all", cwd=self.copy)
        git("commit", "--quiet", "--message", name, cwd=self.copy)
        git("push", "--quiet", "origin", "HEAD:main", cwd=self.copy)
        return git("rev-parse", "HEAD", cwd=self.copy)

    def change(self, commit: str = "", run: str = "run-1") -> Change:
        """The commit (main's head by default) on its way to dev; its tree is the working copy."""
        mirror = fetch(f"file://{self.remote}")
        return Change(
            configuration=load(self.copy / "symphony.yaml"),
            environment="dev",
            commit=commit or git("rev-parse", "refs/heads/main", cwd=mirror),
            base=None,
            tree=self.copy,
            mirror=mirror,
            run=run,
            changed=None,
        )

    @staticmethod
    def image(application: str, letter: str) -> Image:
        """An image whose digest is one letter."""
        return Image(
            application=application,
            repository=f"registry.example/dev/{application}",
            tag="t",
            digest=f"sha256:{letter * 64}",
            built=True,
            commit="c" * 40,
        )


@pytest.fixture
def delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "work"))
    remote, copy = tmp_path / "remote.git", tmp_path / "copy"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote), cwd=tmp_path)
    git("clone", "--quiet", str(remote), str(copy), cwd=tmp_path)
    for name in ("one", "two"):
        chart = copy / "charts" / name
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n")
        (chart / "templates" / "map.yaml").write_text(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.application }}}\n"
        )
        (chart / "values.dev.yaml").write_text("{}\n")
    made = Delivery(remote, copy)
    made.commit("symphony.yaml", _CONFIGURATION.replace("REMOTE", f"file://{remote}"))
    return made


_CONFIGURATION = """\
version: 1
project: platform
git: {remote: REMOTE}
applications:
  one: {source: apps/one, chart: charts/one, repository: "{environment}/one"}
  two: {source: apps/two, chart: charts/two, repository: "{environment}/two"}
environments:
  dev: &dev
    kind: sandbox
    aws: {account: "123456789012", region: eu-central-1, endpoint: "http://aws.example", registry: registry.example}
    kubernetes: {context: test, namespace: dev}
    argocd: {url: "http://argocd.example", timeout: 3}
    ingress: {address: "http://ingress.example:8080", timeout: 1}
  staging: {<<: *dev, kubernetes: {context: test, namespace: staging}}
  prod: {<<: *dev, protected: true, kubernetes: {context: test, namespace: prod}}
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that passed or failed at its second try: what the first one died of is told in full."""
    for first in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"first try of {first.nodeid}", "_")
        terminalreporter.write_line(first.longreprtext)
