from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.github import PullRequest
from symphony.errors import BadInputError, SymphonyError

MARK = "<!-- symphony: provision dev -->"


class GitHub:
    """The comments of pull request 7 of team/shop."""

    def __init__(self, *comments: tuple[str, str]) -> None:
        self.comments = [
            {"id": place, "body": body, "user": {"type": kind}, "html_url": f"http://github/{place}"}
            for place, (kind, body) in enumerate(comments)
        ]
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.method == "GET":
            page = int(request.url.params["page"])
            return httpx.Response(200, json=self.comments[100 * (page - 1) : 100 * page])
        body: dict[str, Any] = json.loads(request.content)
        if request.method == "PATCH":
            found = self.comments[int(request.url.path.rpartition("/")[2])]
        else:
            found = {"id": len(self.comments), "user": {"type": "Bot"}, "html_url": "http://github/new"}
            self.comments.append(found)
        found.update(body)
        return httpx.Response(200, json=found)


def pull_request(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> PullRequest:
    monkeypatch.setattr("deployments.github.httpx.HTTPTransport", lambda **_: httpx.MockTransport(answer))
    return PullRequest("http://github.test/api/", "team/shop", 7, "secret")


def test_one_comment_is_made_and_then_kept_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    github = GitHub()
    mine = pull_request(monkeypatch, github)
    assert mine.comment(MARK, "one") == "http://github/new"
    mine.comment(MARK, "two")
    mine.comment("<!-- symphony: provision prod -->", "three")
    assert [one["body"].splitlines()[-1] for one in github.comments] == ["two", "three"]
    assert github.seen[0].url.path == "/api/repos/team/shop/issues/7/comments"
    assert github.seen[0].headers["authorization"] == "Bearer secret"


def test_what_a_person_wrote_is_left_alone_and_every_page_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    github = GitHub(("User", f"{MARK}\nforged"), *[("Bot", "noise")] * 120, ("Bot", f"{MARK}\nold"))
    pull_request(monkeypatch, github).comment(MARK, "new")
    assert github.comments[0]["body"].endswith("forged")
    assert github.comments[-1]["body"] == f"{MARK}\nnew"
    assert len(github.comments) == 122


def test_a_refusal_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = pull_request(monkeypatch, lambda _: httpx.Response(403, text="Resource not accessible."))
    with pytest.raises(SymphonyError, match=r"403: Resource not accessible\. .* pull-requests: write"):
        refused.comment(MARK, "x")


def test_a_github_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(SymphonyError, match=r"github\.test/api.* does not answer: refused"):
        pull_request(monkeypatch, away).comment(MARK, "x")


@pytest.mark.parametrize(
    ("event", "token", "said"),
    [({}, "t", "no pull request"), ({"pull_request": {"number": 7}}, "", "needs GITHUB_TOKEN")],
)
def test_without_pull_request_or_token_there_is_no_comment(
    tmp_path: Path, event: dict[str, Any], token: str, said: str
) -> None:
    (tmp_path / "event.json").write_text(json.dumps(event))
    with pytest.raises(BadInputError, match=said):
        PullRequest.of_workflow({"GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_TOKEN": token})
