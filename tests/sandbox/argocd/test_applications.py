"""The project and the ApplicationSet."""

from pathlib import Path

from sandbox.argocd.applications import application_set, closed_default_project, project
from sandbox.world import World

WORLD = World(source=Path(), state=Path("/nowhere"))


def test_project_takes_the_git_remote_alone_into_the_environments_alone() -> None:
    spec = project(WORLD)["spec"]
    assert spec["sourceRepos"] == [WORLD.git_remote]
    assert {target["namespace"] for target in spec["destinations"]} == {"dev", "staging", "prod"}
    assert spec["clusterResourceWhitelist"] == []


def test_project_that_argo_cd_makes_by_itself_allows_nothing() -> None:
    spec = closed_default_project()["spec"]
    assert not any(spec.values())


def test_an_application_follows_its_environments_branch() -> None:
    template = application_set(WORLD)["spec"]["template"]
    assert template["metadata"]["name"] == "{{ .target }}-{{ .application }}"
    assert template["spec"]["source"]["targetRevision"] == "env/{{ .target }}"
    assert template["spec"]["destination"]["namespace"] == "{{ .namespace }}"


def test_environment_of_the_branch_wins_over_what_a_file_says() -> None:
    first, second = application_set(WORLD)["spec"]["generators"][0]["matrix"]["generators"]
    names = ["dev", "staging", "prod"]
    assert first["list"]["elements"] == [{"target": name, "namespace": name} for name in names]
    assert second["git"]["revision"] == "env/{{ .target }}"


def test_an_application_goes_with_its_resources_when_its_file_goes() -> None:
    spec = application_set(WORLD)["spec"]
    assert spec["template"]["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
    assert spec["syncPolicy"] == {"applicationsSync": "sync", "preserveResourcesOnDeletion": False}


def test_digest_comes_last_and_from_the_branch_itself() -> None:
    patch = application_set(WORLD)["spec"]["templatePatch"].rstrip().splitlines()
    assert "/applications/%s.yaml" in patch[-1]
    assert "range .values" in patch[-4]


def test_a_key_that_is_missing_in_a_file_is_an_error() -> None:
    assert application_set(WORLD)["spec"]["goTemplateOptions"] == ["missingkey=error"]
