import base64
import datetime as dt
import io
import json
from typing import Any

import pytest

from sandbox.kubernetes import credential_provider
from sandbox.kubernetes.credential_provider import answer
from symphony.errors import BadInputError

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
REQUEST = {
    "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
    "kind": "CredentialProviderRequest",
    "image": "127.0.0.1:5010/dev/hello@sha256:" + "a" * 64,
}


def authorization(login: str = "AWS:secret", hours: float = 12) -> dict[str, Any]:
    return {
        "authorizationToken": base64.b64encode(login.encode()).decode(),
        "expiresAt": NOW + dt.timedelta(hours=hours),
    }


def test_the_login_answers_for_the_whole_registry() -> None:
    response = answer(REQUEST, authorization(), NOW)
    assert response["kind"] == "CredentialProviderResponse"
    assert response["auth"] == {"127.0.0.1:5010": {"username": "AWS", "password": "secret"}}
    assert response["cacheKeyType"] == "Registry"


def test_it_is_kept_for_half_of_its_life_and_five_minutes_at_most() -> None:
    assert answer(REQUEST, authorization(hours=0.1), NOW)["cacheDuration"] == "180s"
    assert answer(REQUEST, authorization(hours=12), NOW)["cacheDuration"] == "300s"


def test_a_login_that_says_it_expired_is_not_kept() -> None:
    assert answer(REQUEST, authorization(hours=-90000), NOW)["cacheDuration"] == "0s"


def test_a_colon_in_the_password_stays() -> None:
    assert answer(REQUEST, authorization("AWS:a:b"), NOW)["auth"]["127.0.0.1:5010"]["password"] == "a:b"


@pytest.mark.parametrize("change", [{"apiVersion": "credentialprovider.kubelet.k8s.io/v1beta1"}, {"kind": "Pod"}])
def test_another_kind_of_request_is_refused_by_name(change: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match=next(iter(change.values()))):
        answer({**REQUEST, **change}, authorization(), NOW)


def test_a_token_without_a_password_is_refused() -> None:
    with pytest.raises(BadInputError, match="no user and password"):
        answer(REQUEST, authorization("nonsense"), NOW)


def test_an_unreachable_endpoint_ends_in_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(REQUEST)))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert credential_provider.main(["http://127.0.0.1:1", "eu-central-1"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("The ECR login could not be had from http://127.0.0.1:1:")
