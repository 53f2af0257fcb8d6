"""Signatures at cosign's edge: a program that notes its arguments and says what it is told to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.models import Image
from symphony.supply_chain import SupplyChain
from tasks import admission, signature
from tasks.oci_registry import Referrer
from tasks.sbom import SPDX
from tasks.signature import BUNDLE, sign, signature_problem

if TYPE_CHECKING:
    from tests.conftest import Delivery

KEYS = {"key": "env://PRIVATE", "public_key": "env://PUBLIC"}
SBOM = f"sha256:{'5' * 64}"


@dataclass
class Desk:
    """An image, what is attached to what, and a cosign that says something."""

    change: Change
    image: Image
    attached: dict[str, list[Referrer]]
    calls: Path
    say: Callable[..., None]

    def attach(self, kind: str, to: str, digest: str = SBOM) -> None:
        self.attached.setdefault(to, []).append(Referrer(digest=digest, artifact_type=kind))

    def asking(self, **asked: Any) -> Change:
        """The change, where its environment asks for this."""
        target = self.change.target.model_copy(update={"supply_chain": SupplyChain.model_validate(asked)})
        environments = self.change.configuration.environments | {"dev": target}
        return replace(
            self.change, configuration=self.change.configuration.model_copy(update={"environments": environments})
        )

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def desk(delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    attached: dict[str, list[Referrer]] = {}

    def referrers(_: str, digest: str, kind: str = "") -> tuple[Referrer, ...]:
        return tuple(one for one in attached.get(digest, []) if not kind or one.artifact_type == kind)

    @contextlib.contextmanager
    def registry(_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(referrers=referrers)

    @contextlib.contextmanager
    def login(_: object) -> Iterator[dict[str, str]]:
        yield {}

    for module in (signature, admission):
        monkeypatch.setattr(module, "oci_registry", registry)
    monkeypatch.setattr(signature, "login_environment", login)
    calls, program = tmp_path / "calls", tmp_path / "bin" / "cosign"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def say(text: str = "", code: int = 0) -> None:
        program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\necho "{text}" >&2\nexit {code}\n')
        program.chmod(0o755)

    say()
    return Desk(delivery.change(), delivery.image("one", "a"), attached, calls, say)


def test_an_image_is_signed_by_digest_and_without_a_public_log(desk: Desk) -> None:
    sign.fn(desk.asking(signature=KEYS), desk.image)
    (call,) = desk.called
    assert call.startswith("sign --key env://PRIVATE --use-signing-config=false --tlog-upload=false ")
    assert call.endswith(desk.image.reference)


def test_an_image_that_the_key_has_signed_is_not_signed_again(desk: Desk) -> None:
    desk.attach(BUNDLE, desk.image.digest)
    sign.fn(desk.asking(signature=KEYS), desk.image)
    assert [call.split()[0] for call in desk.called] == ["verify"]


def test_a_keyless_signature_is_checked_by_its_identity_and_in_the_log(desk: Desk) -> None:
    desk.attach(BUNDLE, desk.image.digest)
    keyless = {"identity": "ci@example.com", "issuer": "https://oidc.example"}
    assert not signature_problem(desk.asking(signature=keyless), desk.image)
    (call,) = desk.called
    assert "--certificate-identity ci@example.com --certificate-oidc-issuer https://oidc.example" in call
    assert "tlog" not in call


def test_no_signature_is_told_without_asking_cosign(desk: Desk) -> None:
    assert signature_problem(desk.asking(signature=KEYS), desk.image) == "no signature"
    assert desk.called == []


def test_a_signature_that_does_not_hold_is_told_with_cosigns_words(desk: Desk) -> None:
    desk.attach(BUNDLE, desk.image.digest)
    desk.say("Error: failed to verify signature", 1)
    problem = signature_problem(desk.asking(signature=KEYS), desk.image)
    assert problem == "no signature that env://PUBLIC verifies (Error: failed to verify signature)"


@pytest.mark.parametrize("said", ["dial tcp: connection refused", "unexpected status code 503"])
def test_a_registry_out_of_reach_is_no_bad_signature(desk: Desk, said: str) -> None:
    desk.attach(BUNDLE, desk.image.digest)
    desk.say(said, 1)
    with pytest.raises(TransientError, match="cosign cannot check"):
        signature_problem(desk.asking(signature=KEYS), desk.image)


def test_a_key_that_cannot_be_read_is_no_bad_signature(desk: Desk) -> None:
    desk.attach(BUNDLE, desk.image.digest)
    desk.say("Error: the key env://PUBLIC: the variable PUBLIC is not set", 1)
    with pytest.raises(BadInputError, match="cannot be checked with env://PUBLIC"):
        signature_problem(desk.asking(signature=KEYS), desk.image)


def test_a_key_that_does_not_open_is_told(desk: Desk) -> None:
    desk.say("Error: decrypt: wrong password", 1)
    with pytest.raises(SymphonyError, match=r"cosign cannot sign one, .*: Error: decrypt: wrong password"):
        sign.fn(desk.asking(signature=KEYS), desk.image)


def refusal(desk: Desk, **asked: Any) -> str:
    with pytest.raises(admission.RefusedImageError) as caught:
        admission.check_origin.fn(desk.asking(**asked), desk.image)
    return str(caught.value)


def test_all_that_is_missing_is_told_at_once_with_what_to_do(desk: Desk) -> None:
    told = refusal(desk, sbom="required", signature=KEYS)
    assert f"The image of one, {desk.image.reference}, is not let into dev: it has no SBOM and no signature." in told
    assert "build/dev" in told


def test_an_sbom_counts_only_signed_where_signatures_are_required(desk: Desk) -> None:
    desk.attach(BUNDLE, desk.image.digest)
    desk.attach(SPDX, desk.image.digest)
    assert "an SBOM with no signature" in refusal(desk, sbom="required", signature=KEYS)
    admission.check_origin.fn(desk.asking(sbom="required", signature=KEYS | {"required": False}), desk.image)
    desk.attach(BUNDLE, SBOM)
    admission.check_origin.fn(desk.asking(sbom="required", signature=KEYS), desk.image)


def test_an_sbom_signed_beside_a_foreign_one_counts(desk: Desk) -> None:
    desk.attach(SPDX, desk.image.digest, f"sha256:{'6' * 64}")
    desk.attach(SPDX, desk.image.digest)
    for digest in (desk.image.digest, SBOM):
        desk.attach(BUNDLE, digest)
    admission.check_origin.fn(desk.asking(sbom="required", signature=KEYS), desk.image)
