"""The part as a whole, and its login."""

from pathlib import Path
from typing import Any

import pytest

from sandbox.argocd import ArgoCD, login
from sandbox.part import NotReadyError
from sandbox.world import Ports, World
from symphony.errors import BadInputError, SymphonyError
from symphony.tool import run


def test_an_argo_cd_that_is_not_ours_is_left_alone(cluster: Any, tmp_path: Path) -> None:
    run(("git", "init", "--quiet", "--bare", tmp_path / "git" / "platform.git"))
    cluster.objects["/api/v1/namespaces/argocd/secrets/argocd-secret"] = {"metadata": {"name": "argocd-secret"}}
    with pytest.raises(BadInputError, match="has an Argo CD in its namespace argocd already"):
        ArgoCD().start(cluster.world(tmp_path))
    assert [method for method, *_ in cluster.asked] == ["GET"]


def test_it_is_not_ready_when_redis_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="argocd-redis does not answer"):
        ArgoCD().check(World(source=tmp_path, state=tmp_path, ports=Ports(redis=1)))


def test_a_login_without_a_server_says_so(tmp_path: Path) -> None:
    with pytest.raises(SymphonyError, match="does not answer a login"):
        login(World(source=tmp_path, state=tmp_path, ports=Ports(argocd=1)))
