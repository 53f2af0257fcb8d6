from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from symphony.errors import BadInputError, SymphonyError
from symphony.record import ReleaseRecord
from tasks.publish import publish
from tasks.records import BRANCH, find_record, last_passed, last_succeeded, newest, write_record

if TYPE_CHECKING:
    from tests.conftest import Delivery

DEPLOYED = {"environment": "dev", "commit": "c" * 40, "revision": "c" * 40, "applications": ["one"], "seconds": 1}


def record(day: int, **facts: Any) -> ReleaseRecord:
    given = {
        "environment": "dev",
        "commit": f"{day:02}" * 20,
        "state": "succeeded",
        "run": f"{day:08}-aaaa",
        "started": f"2026-01-{day:02}T10:00:00.000+00:00",
        "seconds": 1,
        "reason": 'He said "é"\n0000000000000000000000000000000000000000 blob 3\nx',
    }
    return ReleaseRecord.model_validate(given | facts)


def kept(delivery: Delivery, *records: ReleaseRecord) -> Path:
    mirror = delivery.change().mirror
    for one in records:
        write_record.fn(mirror, one)
    return mirror


def test_records_are_read_newest_first_whatever_is_in_them(delivery: Delivery) -> None:
    written = [record(2), record(9, environment="prod"), record(5, kind="promote")]
    mirror = kept(delivery, *written)
    assert list(newest(mirror)) == [written[1], written[2], written[0]]
    assert list(newest(mirror, "dev")) == [written[2], written[0]]
    assert list(newest(mirror, "staging")) == []


def test_more_than_a_page_is_read(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.records._PAGE", 2)
    mirror = kept(delivery, *map(record, range(1, 6)))
    assert [one.started[8:10] for one in newest(mirror)] == ["05", "04", "03", "02", "01"]


def test_only_releases_are_a_base_and_only_what_was_deployed_has_passed(delivery: Delivery) -> None:
    release, promotion = record(1), record(2, kind="promote", deployed=DEPLOYED)
    mirror = kept(delivery, release, promotion, record(3, state="failed", deployed=DEPLOYED))
    assert last_succeeded(mirror, "dev") == release
    assert last_passed(mirror, "dev") == promotion
    assert last_passed(mirror, "prod") is None


@pytest.mark.parametrize("named", ["00000002", "00000002-aaaa", "0202", "02" * 20, "name", "dev/name.json"])
def test_a_record_is_found_by_name_run_or_commit(delivery: Delivery, named: str) -> None:
    wanted = record(2)
    mirror = kept(delivery, record(1), wanted, record(3))
    assert find_record(mirror, named.replace("name", wanted.name)) == wanted


@pytest.mark.parametrize("named", ["", "00000002-b", "02" * 19 + "03", "zzz"])
def test_what_is_not_there_is_told(delivery: Delivery, named: str) -> None:
    mirror = kept(delivery, record(2))
    with pytest.raises(BadInputError, match="`symphony history` lists them"):
        find_record(mirror, named, "dev")


def test_a_record_of_the_first_schema_is_read(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    old = (
        '{"schema_version": 1, "environment": "dev", "commit": "' + "a" * 40 + '", "state": "succeeded", "run": "r", '
        '"started": "2026-01-01T00:00:00.000+00:00", "seconds": 2}'
    )
    publish(mirror, BRANCH, lambda index: index.put("dev/20260101T000000.000+0000-a-r.json", old), "old")
    (read,) = newest(mirror, "dev")
    assert (read.schema_version, read.kind) == (1, "release")


def test_a_record_of_a_later_schema_is_told(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    later = record(1).model_dump_json().replace('"schema_version":2', '"schema_version":3')
    publish(mirror, BRANCH, lambda index: index.put("dev/20260101T000000.000+0000-a-r.json", later), "later")
    with pytest.raises(SymphonyError, match=r"not of a schema that this Symphony knows"):
        next(newest(mirror, "dev"))
