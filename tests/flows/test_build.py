from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task

from flows import build as module
from symphony.errors import SymphonyError

if TYPE_CHECKING:
    from tests.conftest import Delivery


@pytest.mark.usefixtures("prefect")
def test_a_build_whose_base_image_is_missing_says_so(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def failing(*_: Any) -> str:
        raise SymphonyError("The base image 'python:3' is nowhere.")

    monkeypatch.setattr(module, "content_tag", failing)
    monkeypatch.setattr(module, "source", lambda *_: nullcontext(SimpleNamespace(folder="")))

    @flow
    def building() -> None:
        module.build_images(delivery.change(), ["one", "two"])

    with pytest.raises(SymphonyError, match="The base image 'python:3' is nowhere"):
        building()
