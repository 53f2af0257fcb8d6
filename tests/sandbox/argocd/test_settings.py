"""Argo CD's ConfigMaps and Secrets."""

import base64
from pathlib import Path

import bcrypt
import pytest

from sandbox.argocd import settings
from sandbox.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(source=tmp_path, state=tmp_path)


def encoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def test_password_is_kept_as_a_hash_alone(world: World) -> None:
    data = settings.login_secret(world, {})["stringData"]
    password = world.secret("argocd-password")
    assert password not in data.values()
    assert bcrypt.checkpw(password.encode(), data["admin.password"].encode())


def test_hash_that_fits_is_kept_so_that_sessions_go_on(world: World) -> None:
    first = settings.login_secret(world, {})["stringData"]
    assert settings.login_secret(world, encoded(first))["stringData"] == first


@pytest.mark.parametrize(
    "hashed", [bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode(), "no hash", ""], ids=["another", "none", "empty"]
)
def test_hash_of_another_password_is_replaced(world: World, hashed: str) -> None:
    existing = encoded({"admin.password": hashed, "admin.passwordMtime": "2020-01-01T00:00:00Z"})
    data = settings.login_secret(world, existing)["stringData"]
    assert bcrypt.checkpw(world.secret("argocd-password").encode(), data["admin.password"].encode())
    assert data["admin.passwordMtime"] > "2020"


def test_no_web_hook_believes_a_caller_without_a_secret(world: World) -> None:
    data = settings.login_secret(world, {})["stringData"]
    hooks = {key: value for key, value in data.items() if key.startswith("webhook.")}
    assert len(hooks) == 7
    assert set(hooks.values()) == {world.secret("argocd-webhook")}


def test_every_object_is_labelled_as_argo_cd_looks_for_it(world: World) -> None:
    objects = [*settings.config_maps(world), settings.login_secret(world, {}), settings.cluster_secret()]
    for item in objects:
        assert item["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd"
        assert item["metadata"]["namespace"] == "argocd"


def test_git_credentials_belong_to_the_one_project(world: World) -> None:
    secret = settings.repository_secret(world)
    assert secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == "repository"
    assert secret["stringData"]["project"] == "symphony"
    assert secret["stringData"]["password"] == world.secret("git-password")


def test_cluster_is_narrowed_to_the_environments(world: World) -> None:
    data = settings.cluster_secret()["stringData"]
    assert data["namespaces"] == "dev,staging,prod"
    assert data["clusterResources"] == "false"
    del world
