from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from prefect.states import State

from flows import deploy, promote, release, rollback, rollout, stages
from symphony.change import Change
from symphony.errors import SmokeError
from symphony.models import Commit, Image, Probe, Rollout
from symphony.record import ReleaseRecord
from tasks.desired import part, read_desired
from tasks.git import fetch, head
from tasks.pods import Diagnosis
from tasks.records import newest
from tasks.rollout import Outcome, RolloutError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Delivery


@dataclass
class Platform:
    """Flows on a real remote, and a cluster where all comes up but the digests (by first letter) that do not.

    Attributes:
        letters: The image that each application's source would be built to.
        bad: Digests that never come up.
        mute: Digests whose URLs do not answer.
        locked: Applications whose locks were taken.
        on_lock: What others do just before a lock is taken, once.
    """

    delivery: Delivery
    letters: dict[str, str] = field(default_factory=lambda: {"one": "0", "two": "0"})
    bad: str = ""
    mute: str = ""
    locked: list[tuple[str, ...]] = field(default_factory=list)
    on_lock: Callable[[], object] | None = None

    def release(self, environment: str = "dev", **letters: str) -> State[Any]:
        """Push new sources and release them; run again without any, nothing is pushed."""
        for name, letter in letters.items():
            self.delivery.commit(f"apps/{name}/x", letter)
        self.letters |= letters
        state: State[Any] = release.release(environment=environment, return_state=True)  # type: ignore[call-overload]
        return state

    def digests(self, environment: str = "dev") -> dict[str, str]:
        return {name: entry.digest[7] for name, entry in read_desired(self.mirror, environment).items()}

    def tree(self, name: str, environment: str = "dev") -> tuple[str, ...]:
        return part(self.mirror, self.head(environment), name)

    def head(self, environment: str = "dev") -> str:
        return head(self.mirror, f"env/{environment}") or ""

    def records(self, environment: str = "dev") -> list[ReleaseRecord]:
        """Newest first."""
        return list(newest(self.mirror, environment))

    @property
    def mirror(self) -> Path:
        return fetch(f"file://{self.delivery.remote}")

    def build(self, _change: Change, names: Sequence[str]) -> tuple[Image, ...]:
        return tuple(self.delivery.image(name, self.letters[name]) for name in names)

    def wait(self, change: Change, commit: Commit, applications: Sequence[str], gone: Sequence[str] = ()) -> Outcome:
        del gone
        entries = read_desired(change.mirror, change.environment, commit)
        failed = [name for name in applications if entries[name].digest[7] in self.bad]
        outcome = Outcome(
            tuple(Rollout(application=name, revision=commit) for name in applications if name not in failed),
            tuple(Diagnosis(application=name, reason="it crashes", faults=()) for name in failed),
        )
        if failed:
            raise RolloutError(outcome)
        return outcome

    def smoke(self, _change: Change, images: Sequence[Image]) -> tuple[Probe, ...]:
        if any(image.digest[7] in self.mute for image in images):
            raise SmokeError("A URL did not answer.")
        return tuple(Probe(application=image.application, url="u", status=200, milliseconds=1) for image in images)

    @contextlib.contextmanager
    def lock(self, _environment: str, applications: Collection[str]) -> Iterator[None]:
        others, self.on_lock = self.on_lock, None
        if others:
            others()
        self.locked.append(tuple(applications))
        yield


@pytest.fixture
def platform(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, prefect: None, tools: None) -> Platform:
    del prefect, tools
    made = Platform(delivery)
    monkeypatch.setenv("SYMPHONY_CONFIG", str(delivery.copy / "symphony.yaml"))
    monkeypatch.setattr(release, "provision_change", lambda *_, **__: ())
    monkeypatch.setattr(release, "build_images", made.build)
    monkeypatch.setattr(rollout, "wait_until_live", made.wait)
    monkeypatch.setattr(rollout, "refresh_applications", lambda *_, **__: None)
    for module in (deploy, rollout):
        monkeypatch.setattr(module, "reach_argocd", lambda _: None)
    monkeypatch.setattr(rollout, "smoke_applications", made.smoke)
    for module in (promote, release):
        monkeypatch.setattr(module, "show_removed", lambda *_: [])
    for module in (deploy, release, rollback, rollout, stages):
        monkeypatch.setattr(module, "locked", made.lock)
    return made
