from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tasks import access_drift as module
from tasks.access_drift import look_at_access
from tasks.answer import Answer, Target
from tasks.certificate import Certificate

if TYPE_CHECKING:
    from tests.conftest import Delivery

DAY = 24 * 3600


class Entrance:
    bases: dict[str, str] = {}  # noqa: RUF012 - never written
    targets = tuple(
        Target("one", host, path, base, served=served)
        for host, path, base, served in (
            ("good.example", "/", "https://in.example", True),
            ("good.example", "/more", "https://in.example", True),
            ("ending.example", "/", "https://in.example", True),
            ("wrong.example", "/", "https://in.example", True),
            ("away.example", "/", "https://in.example", True),
            ("plain.example", "/", "http://in.example", True),
            ("nobody.example", "/", "https://in.example", False),
        )
    )


def test_certificates_that_are_not_good_or_about_to_end_are_told_once_a_host(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = {
        "good.example": Answer(200, certificate=Certificate("Us", time.time() + 60 * DAY)),
        "ending.example": Answer(200, certificate=Certificate("Us", time.time() + 2 * DAY)),
        "wrong.example": Answer(failure="its certificate is not good: self-signed certificate"),
        "away.example": Answer(failure="it did not answer in 10 s"),
    }

    def ask(_http: object, target: Target, _bases: object) -> Answer:
        asked.append(target.host)
        return answers[target.host]

    monkeypatch.setattr(module.read_targets, "fn", lambda *_: Entrance)
    monkeypatch.setattr(module, "ask", ask)
    found = {one.what: one.told for one in look_at_access.fn(delivery.change(), [])}
    assert sorted(asked) == ["away.example", "ending.example", "good.example", "wrong.example"]
    assert set(found) == {"certificate of ending.example", "certificate of wrong.example"}
    assert "ends in 2.0 days" in found["certificate of ending.example"]
    assert "self-signed" in found["certificate of wrong.example"]
