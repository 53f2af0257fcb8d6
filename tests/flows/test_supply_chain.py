from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.exceptions import TerminationSignal

from flows import supply_chain as module
from flows.supply_chain import admit, attached
from symphony.change import Change
from symphony.ending import under_way
from symphony.errors import BadInputError, DeployError, SymphonyError
from symphony.models import Image
from symphony.supply_chain import SupplyChain
from tasks.admission import RefusedImageError

if TYPE_CHECKING:
    from tests.conftest import Delivery

KEYS = {"key": "awskms:///alias/release"}
SBOM = f"sha256:{'5' * 64}"


@dataclass
class Workshop:
    """Tasks that note what they are asked for, and fail where they are told to."""

    done: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    tagged: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def task(self, name: str, error: type[SymphonyError] = SymphonyError) -> Any:
        @task
        def noted(change: Change, image: Image, digest: str = "") -> str:
            del change
            assert self.gate.wait(30)
            what = f"{name} {image.application}{' SBOM' if digest == SBOM else ''}"
            if what in self.failing:
                raise error(f"{what} fails")
            self.done.append(what)
            return SBOM

        return noted

    def tagging(self) -> Any:
        @task
        def tag(change: Change, image: Image) -> None:
            del change
            self.tagged.append(image.application)
            if "tag" in self.failing:
                raise SymphonyError("tag fails")

        return tag


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    shop = Workshop()
    shop.gate.set()
    monkeypatch.setattr(module, "sign", shop.task("sign"))
    monkeypatch.setattr(module, "attach_sbom", shop.task("list"))
    monkeypatch.setattr(module, "tag_commit", shop.tagging())
    monkeypatch.setattr(module, "check_origin", shop.task("origin", RefusedImageError))
    monkeypatch.setattr(module, "check_findings", shop.task("findings", RefusedImageError))
    return shop


def asking(change: Change, **asked: Any) -> Change:
    target = change.target.model_copy(update={"supply_chain": SupplyChain.model_validate(asked)})
    environments = change.configuration.environments | {"dev": target}
    return replace(change, configuration=change.configuration.model_copy(update={"environments": environments}))


def run(body: Callable[[], None]) -> None:
    @flow
    def whole() -> None:
        body()

    whole()


pytestmark = pytest.mark.usefixtures("prefect")


def test_what_is_required_is_there_before_the_deploy(delivery: Delivery, shop: Workshop) -> None:
    change, images = asking(delivery.change(), sbom="required", signature=KEYS), [delivery.image("one", "a")]

    def body() -> None:
        with attached(change, images):
            assert sorted(shop.done) == ["list one", "sign one", "sign one SBOM"]

    run(body)


def test_what_is_not_required_is_made_beside_the_deploy(delivery: Delivery, shop: Workshop) -> None:
    change = asking(delivery.change(), sbom="attached", signature=KEYS | {"required": False})
    shop.gate.clear()

    def body() -> None:
        with attached(change, [delivery.image("one", "a")]):
            assert shop.done == []
            shop.gate.set()

    run(body)
    assert sorted(shop.done) == ["list one", "sign one", "sign one SBOM"]


def test_what_fails_beside_the_deploy_fails_nothing(delivery: Delivery, shop: Workshop) -> None:
    change = asking(delivery.change(), sbom="attached", signature=KEYS | {"required": False})
    shop.failing |= {"list one", "tag"}

    def body() -> None:
        with attached(change, [delivery.image("one", "a"), delivery.image("two", "b")]):
            pass

    run(body)
    assert sorted(shop.done) == ["list two", "sign one", "sign two", "sign two SBOM"]
    assert sorted(shop.tagged) == ["one", "two"]


def test_what_fails_beside_the_deploy_is_not_told_in_its_place(delivery: Delivery, shop: Workshop) -> None:
    change = asking(delivery.change(), sbom="attached", signature=KEYS | {"required": False})
    shop.failing.add("list one")

    def body() -> None:
        with pytest.raises(DeployError, match="unwell"), attached(change, [delivery.image("one", "a")]):
            raise DeployError("one is unwell")

    run(body)


def test_a_run_that_is_cancelled_waits_for_nothing_that_is_made_beside_it(
    delivery: Delivery, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    @task
    def endless(change: Change, image: Image) -> None:
        del change, image
        with under_way(ended.set):
            begun.set()
            assert ended.wait(30)

    monkeypatch.setattr(module, "attach_sbom", endless)
    change = asking(delivery.change(), sbom="attached")

    def cancelled() -> None:
        assert begun.wait(30)
        raise TerminationSignal(signal.SIGTERM)

    def body() -> None:
        with pytest.raises(TerminationSignal), attached(change, [delivery.image("one", "a")]):
            cancelled()

    run(body)
    assert ended.is_set()
    assert shop.tagged == ["one"]


def test_what_is_required_and_cannot_be_made_stops_the_deploy(delivery: Delivery, shop: Workshop) -> None:
    change = asking(delivery.change(), sbom="required")
    shop.failing.add("list one")

    def body() -> None:
        with pytest.raises(SymphonyError, match="list one fails"), attached(change, [delivery.image("one", "a")]):
            pytest.fail("deployed all the same")

    run(body)


def test_every_image_that_is_not_let_in_is_told(delivery: Delivery, shop: Workshop) -> None:
    change = asking(delivery.change(), sbom="required", scan={"refuse": "high"})
    shop.failing |= {"origin one", "findings two"}

    def body() -> None:
        with pytest.raises(BadInputError, match=r"origin one fails\nfindings two fails"):
            admit(change, [delivery.image("one", "a"), delivery.image("two", "b")])

    run(body)
    assert sorted(shop.done) == ["findings one", "origin two"]


def test_nothing_is_checked_where_nothing_is_required(delivery: Delivery, shop: Workshop) -> None:
    change = asking(delivery.change(), sbom="attached", signature=KEYS | {"required": False})
    run(lambda: admit(change, [delivery.image("one", "a")]))
    assert shop.done == []
