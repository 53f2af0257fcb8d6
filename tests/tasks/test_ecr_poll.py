from __future__ import annotations

import pytest

from symphony.errors import TransientError
from tasks.ecr_poll import poll
from tests.tasks.paging_ecr import PagingEcr


@pytest.fixture
def ecr() -> PagingEcr:
    return PagingEcr()


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def test_a_thousand_tags_come_page_by_page(ecr: PagingEcr) -> None:
    for number in range(1050):
        ecr.push("dev/one", digest(number), f"1.0.{number}", f"build-{number}", at=number)
    found = poll(ecr.client(), {"dev/one": frozenset()})["dev/one"]
    assert not isinstance(found, str)
    assert {tag for image in found for tag in image.tags} >= {"1.0.0", "1.0.1049", "build-700"}
    assert len(found) == 1050
    assert len(ecr.asked) == 11


def test_images_without_a_tag_are_not_asked_for(ecr: PagingEcr) -> None:
    ecr.push("dev/one", digest(1))
    ecr.push("dev/one", digest(2), "1.0.0")
    found = poll(ecr.client(), {"dev/one": frozenset()})["dev/one"]
    assert [image.digest for image in found if not isinstance(image, str)] == [digest(2)]
    assert ecr.asked[0]["filter"] == {"tagStatus": "TAGGED"}


def test_of_a_moving_tag_nothing_else_is_read(ecr: PagingEcr) -> None:
    for number in range(300):
        ecr.push("dev/one", digest(number), f"1.0.{number}")
    ecr.push("dev/one", digest(300), "latest", "stable")
    found = poll(ecr.client(), {"dev/one": frozenset({"latest", "gone"})})["dev/one"]
    assert [image.digest for image in found if not isinstance(image, str)] == [digest(300)]
    assert len(ecr.asked) == 2


def test_a_repository_that_is_missing_keeps_no_other_from_being_read(ecr: PagingEcr) -> None:
    ecr.push("dev/one", digest(1), "1.0.0")
    ecr.push("dev/three", digest(1), "1.0.0")
    ecr.failures["dev/three"] = [(400, "AccessDeniedException")]
    found = poll(ecr.client(), dict.fromkeys(["dev/one", "dev/two", "dev/three"], frozenset()))
    assert len(found["dev/one"]) == 1
    assert found["dev/two"] == "the ECR repository dev/two does not exist"
    assert "AccessDenied" in str(found["dev/three"])


def test_throttling_fails_the_look_so_that_it_is_tried_again(ecr: PagingEcr) -> None:
    ecr.push("dev/one", digest(1), "1.0.0")
    ecr.failures["dev/one"] = [(400, "ThrottlingException")] * 20
    with pytest.raises(TransientError, match="a look at dev/one"):
        poll(ecr.client(), {"dev/one": frozenset()})
