from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tasks import removal
from tasks.removal import show_removed

if TYPE_CHECKING:
    from tests.conftest import Delivery


def test_every_object_that_goes_is_shown(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    shown: list[object] = []
    resources = [{"kind": "Service", "namespace": "dev", "name": "one"}, {"kind": "Deployment", "name": "one"}]

    def get(path: str) -> dict[str, object] | None:
        asked.append(path)
        return {"status": {"resources": resources}} if path.endswith("/dev-one") else None

    monkeypatch.setattr(removal, "cluster", lambda _: SimpleNamespace(get=get))
    monkeypatch.setattr(removal, "get_run_logger", lambda: SimpleNamespace(warning=lambda *_: None))
    monkeypatch.setattr(removal, "table", lambda *given: shown.append(given))
    rows = show_removed.fn(delivery.change(), ["one", "two"])
    assert [(row["application"], row["kind"]) for row in rows] == [("one", "Service"), ("one", "Deployment")]
    assert [path.rpartition("/")[2] for path in asked] == ["dev-one", "dev-two"]
    assert len(shown) == 1
