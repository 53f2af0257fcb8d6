"""Objects put into the cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import manifest
from sandbox.world import World
from symphony.errors import SymphonyError, TransientError

SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}}
PATH = "/api/v1/namespaces/n/configmaps/a"


@pytest.mark.parametrize(
    ("version", "kind", "expected"),
    [
        ("v1", "Secret", "/api/v1/namespaces/n/secrets/a"),
        ("v1", "Namespace", "/api/v1/namespaces/a"),
        ("networking.k8s.io/v1", "Ingress", "/apis/networking.k8s.io/v1/namespaces/n/ingresses/a"),
        ("networking.k8s.io/v1", "IngressClass", "/apis/networking.k8s.io/v1/ingressclasses/a"),
        ("argoproj.io/v1alpha1", "AppProject", "/apis/argoproj.io/v1alpha1/namespaces/n/appprojects/a"),
    ],
)
def test_path_follows_from_kind_and_name(version: str, kind: str, expected: str) -> None:
    item = {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "n"}}
    assert manifest.path(item) == expected


def test_apply_is_server_side_and_takes_over_what_another_set(cluster: Any, tmp_path: Path) -> None:
    with manifest.api(cluster.world(tmp_path)) as connection:
        manifest.apply(connection, SETTINGS)
    method, path, query, kind, body = cluster.asked[0]
    assert (method, path, kind) == ("PATCH", PATH, "application/apply-patch+yaml")
    assert query == {"fieldManager": ["symphony-sandbox"], "force": ["true"]}
    assert json.loads(body) == SETTINGS


def test_text_is_sent_as_it_is(cluster: Any, tmp_path: Path) -> None:
    with manifest.api(cluster.world(tmp_path)) as connection:
        manifest.apply_text(connection, PATH, "kind: ConfigMap\n")
    assert cluster.asked[0][4] == "kind: ConfigMap\n"


def test_merge_changes_fields_alone(cluster: Any, tmp_path: Path) -> None:
    with manifest.api(cluster.world(tmp_path)) as connection:
        manifest.merge(connection, PATH, {"data": {"k": "w"}})
    assert cluster.asked[0][3:] == ("application/merge-patch+json", '{"data": {"k": "w"}}')


def test_an_object_that_is_not_there_is_none(cluster: Any, tmp_path: Path) -> None:
    cluster.objects[PATH] = SETTINGS
    with manifest.api(cluster.world(tmp_path)) as connection:
        assert manifest.read(connection, PATH) == SETTINGS
        assert manifest.read(connection, PATH + "b") is None


def test_a_refusal_is_a_sentence_with_the_clusters_reason(cluster: Any, tmp_path: Path) -> None:
    cluster.refused[PATH] = 403
    with (
        pytest.raises(SymphonyError, match="refused the sandbox a request with 403: it may not be"),
        manifest.api(cluster.world(tmp_path)) as connection,
    ):
        manifest.apply(connection, SETTINGS)


def test_a_cluster_that_is_down_is_named(cluster: Any, tmp_path: Path) -> None:
    world = cluster.world(tmp_path)
    cluster.__exit__()
    with pytest.raises(TransientError, match="does not answer"), manifest.api(world) as connection:
        manifest.read(connection, PATH)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(SymphonyError, match="symphony up"), manifest.api(World(source=tmp_path, state=tmp_path)):
        pass
