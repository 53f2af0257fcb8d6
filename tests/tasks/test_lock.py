from __future__ import annotations

import contextlib
import contextvars
import itertools
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

from symphony.errors import SymphonyError
from tasks import lock
from tasks.holder import Holder, free, holder_of
from tasks.lock import locked, locked_units


def busy() -> ConcurrencySlotAcquisitionError:
    """What Prefect raises where a slot is taken."""
    error = ConcurrencySlotAcquisitionError("no")
    request = httpx.Request("POST", "http://prefect")
    error.__cause__ = httpx.HTTPStatusError("taken", request=request, response=httpx.Response(423, request=request))
    return error


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    names: list[list[str]] = []

    @contextlib.contextmanager
    def concurrency(wanted: list[str], **options: Any) -> Iterator[None]:
        assert options["strict"] is True
        assert options["occupy"] == 1
        names.append(wanted)
        yield

    monkeypatch.setattr(lock, "concurrency", concurrency)
    monkeypatch.setattr(lock, "_make_missing", lambda _: None)
    return names


def test_all_locks_of_a_deploy_are_taken_at_once(taken: list[list[str]]) -> None:
    with locked("dev", ["two", "one"]):
        assert taken == [["deploy-dev-one", "deploy-dev-two"]]


def test_what_a_run_holds_is_not_taken_twice(taken: list[list[str]]) -> None:
    with locked("dev", ["one"]):
        with locked("dev", ["one"]):
            pass
        with locked("dev", ["one", "two"]), locked("prod", ["one"]):
            pass
    assert taken == [["deploy-dev-one"], ["deploy-dev-two"], ["deploy-prod-one"]]


def test_what_was_let_go_is_taken_again(taken: list[list[str]]) -> None:
    for _ in range(2):
        with locked("dev", ["one"]):
            pass
    assert taken == [["deploy-dev-one"]] * 2


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (ConcurrencySlotAcquisitionError("no"), SymphonyError, "The lock deploy-dev-one cannot be taken"),
        (busy(), SymphonyError, "Another run holds deploy-dev-one for more than 30 minutes: .*'release → dev'"),
    ],
)
def test_a_lock_that_cannot_be_had_is_told(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, kind: type[SymphonyError], said: str
) -> None:
    @contextlib.contextmanager
    def concurrency(_: list[str], **__: Any) -> Iterator[None]:
        raise failure
        yield

    monkeypatch.setattr(lock, "concurrency", concurrency)
    monkeypatch.setattr(lock, "_make_missing", lambda _: None)
    monkeypatch.setattr(
        lock, "_busy", lambda _: [Holder("deploy-dev-one", "1", "release → dev", "Running", alive=True)]
    )
    clock = itertools.count(step=1801)
    monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=clock.__next__, sleep=lambda _: None))
    with pytest.raises(kind, match=said), locked("dev", ["one"]):
        pass


@pytest.mark.usefixtures("prefect")
def test_the_lock_of_an_application_that_is_new_is_made() -> None:
    with locked("dev", ["brand-new"]), get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name("deploy-dev-brand-new")
        assert (limit.limit, limit.active_slots) == (1, 1)


@pytest.mark.usefixtures("prefect")
def test_a_unit_is_held_by_one_run_alone_and_the_other_learns_by_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_SECONDS", 1)
    # One of two that exists already: Prefect would take that one alone, and say nothing.
    with locked_units("dev", ["network"]):
        pass

    @flow(name="provision", flow_run_name="the first")
    def first() -> str:
        with locked_units("dev", ["network", "a/b"]):
            with pytest.raises(SymphonyError) as raised:
                contextvars.Context().run(second)
            return str(raised.value)

    def second() -> None:
        with locked_units("dev", ["a/b"]):
            pass

    said = first()
    assert "Another run holds unit-dev-a-b" in said
    with locked_units("dev", ["a/b"]):
        pass


@pytest.mark.usefixtures("prefect")
def test_the_holder_of_a_lock_is_known_and_a_dead_ones_lock_is_freed_for_good() -> None:
    @flow(name="provision", flow_run_name="the holder")
    def holding() -> None:
        with locked_units("dev", ["held"]), get_client(sync_client=True) as client:
            deadline = time.monotonic() + 20
            while (found := holder_of(client, "unit-dev-held")) == Holder("unit-dev-held"):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert found is not None
            assert (found.name, found.state, found.alive) == ("the holder", "Running", True)
            assert "held by the run 'the holder' (Running" in str(found)
            free(client, "unit-dev-held")
            assert holder_of(client, "unit-dev-held") is None
            with contextvars.Context().run(locked_units, "dev", ["held"]):
                pass

    holding()
    with get_client(sync_client=True) as client:
        assert holder_of(client, "unit-dev-held") is None
        assert holder_of(client, "unit-dev-nowhere") is None


@pytest.mark.usefixtures("taken")
def test_an_error_of_what_runs_under_the_lock_is_its_own() -> None:
    with pytest.raises(TimeoutError, match="mine"), locked("dev", ["one"]):
        raise TimeoutError("mine")
