"""SBOMs at syft's edge: a program that says something and fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from symphony.errors import SymphonyError, TransientError
from tasks import sbom
from tasks.sbom import attach_sbom

if TYPE_CHECKING:
    from tests.conftest import Delivery


@contextlib.contextmanager
def registry(_: object) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(referrers=lambda *_: (), attach=None)


@pytest.mark.parametrize(
    ("said", "kind"),
    [("dial tcp 127.0.0.1:5010: connect: connection refused", TransientError), ("no such image", SymphonyError)],
)
def test_what_syft_says_is_told_and_tried_again_where_it_can_pass(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[SymphonyError]
) -> None:
    (tmp_path / "syft").write_text(f"#!/bin/sh\ncase \"$*\" in *quiet*) ;; *) echo '{said}' >&2 ;; esac\nexit 1\n")
    (tmp_path / "syft").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sbom, "oci_registry", registry)
    monkeypatch.setattr(sbom, "login_environment", lambda _: contextlib.nullcontext({}))
    with pytest.raises(SymphonyError, match=said) as told:
        attach_sbom.fn(delivery.change(), delivery.image("one", "a"))
    assert type(told.value) is kind
