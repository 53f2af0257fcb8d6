"""Drift on real parts: what hands moved in the account and in the cluster is found, told once, and cleared again."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from deployments.client import Run
from sandbox import manifest
from sandbox.world import World
from tests.authority import Authority
from tests.world import by_hand
from tests.world.operations import SECRET_TAG, Operator, append
from tests.world.rows import rows
from tests.world.seat import until

Found = dict[tuple[str, str], dict[str, Any]]
_EDITED = ("infra/modules/access/main.tf", "charts/hello/values.dev.yaml", "symphony.yaml")
_OTHERS = "    <<: *sandbox\n"
_ADDRESS = "    ingress:\n      address: http://127.0.0.1:8080\n"


class Eye(Operator):
    """Looks at dev for drift."""

    token = f"token-{secrets.token_hex(12)}"
    moved = f"moved-{secrets.token_hex(12)}"
    authority = Authority()

    def look(self) -> Run:
        ended = self.start("drift")
        assert ended.succeeded, ended.message
        return ended

    def page(self) -> str:
        """What a look shows people, without Markdown's escapes."""
        return (self.api.artifact(self.look().id, "drift-dev") or "").replace("\\", "")

    def standing(self) -> Found:
        """What a look finds, by where and what."""
        self.look()
        self.git("fetch", "--quiet", "origin")
        found = json.loads(self.git("show", "origin/symphony/drift:dev.json"))
        return {(one["where"], one["what"]): one for one in found}

    def settle(self, left: Callable[[Found], list[tuple[str, str]]]) -> None:
        """Look until nothing is left."""
        deadline = time.monotonic() + 90
        while wrong := left(self.standing()):
            assert time.monotonic() < deadline, wrong

    def notify(self, *blocks: str) -> None:
        """Have people told by these blocks alone."""
        by_hand.notify(self.api, *blocks)

    def edited(self, copy: Path) -> None:
        """A unit with a secret, an application with a ConfigMap, an authority of certificates, and a reconcile."""
        append(copy / _EDITED[0], SECRET_TAG % self.token)
        append(copy / _EDITED[1], "config: {GREETING: drift}")
        (copy / "try-authority.pem").write_bytes(self.authority.pem)
        more = f"    reconcile: [infrastructure, cluster]\n{_ADDRESS}      authority: try-authority.pem\n"
        text = (copy / _EDITED[2]).read_text().replace(_ADDRESS, more, 1)
        (copy / _EDITED[2]).write_text(text.replace(_OTHERS, f"{_OTHERS}    reconcile: []\n"))

    def asking(self) -> list[Run]:
        """Runs that wait for an answer until they put dev back."""
        asked = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}, "limit": 20}
        found = [Run.model_validate(one) for one in self.api.call("POST", "/flow_runs/filter", asked)]
        return [run for run in found if run.parameters["environment"] == "dev" and run.parameters.get("restore")]

    def approve(self, run: Run) -> None:
        """Approve all that a run asks: a provision asks for each layer of units."""
        while not run.final:
            key = self.question(run)
            self.answer_question(run, approver="Ada", decision="approve")
            run = self.until(run, lambda now, but=key: now.final or self.asks(now, but))  # type: ignore[misc]
        assert run.succeeded, run.message


@pytest.fixture(scope="module")
def connection(world: World) -> Iterator[ApiClient]:
    with manifest.api(world) as api:
        yield api


@pytest.fixture(scope="module")
def eye(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eye]:
    """Dev released at main, and looked at once, so that what other tests left behind is no news."""
    eye = Eye.take(world, tmp_path_factory.mktemp("drift"))
    assert eye.start("provision", commit="main", everything=True).succeeded
    before = eye.git("rev-parse", "origin/main")
    ended = eye.released(eye.push("something to drift", eye.edited))
    assert ended.succeeded, ended.message
    eye.look()
    yield eye
    ended = eye.released(eye.push("as before", lambda _: _restore(eye, before)))
    assert ended.succeeded, ended.message


def _restore(eye: Eye, before: str) -> None:
    eye.git("checkout", before, "--", *_EDITED)
    eye.git("rm", "--quiet", "try-authority.pem")


