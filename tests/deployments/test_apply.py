"""The list put onto a real Prefect server of the test session's own."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import pytest
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL
from prefect_aws import AwsCredentials
from prefect_docker import DockerHost

from deployments.apply import ROOT, deploy_flows
from deployments.automations import DRIFT, FAILURES, SILENT, WAITING, ensure_automations
from deployments.client import PrefectApi
from deployments.listing import read
from deployments.pool import POOL
from symphony.config import Notifications, load
from symphony.errors import BadInputError
from symphony.tool import run

KEPT = (
    *("name", "tags", "parameters", "description", "entrypoint", "path", "pull_steps", "work_pool_name"),
    *("work_queue_name", "enforce_parameter_schema", "job_variables", "concurrency_options", "paused"),
    "storage_document_id",
)


def without_choices(schema: Any) -> Any:
    """A schema as Prefect makes it, which knows nothing of symphony.yaml."""
    if isinstance(schema, dict):
        plain = {key: without_choices(value) for key, value in schema.items() if key != "enum"}
        some = next((one for one in plain.pop("anyOf", ()) if one["type"] != "null"), {})
        return {key: value for key, value in (plain | some).items() if (key, value) != ("default", None)}
    return [without_choices(one) for one in schema] if isinstance(schema, list) else schema


MORE = """
  - <<: *release
    name: dev-more
    tags: [release, dev]
