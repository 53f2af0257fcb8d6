import asyncio
import json
import logging
from datetime import UTC, datetime

import httpx
import pytest

from sandbox.registry import event
from sandbox.registry.notification import Push, pushes

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def action(tag: str | None = "one") -> dict[str, object]:
    return event.image_action(
        account="123456789012",
        region="eu-central-1",
        repository="dev/hello",
        digest="sha256:1",
        tag=tag,
        media_type=MANIFEST,
        artifact="application/vnd.docker.container.image.v1+json",
        at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def test_the_event_is_shaped_as_eventbridge_shapes_it() -> None:
    made = action()
    assert made.pop("id")
    assert made == {
        "version": "0",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2026-01-02T03:04:05Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {
            "action-type": "PUSH",
            "result": "SUCCESS",
            "repository-name": "dev/hello",
            "image-digest": "sha256:1",
            "image-tag": "one",
            "manifest-media-type": MANIFEST,
            "artifact-media-type": "application/vnd.docker.container.image.v1+json",
        },
    }


def test_an_untagged_push_names_no_tag() -> None:
    assert "image-tag" not in action(None)["detail"]  # type: ignore[operator]


def test_prefect_gets_it_whole_under_the_repositorys_resource_id() -> None:
    made = action()
    sent = event.prefect_event(made, "127.0.0.1:5010")
    assert sent["event"] == "aws.ecr.image-action"
    assert sent["resource"]["prefect.resource.id"] == "aws.ecr.repository.dev/hello"
    assert sent["payload"] == made
    assert sent["id"] == made["id"]


def test_only_pushed_manifests_count() -> None:
    target = {"repository": "dev/hello", "digest": "sha256:1", "mediaType": MANIFEST, "tag": "one"}
    envelope = {
        "events": [
            {"action": "push", "target": target},
            {"action": "pull", "target": target},
            {"action": "delete", "target": {"repository": "dev/hello", "digest": "sha256:1"}},
            {"action": "push", "target": {**target, "mediaType": "application/octet-stream"}},
            {"action": "push", "target": {key: value for key, value in target.items() if key != "tag"}},
        ]
    }
    assert pushes(json.dumps(envelope).encode()) == [
        Push("dev/hello", "sha256:1", "one"),
        Push("dev/hello", "sha256:1", None),
    ]


def send(monkeypatch: pytest.MonkeyPatch, answers: list[int]) -> int:
    """Send one event to a Prefect that answers so; tells how often it was asked."""
    asked = []
    monkeypatch.setattr(event, "_FIRST_PAUSE", 0)

    def prefect(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        status = answers.pop(0) if answers else 0
        if not status:
            raise httpx.ConnectError("refused")
        return httpx.Response(status)

    async def run() -> None:
        sender = event.PrefectEvents(httpx.AsyncClient(transport=httpx.MockTransport(prefect)), "http://prefect")
        sender.send(event.prefect_event(action(), "r"))
        await sender.drain()

    asyncio.run(run())
    return len(asked)


def test_it_is_sent_again_while_prefect_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(monkeypatch, [503, 503, 204]) == 3


def test_it_is_given_up_after_a_while_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert send(monkeypatch, []) == 6
    assert "did not reach Prefect" in caplog.text
    assert "the push stands" in caplog.text


def test_a_refused_event_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(monkeypatch, [422]) == 1
