from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from symphony.tool import Finished
from tests.cli.server import symphony


class Ecr:
    refusal: ClientError | None = None

    def get_authorization_token(self) -> dict[str, list[dict[str, str]]]:
        if self.refusal:
            raise self.refusal
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:token").decode()}]}


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[str], str]]:
    ran: list[tuple[Sequence[str], str]] = []

    def run(argv: Sequence[str], *, stdin: str, **_: Any) -> Finished:
        ran.append((argv, stdin))
        return Finished(0, "Login Succeeded", 0.1)

    monkeypatch.setattr("symphony.tool.run", run)
    monkeypatch.setattr("boto3.client", lambda *_, **__: Ecr())
    return ran


def test_docker_is_logged_in_and_the_name_of_the_images_is_all_that_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], docker: list[tuple[Sequence[str], str]]
) -> None:
    assert symphony(monkeypatch, "registry-login", "hello", "--env", "staging") == 0
    assert capsys.readouterr().out == "127.0.0.1:5010/staging/hello\n"
    assert docker == [(["docker", "login", "--username", "AWS", "--password-stdin", "127.0.0.1:5010"], "token")]


@pytest.mark.parametrize(("application", "environment"), [("helo", "dev"), ("hello", "moon")])
def test_a_name_that_is_not_there_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, docker: list[tuple[Sequence[str], str]], application: str, environment: str
) -> None:
    assert symphony(monkeypatch, "registry-login", application, "--env", environment) == 2
    assert docker == []


def test_a_refusal_of_ecr_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], docker: list[tuple[Sequence[str], str]]
) -> None:
    refusal = ClientError({"Error": {"Code": "AccessDenied", "Message": "no role"}}, "GetAuthorizationToken")
    monkeypatch.setattr(Ecr, "refusal", refusal)
    assert symphony(monkeypatch, "registry-login", "hello", "--env", "dev") == 1
    assert "ECR of dev gives no login" in capsys.readouterr().err
    assert docker == []