def test_what_hands_moved_is_found_told_once_and_cleared_when_it_is_back(
    eye: Eye, connection: ApiClient, world: World
) -> None:
    with by_hand.webhook(eye.api, "try-drift") as heard:
        eye.notify("custom-webhook/try-drift")
        try:
            by_hand.auto_sync(connection, on=False)
            by_hand.move_account(world, eye.moved)
            by_hand.move_cluster(connection, eye.authority.give(by_hand.HOST, 2.04))
            # Argo CD sees a change by hand by its watch, some moments later.
            eye.settle(_misses)
            until(
                lambda: {run.name.partition(" ")[0] for run in eye.asking()} == {"provision", "deploy"},
                "both questions",
            )
            page = eye.page()
            assert "**new**" not in page
            assert "it waits for an answer" in page
            assert 'tags.Name: is "mine-now", the commit has "dev-nodes"' in page
            told = until(lambda: [one for one in heard if "try-by-hand" in one], "the message")

            failed = eye.start("deploy", commit="no-such-branch")
            assert failed.state_type == "FAILED"
            said = until(lambda: [one for one in heard if failed.id in one], "the message of the failed run")
            assert "no-such-branch" in said[0]
            assert said[0].startswith(f"Symphony: {failed.name} is Failed\n")

            # Nothing went back by itself: each run has waited for an answer, and has it now.
            assert _misses(eye.standing()) == []
            for run in eye.asking():
                eye.approve(run)
            by_hand.take_away(connection)
            left = [*_stands(eye.standing())]
            assert set(left) <= {("hello", "auto-sync"), ("greet", "pods ")}, left
            by_hand.auto_sync(connection, on=True)
            eye.settle(_stands)
            until(lambda: len([one for one in heard if "try-by-hand" in one]) > len(told), "the news of what is back")
        finally:
            eye.notify()
            by_hand.take_away(connection)
            by_hand.auto_sync(connection, on=True)
    stray = [one for one in heard if "try-by-hand" in one]
    assert [one.splitlines()[0] for one in stray] == ["Symphony: drift found", "Symphony: drift cleared"]
    assert stray[0].splitlines()[1:3] == ["dev: dev: ConfigMap/try-by-hand", "it belongs to no application"]
    assert sum("Deployment/hello" in one and "drift found" in one for one in heard) == 1, "one drift is told once"
    # No secret, neither the commit's nor the one that a hand set, is anywhere but in the state.
    assert [place for place, text in _left(eye) if eye.token in text or eye.moved in text] == []


EXPECTED = {
    ("access", "aws_security_group.nodes"): 'tags.Name: is "mine-now", the commit has "dev-nodes"',
    ("access", "aws_security_group_rule.https_within"): "it is gone",
    ("access", "aws_iam_user.secret"): "tags.token: differs (sensitive value)",
    (
        "registry",
        'aws_ecr_repository.this["dev/greet"]',
    ): 'image_tag_mutability: is "MUTABLE", the commit has "IMMUTABLE"',
    ("registry", 'aws_ecr_lifecycle_policy.this["dev/hello"]'): "it is gone",
    ("hello", "auto-sync"): "it is switched off",
    ("hello", "Deployment/hello"): "it is not as the commit has it",
    ("hello", "Ingress/hello"): "it is not as the commit has it",
    ("hello", "ConfigMap/hello-"): "it is gone",
    ("hello", f"certificate of {by_hand.HOST}"): "ends in 2.0 days",
    ("greet", "Deployment/greet"): "it is not as the commit has it",
    ("greet", "Service/greet"): "it is gone",
    ("greet", "pods "): "it runs sha256:",
    ("dev", "ConfigMap/try-by-hand"): "it belongs to no application",
}


def _misses(found: Found) -> list[tuple[str, str]]:
    """What is expected and was not found, or not told right."""
    return [
        key
        for key, told in EXPECTED.items()
        if not any(told in one["told"] for at, one in found.items() if _is(key, at))
    ]


def _stands(found: Found) -> list[tuple[str, str]]:
    """What of all that still stands."""
    return [key for key in EXPECTED if any(_is(key, at) for at in found)]


def _is(key: tuple[str, str], at: tuple[str, str]) -> bool:
    return key == at or (key[0] == at[0] and key[1].endswith(("-", " ")) and at[1].startswith(key[1]))


def _left(eye: Eye) -> Iterator[tuple[str, str]]:
    """What the runs left in Prefect's database (logs, artifacts, events, runs) and in Git."""
    yield from rows(eye.world)
    eye.git("fetch", "--quiet", "origin")
    for branch in ("symphony/drift", "symphony/records"):
        yield branch, eye.git("log", "--patch", "--text", f"origin/{branch}")
