from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sandbox import existing_cluster, lifecycle
from sandbox.existing_cluster import ExistingCluster, copied
from sandbox.kubernetes.part import KubernetesPart
from sandbox.part import NotReadyError, PartError
from sandbox.parts import parts
from sandbox.world import World
from symphony.errors import BadInputError
from tests.sandbox.conftest import Cluster

THEIRS = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {"name": "kind", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": "ca.crt"}},
        {"name": "eks", "cluster": {"server": "https://eks.example"}},
    ],
    "users": [
        {"name": "me", "user": {"token": "secret-of-kind"}},
        {"name": "aws", "user": {"exec": {"command": "aws", "args": ["eks", "get-token"]}}},
    ],
    "contexts": [
        {"name": "kind-dev", "context": {"cluster": "kind", "user": "me"}},
        {"name": "eks-prod", "context": {"cluster": "eks", "user": "aws"}},
    ],
}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "config"
    path.parent.mkdir()
    YAML().dump(THEIRS, path)
    (path.parent / "ca.crt").write_text("certificate")
    return path


def test_one_context_is_copied_whole_and_nothing_of_the_others(kubeconfig: Path) -> None:
    made = copied([kubeconfig], "kind-dev")
    data = base64.b64encode(b"certificate").decode()
    assert made["clusters"] == [
        {"name": "symphony", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": data}}
    ]
    assert made["users"] == [{"name": "symphony", "user": {"token": "secret-of-kind"}}]
    assert made["contexts"] == [{"name": "symphony", "context": {"cluster": "symphony", "user": "symphony"}}]
    assert made["current-context"] == "symphony"


def test_a_login_by_program_is_kept(kubeconfig: Path) -> None:
    assert copied([kubeconfig], "eks-prod")["users"][0]["user"]["exec"]["command"] == "aws"


def test_an_unknown_context_is_named_with_those_there_are(kubeconfig: Path) -> None:
    with pytest.raises(BadInputError, match="no context 'minikube'; there are: kind-dev, eks-prod"):
        copied([kubeconfig, kubeconfig.with_name("missing")], "minikube")


def test_the_choice_is_remembered_and_starts_no_cluster(
    tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    world = World(source=tmp_path, state=tmp_path / "state")
    assert isinstance(parts(world)[0], KubernetesPart)
    assert not world.state.exists()
    existing_cluster.choose(world, "kind-dev")
    assert isinstance(parts(world)[0], ExistingCluster)
    assert parts(world)[0].daemons == ()


def test_a_sandbox_with_a_cluster_of_its_own_keeps_it(tmp_path: Path) -> None:
    world = World(source=tmp_path, state=tmp_path / "state")
    world.folder("kubernetes", "pki")
    with pytest.raises(PartError, match="has a cluster of its own already"):
        lifecycle.up(world, kube_context="kind-dev")


def test_the_copy_is_private_the_namespaces_are_made_and_asked_for(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    server = cluster.world(tmp_path / "other").kubeconfig
    theirs.write_text(server.read_text())
    monkeypatch.setenv("KUBECONFIG", str(theirs))
    world = World(source=tmp_path, state=tmp_path / "state")
    existing_cluster.choose(world, "symphony")
    part = ExistingCluster()
    part.start(world)
    assert world.kubeconfig.stat().st_mode & 0o777 == 0o600
    made = [body for method, path, _, _, body in cluster.asked if (method, path) == ("POST", "/api/v1/namespaces")]
    assert len(made) == 4
    cluster.objects["/api/v1/namespaces"] = {"items": [{"metadata": {"name": "dev"}}]}
    with pytest.raises(NotReadyError, match="argocd, prod, staging are missing"):
        part.check(world)
    names = ("dev", "staging", "prod", "argocd", "default")
    cluster.objects["/api/v1/namespaces"] = {"items": [{"metadata": {"name": name}} for name in names]}
    part.check(world)
    part.stop(world)
    assert not world.kubeconfig.exists()
    assert theirs.exists()


def test_a_cluster_that_does_not_answer_is_told(tmp_path: Path, kubeconfig: Path) -> None:
    world = World(source=tmp_path, state=tmp_path / "state")
    with pytest.raises(NotReadyError, match="does not answer"):
        ExistingCluster().check(world)
    del kubeconfig
