from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from symphony.models import Deployed, Desired
from symphony.record import ReleaseRecord
from tasks import image_drift
from tasks.image_drift import look_at_images
from tasks.records import write_record

if TYPE_CHECKING:
    from tests.conftest import Delivery


class FakeEcr:
    """Has some digests, and tells at most a hundred at once."""

    class exceptions:  # noqa: N801 - botocore's name
        class RepositoryNotFoundException(Exception):  # noqa: N818 - botocore's name
            pass

    def __init__(self, *letters: str) -> None:
        self.there = {f"sha256:{letter * 64}" for letter in letters}

    def batch_get_image(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803 - botocore's names
        if repositoryName != "dev/one":
            raise self.exceptions.RepositoryNotFoundException
        return {"images": [{"imageId": one} for one in imageIds if one["imageDigest"] in self.there]}


def passed(delivery: Delivery, letter: str, second: int) -> None:
    deployed = Deployed(environment="dev", commit="e" * 40, revision="e" * 40, applications=("one",), seconds=1)
    record = ReleaseRecord(
        environment="dev", commit=letter * 40, state="succeeded", run="r", started=f"2026-01-01T00:00:0{second}",
        seconds=1, images=(delivery.image("one", letter),), deployed=deployed,
    )  # fmt: skip
    write_record.fn(delivery.change().mirror, record)


@pytest.mark.parametrize(("there", "lacks"), [("abcd", ""), ("bcd", ""), ("cd", "b"), ("", "bcd")])
def test_images_of_now_and_of_the_last_releases_that_ecr_lacks_are_told(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, there: str, lacks: str
) -> None:
    for second, letter in enumerate("abcd"):
        passed(delivery, letter, second)
    monkeypatch.setattr(image_drift, "client", lambda *_: FakeEcr(*there))
    entry = Desired(
        application="one", environment="dev", chart="charts/one", commit="c" * 40,
        repository="registry.example/dev/one", digest=f"sha256:{'d' * 64}",
    )  # fmt: skip
    found = {one.what.split(":")[1][0]: one.told for one in look_at_images.fn(delivery.change(), {"one": entry})}
    assert "".join(sorted(found)) == lacks
    assert all(("desired state" if letter == "d" else "rollback") in told for letter, told in found.items())


def test_a_repository_that_is_gone_lacks_all(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_drift, "client", lambda *_: FakeEcr("d"))
    entry = Desired(
        application="one", environment="dev", chart="charts/one", commit="c" * 40,
        repository="registry.example/other/one", digest=f"sha256:{'d' * 64}",
    )  # fmt: skip
    (found,) = look_at_images.fn(delivery.change(), {"one": entry})
    assert found.what == f"other/one@sha256:{'d' * 64}"
