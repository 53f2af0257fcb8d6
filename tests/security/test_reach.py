"""What smoke may ask, and what of it a run keeps for itself on disk."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from symphony.config import Ingress
from tasks.answer import base_of
from tasks.git import work_home, worktree
from tasks.promised import base, bracketed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Delivery


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254"])
@pytest.mark.parametrize("port", ["", ":80"])
def test_no_load_balancer_is_the_machines_own_source_of_credentials(address: str, port: str) -> None:
    assert not base(Ingress(), f"{bracketed(address)}{port}", secure=False)
    assert base(Ingress(), f"{bracketed('10.0.0.7')}{port}", secure=False) == f"http://10.0.0.7{port}"
    assert base(Ingress(), "lb.example.com", secure=True) == "https://lb.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://hello.dev@169.254.169.254/",
        "http://hello.dev.localhost.evil.example/",
        "http://hello.dev.localhost:9000/",
        "https://hello.dev.localhost/",
        "file:///etc/passwd",
        "gopher://hello.dev.localhost/",
        "//evil.example/",
        "http://[::ffff:169.254.169.254]/",
        "http://[bad/",
    ],
)
def test_a_redirect_is_followed_to_none_but_the_environments_own_origins(url: str) -> None:
    assert base_of(url, {"http://hello.dev.localhost": "http://127.0.0.1:8080"}) is None


def test_checkouts_with_saved_plans_are_the_owners_alone(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = delivery.change()
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "fresh"))
    with worktree(change.mirror, change.commit) as tree:
        for folder in (work_home(), tree.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not tree.exists()