"""


@pytest.fixture(scope="module")
def api(prefect: None) -> PrefectApi:
    del prefect
    made = PrefectApi(str(PREFECT_API_URL.value()))
    deploy_flows(made, force=True)
    return made


def ask(api: PrefectApi, path: str, question: dict[str, Any]) -> Any:
    return httpx.post(f"{api.url}{path}", json=question, timeout=30).raise_for_status().json()


def deployments(api: PrefectApi) -> dict[str, dict[str, Any]]:
    found = {}
    for one in ask(api, "/deployments/filter", {}):
        limit = (one["global_concurrency_limit"] or {}).get("limit")
        when = ("interval", "cron")
        clocks = [([clock["schedule"].get(key) for key in when], clock["active"]) for clock in one["schedules"]]
        same = {key: one[key] for key in KEPT} | {"schema": without_choices(one["parameter_openapi_schema"])}
        found[f"{one['entrypoint']} {one['name']}"] = {**same, "limit": limit, "at": clocks}
    return found


def test_a_second_time_changes_nothing(api: PrefectApi) -> None:
    again = deploy_flows(api)
    assert len(again.deployments) == len(read(ROOT / "prefect.yaml"))
    assert again.changed == ()


def test_what_somebody_deleted_is_put_back_and_nothing_else(api: PrefectApi) -> None:
    one = httpx.get(f"{api.url}/deployments/name/smoke/dev", timeout=30).raise_for_status().json()
    httpx.delete(f"{api.url}/deployments/{one['id']}", timeout=30).raise_for_status()
    said: list[str] = []
    assert deploy_flows(api, report=said.append).changed == ("smoke/dev",)
    assert said == ["smoke/dev"]


def test_prefect_deploys_the_same_from_the_same_list(api: PrefectApi) -> None:
    ours = deployments(api)
    environment = {"PREFECT_API_URL": api.url, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    run([sys.executable, "-m", "prefect", "deploy", "--all", "--no-prompt"], cwd=ROOT, env=environment, limit=180)
    assert deployments(api) == ours
    # It carries another version now, so the next call takes the list over again.
    assert len(deploy_flows(api).changed) == len(read(ROOT / "prefect.yaml"))


def test_a_watch_is_started_where_a_policy_waits_for_images_and_nowhere_else(api: PrefectApi, tmp_path: Path) -> None:
    def clocks() -> dict[str, list[bool]]:
        found = ask(api, "/deployments/filter", {"flows": {"name": {"any_": ["watch"]}}})
        return {one["name"]: [clock["active"] for clock in one["schedules"]] for one in found}

    def automations() -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in ask(api, "/automations/filter", {})}

    assert clocks() == {"dev": [False], "staging": [False], "prod": [False]}
    assert "New images for dev" not in automations()
    (tmp_path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    plain = (ROOT / "symphony.yaml").read_text()
    place = '    repository: "{environment}/greet"\n'
    watched = place + "    watch: {dev: {policy: newest-build}}\n"
    for _ in range(2):
        (tmp_path / "symphony.yaml").write_text(plain.replace(place, watched))
        deploy_flows(api, tmp_path / "symphony.yaml", force=True)
        assert clocks() == {"dev": [True], "staging": [False], "prod": [False]}
        [one] = [one for name, one in automations().items() if name.startswith("New images")]
        assert one["name"] == "New images for dev"
        assert one["trigger"]["match"]["prefect.resource.id"] == ["aws.ecr.repository.dev/greet"]
        assert one["trigger"]["expect"] == ["aws.ecr.image-action"]
    deploy_flows(api, force=True)
    assert clocks() == {"dev": [False], "staging": [False], "prod": [False]}
    assert "New images for dev" not in automations()


def test_people_are_told_by_the_blocks_that_symphony_yaml_names(
    api: PrefectApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(**notifications: Any) -> dict[str, int]:
        """How many people each automation tells."""
        configuration = load(ROOT / "symphony.yaml").model_copy(
            update={"notifications": Notifications(**notifications)}
        )

        async def ensure() -> None:
            async with get_client() as client:
                await ensure_automations(client, configuration, ())

        asyncio.run(ensure())
        found = ask(api, "/automations/filter", {})
        same[:] = [one["updated"] for one in found if one["name"] == SILENT]
        return {one["name"]: len(one["actions"]) for one in found}

    with pytest.raises(BadInputError, match="Prefect has no block 'slack-webhook/platform'"):
        told(blocks=("slack-webhook/platform",))
    for name in ("platform", "night"):
        SlackWebhook(url="http://127.0.0.1:9/hook").save(name)
    both = ("slack-webhook/platform", "slack-webhook/night")
    same: list[str] = []
    assert told(blocks=both) == {DRIFT: 2, FAILURES: 2, SILENT: 1}
    # Put there anew, it would forget the runs that it waits for.
    before = list(same)
    assert told(blocks=both[:1], failures=False) == {DRIFT: 1, SILENT: 1}
    assert told(blocks=both[:1], drift=False) == {FAILURES: 1, SILENT: 1}
    assert told() == {SILENT: 1}
    assert same == before
    monkeypatch.setattr(PrefectClient, "read_work_pool", AsyncMock(return_value=Mock(type="kubernetes")))
    assert told() == {SILENT: 1, WAITING: 1}
    found = {one["name"]: one["trigger"] for one in ask(api, "/automations/filter", {})}
    assert [found[name]["within"] for name in (SILENT, WAITING)] == [90, 900]
    assert set(found[WAITING]["after"]) == {"prefect.flow-run.Pending", "prefect.flow-run.Submitting"}
    assert not set(found[WAITING]["after"]) & set(found[SILENT]["after"])
    monkeypatch.undo()
    assert told() == {SILENT: 1}


def test_limits_hold_one_slot_each(api: PrefectApi) -> None:
    limits = {one["name"]: one["limit"] for one in ask(api, "/v2/concurrency_limits/filter", {})}
    assert limits.items() >= {"deploy-dev-hello": 1, "deploy-staging-hello": 1, "deploy-prod-hello": 1}.items()


def queues(api: PrefectApi) -> list[str]:
    """In the order in which workers take runs from them."""
    found = ask(api, f"/work_pools/{POOL}/queues/filter", {})
    return [one["name"] for one in sorted(found, key=lambda one: int(one["priority"]))]


def test_queues_put_what_changes_something_first_whatever_their_order_was(api: PrefectApi) -> None:
    wanted = [*(f"{kind}-{name}" for kind in ("deploy", "check") for name in ("dev", "staging", "prod")), "default"]
    assert queues(api) == wanted
    one = httpx.get(f"{api.url}/work_pools/{POOL}/queues/check-prod", timeout=30).raise_for_status().json()
    httpx.patch(f"{api.url}/work_queues/{one['id']}", json={"priority": 2}, timeout=30).raise_for_status()
    assert queues(api).index("check-prod") < 3
    deploy_flows(api, force=True)
    assert queues(api) == wanted


LIVE = """
  - <<: *release
    name: live
    tags: [release, live]
    parameters: {environment: live}
    work_pool: {name: symphony, work_queue_name: deploy-live}
