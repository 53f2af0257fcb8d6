from __future__ import annotations

from pathlib import Path

import pytest
from prefect import Flow

from deployments.apply import ROOT, chosen, flow_of
from deployments.blocks import credentials
from deployments.fingerprint import fingerprint
from deployments.listing import Declared, queues, read
from deployments.pool import limit_names
from symphony.config import load
from symphony.errors import BadInputError

LISTED = read(ROOT / "prefect.yaml")
CONFIGURATION = load(ROOT / "symphony.yaml")
FLOWS = ("release", "provision", "build", "deploy", "smoke", "rollback", "watch", "drift")
ENTRY = """\
name: symphony
prefect-version: 3.9.1
deployments:
  - name: dev
    entrypoint: flows.build.build
    description: Builds what changed, and nothing else.
    tags: [build, dev]
    parameters: {environment: dev}
    work_pool: {name: symphony, work_queue_name: deploy-dev}
    enforce_parameter_schema: true
"""


def test_every_flow_is_deployed_for_every_environment_of_symphony_yaml() -> None:
    wanted = {f"{flow}/{environment}" for flow in FLOWS for environment in CONFIGURATION.environments}
    wanted |= {f"promote/{environment}" for environment in list(CONFIGURATION.environments)[1:]}
    assert {one.full_name for one in LISTED} == wanted


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.full_name)
def test_each_entry_is_for_the_environment_that_its_name_says(one: Declared) -> None:
    assert one.parameters == {"environment": one.name}
    assert one.tags == (one.flow, one.name)
    assert one.work_pool.work_queue_name in queues([one.name])


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.full_name)
def test_each_entrypoint_is_a_flow_of_that_name_and_takes_the_parameters(one: Declared) -> None:
    flow = flow_of(one)
    assert isinstance(flow, Flow)
    assert flow.name == one.flow
    flow.validate_parameters({**one.parameters, "images": {}} if one.flow == "deploy" else one.parameters)


def test_releases_and_watches_of_one_environment_wait_for_each_other() -> None:
    for one in LISTED:
        if one.flow in {"release", "watch"}:
            assert one.concurrency is not None
            assert (one.concurrency.limit, one.concurrency.collision_strategy) == (1, "ENQUEUE")


def test_there_is_a_limit_for_each_application_in_each_environment() -> None:
    wanted = {
        f"deploy-{environment}-{application}"
        for environment in CONFIGURATION.environments
        for application in CONFIGURATION.applications
    }
    assert set(limit_names(CONFIGURATION)) == wanted
    assert len(wanted) == 6


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("flows.build.build", "flows/build.py:build", r"flows/build.py:build → dev entrypoint"),
        ("work_queue_name: deploy-dev", "work_queue_name: fast-dev", r"work_pool work_queue_name"),
        ("tags:", "labels: []\n    tags:", r"labels: Extra inputs are not permitted"),
        ("    enforce_parameter_schema: true", "    enforce_parameter_schema: true\n    schedules: [{}]", "schedules"),
        (
            "    enforce_parameter_schema: true",
            "    enforce_parameter_schema: true\n    schedules: [{interval: 60, cron: '1 * * * *'}]",
            "schedules",
        ),
        ("deployments:", "pull: [{git_clone: {}}]\ndeployments:", "pull"),
        ("name: dev", "name: [", "is no YAML"),
    ],
)
def test_a_mistake_is_named_with_its_deployment(tmp_path: Path, before: str, after: str, said: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(ENTRY)
    assert [one.full_name for one in read(path)] == ["build/dev"]
    path.write_text(ENTRY.replace(before, after, 1))
    with pytest.raises(BadInputError, match=said):
        read(path)


def test_a_deployment_declared_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(ENTRY + ENTRY.split("deployments:\n")[1])
    with pytest.raises(BadInputError, match="build/dev more than once"):
        read(path)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        read(tmp_path / "prefect.yaml")


def test_one_environment_can_be_chosen_and_an_unknown_one_is_named() -> None:
    assert {one.name for one in chosen(LISTED, CONFIGURATION, ["staging"])} == {"staging"}
    with pytest.raises(BadInputError, match=r"'live' is not in symphony\.yaml; there are: dev, staging, prod"):
        chosen(LISTED, CONFIGURATION, ["live"])


def test_a_deployment_for_an_unknown_environment_is_named() -> None:
    stray = LISTED[0].model_copy(update={"name": "live", "parameters": {"environment": "live"}})
    with pytest.raises(BadInputError, match="release/live for an unknown environment"):
        chosen([stray], CONFIGURATION, [])


def test_a_deployment_in_the_queue_of_another_environment_is_named() -> None:
    stray = LISTED[0].model_copy(update={"work_pool": LISTED[1].work_pool})
    said = r"release/dev into the queue 'deploy-staging'.*; its own are: deploy-dev, check-dev\."
    with pytest.raises(BadInputError, match=said):
        chosen([stray], CONFIGURATION, [])


def test_an_entrypoint_that_does_not_exist_is_named() -> None:
    stray = LISTED[0].model_copy(update={"entrypoint": "flows.release.nothing"})
    with pytest.raises(BadInputError, match=r"flows\.release\.nothing, which cannot be imported"):
        flow_of(stray)


def test_environments_that_share_a_block_must_agree_on_where_it_leads() -> None:
    assert list(credentials(CONFIGURATION)) == ["aws"]
    prod = CONFIGURATION.environments["prod"]
    elsewhere = prod.model_copy(update={"aws": prod.aws.model_copy(update={"region": "us-east-1"})})
    split = CONFIGURATION.model_copy(update={"environments": {**CONFIGURATION.environments, "prod": elsewhere}})
    with pytest.raises(BadInputError, match="'dev' and 'prod' share the credentials block 'aws'"):
        credentials(split)


def test_the_fingerprint_changes_with_a_flow_and_not_with_the_readme(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "build.py").write_text("one")
    before = fingerprint(tmp_path, LISTED)
    (tmp_path / "README.md").write_text("new")
    assert fingerprint(tmp_path, LISTED) == before
    (tmp_path / "flows" / "build.py").write_text("two")
    after = fingerprint(tmp_path, LISTED)
    assert after != before
    (tmp_path / "symphony.yaml").write_text("version: 1")
    assert fingerprint(tmp_path, LISTED, [tmp_path / "symphony.yaml"]) != after