"""


def test_an_environment_has_queues_as_long_as_it_is_declared_or_a_run_of_it_waits(
    api: PrefectApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text() + LIVE)
    more = "  live:\n    <<: *sandbox\n    kubernetes: {context: symphony, namespace: live}\n"
    (tmp_path / "shop.yaml").write_text((ROOT / "symphony.yaml").read_text() + more)
    before = queues(api)
    with monkeypatch.context() as here:
        here.setenv("SYMPHONY_CONFIG", str(tmp_path / "shop.yaml"))
        assert "release/live" in deploy_flows(api, environments=["live"]).changed
    assert [name for name in queues(api) if name.endswith("-live")] == ["deploy-live", "check-live"]
    assert queues(api).index("deploy-live") < queues(api).index("check-dev")
    httpx.post(f"{api.url}/work_pools/{POOL}/queues", json={"name": "theirs"}, timeout=30).raise_for_status()
    run = api.start("release", "live", {}).id
    path = f"{api.url}/flow_runs/{run}/set_state"
    state = {"type": "PAUSED", "name": "Suspended"}
    httpx.post(path, json={"state": state, "force": True}, timeout=30).raise_for_status()
    assert deploy_flows(api).removed == ("release/live",)
    assert set(queues(api)) == {*before, "deploy-live", "theirs"}
    httpx.post(path, json={"state": {"type": "CANCELLED"}, "force": True}, timeout=30).raise_for_status()
    deploy_flows(api, force=True)
    assert set(queues(api)) == {*before, "theirs"}
    httpx.delete(f"{api.url}/work_pools/{POOL}/queues/theirs", timeout=30).raise_for_status()


def test_blocks_say_where_and_hold_no_key(api: PrefectApi) -> None:
    del api
    aws = AwsCredentials.load("aws")
    assert aws.region_name == "eu-central-1"
    assert aws.aws_client_parameters.endpoint_url == "http://127.0.0.1:4566"
    assert aws.aws_access_key_id is None
    assert aws.aws_secret_access_key is None
    assert DockerHost.load("docker").base_url is None


def test_the_run_form_offers_environments_and_applications_and_nothing_else_is_taken(api: PrefectApi) -> None:
    def form(deployment: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{api.url}/deployments/name/{deployment}", timeout=30).json()
        properties: dict[str, Any] = found["parameter_openapi_schema"]["properties"]
        assert all(one.get("description") for one in properties.values())
        return properties

    assert form("deploy/staging")["environment"]["enum"] == ["staging"]
    for name in ("applications", "restore"):
        offered = form("deploy/dev")[name]
        assert offered["items"]["enum"] == ["hello", "greet"]
        assert not {"anyOf", "default"} & offered.keys()
    assert form("rollback/dev")["action"]["enum"] == ["go back", "lift the hold"]
    assert "enum" not in form("release/dev")["commit"]
    for parameters, said in (
        ({"environment": "moon"}, "deploy/dev does not take moon as environment; there are: dev"),
        ({"applications": ["hello", "nothing"]}, "does not take nothing as applications; there are: hello, greet"),
    ):
        with pytest.raises(BadInputError, match=said):
            api.start("deploy", "dev", parameters)
        path = f"/deployments/{httpx.get(f'{api.url}/deployments/name/deploy/dev', timeout=30).json()['id']}"
        answer = httpx.post(f"{api.url}{path}/create_flow_run", json={"parameters": parameters}, timeout=30)
        assert answer.is_client_error, "the server itself took it"
    assert api.start("deploy", "dev", {"applications": None}).state_type == "SCHEDULED"
    assert api.start("deploy", "dev", {"applications": ["greet"]}).state_type == "SCHEDULED"


def test_what_is_no_longer_declared_is_removed_and_nothing_of_others(api: PrefectApi, tmp_path: Path) -> None:
    def there() -> tuple[set[str], set[str], set[str], set[str]]:
        limits = {one["name"] for one in ask(api, "/v2/concurrency_limits/filter", {})}
        blocks = {one["name"] for one in ask(api, "/block_documents/filter", {})}
        automations = {one["name"] for one in ask(api, "/automations/filter", {})}
        return set(api.versions()), limits, blocks, automations

    aside = {"name": "deploy-dev", "limit": 1}
    httpx.post(f"{api.url}/v2/concurrency_limits/", json=aside, timeout=30).raise_for_status()
    AwsCredentials(region_name="eu-west-1").save("theirs", overwrite=True)
    text = (ROOT / "symphony.yaml").read_text()
    listed = (ROOT / "prefect.yaml").read_text()
    watched = '    repository: "{environment}/greet"\n'
    text = text.replace(watched, watched + "    watch: {dev: {policy: newest-build}}\n")
    (tmp_path / "prefect.yaml").write_text(listed + MORE)
    more = text.replace("  greet:  #", "  more:\n    source: x\n    chart: x\n    repository: x\n  greet:  #")
    (tmp_path / "symphony.yaml").write_text(
        more.replace("region: eu-central-1", "region: eu-central-1\n      credentials: named")
    )
    assert "release/dev-more" in deploy_flows(api, tmp_path / "symphony.yaml", force=True).deployments
    deployments, limits, blocks, automations = there()
    assert "release/dev-more" in deployments
    assert {"deploy-dev-more", "deploy-prod-more"} < limits
    assert "named" in blocks
    assert "New images for dev" in automations
    done = deploy_flows(api)
    assert done.removed == ("release/dev-more",)
    deployments, limits, blocks, automations = there()
    assert deployments == {one.full_name for one in read(ROOT / "prefect.yaml")}
    assert "deploy-dev-hello" in limits
    assert not {name for name in limits if name.endswith("-more")}
    assert "New images for dev" not in automations
    assert {"theirs", "aws", "docker"} <= blocks
    assert "named" not in blocks
    assert "deploy-dev" in limits
    assert deploy_flows(api).removed == ()


def test_a_run_is_named_by_its_id_the_beginning_of_it_its_name_or_its_deployment(api: PrefectApi) -> None:
    api.start("smoke", "dev", {})
    run = api.start("smoke", "dev", {})
    for what in (run.id, run.id[:13], run.name, "smoke/dev"):
        assert api.named(what).id == run.id
    for what in ("smoke/moon", "nobody", ""):
        with pytest.raises(BadInputError, match=f"has no run '{what}' among its newest"):
            api.named(what)


def test_what_a_run_logged_is_read_in_order_from_where_one_was(api: PrefectApi) -> None:
    run = api.start("smoke", "dev", {}).id
    entries = [
        {"name": "n", "level": 20, "message": f"line {n}", "timestamp": f"2026-01-02T10:{n // 60:02}:{n % 60:02}Z"}
        for n in range(250)
    ]
    body = [{**one, "flow_run_id": run} for one in entries]
    httpx.post(f"{api.url}/logs/", json=body, timeout=30).raise_for_status()
    assert [one["message"] for one in api.logs(run)] == [f"line {n}" for n in range(250)]
    assert [(one["level"], one["message"]) for one in api.logs(run, 248)] == [
        ("INFO", "line 248"),
        ("INFO", "line 249"),
    ]


def test_a_parameter_that_does_not_fit_is_refused_by_the_server(api: PrefectApi) -> None:
    with pytest.raises(BadInputError, match="environment"):
        api.start("build", "dev", {"environment": 7})
