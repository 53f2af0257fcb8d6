from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

from symphony.change import Change
from symphony.errors import DeployError
from tasks.desired import laid_out, read_desired
from tasks.desired_commit import put_back, write_desired, written_by
from tasks.git import fetch, git, head, remote_head
from tasks.proposal import wait_for_merge

if TYPE_CHECKING:
    from tests.conftest import Delivery

pytestmark = pytest.mark.usefixtures("prefect")
PROPOSAL = "symphony/proposals/dev/run-1"


@pytest.fixture
def change(delivery: Delivery) -> Change:
    """A change on its way to an environment that takes proposals alone; something else is there already."""
    found = delivery.change(run="run-0")
    with laid_out(found, [delivery.image("two", "e")]) as (entries, root):
        write_desired.fn(found, entries, root)
    return proposing(delivery.change())


def proposing(change: Change) -> Change:
    target = change.target.model_copy(update={"proposals": True})
    return replace(change, configuration=change.configuration.model_copy(update={"environments": {"dev": target}}))


def propose(delivery: Delivery, change: Change, letter: str = "a") -> str:
    with laid_out(change, [delivery.image("one", letter)]) as (entries, root):
        return write_desired.fn(change, entries, root)


def wait(change: Change, proposed: str, *names: str, hours: float = 0.01) -> str:
    @flow
    def body() -> Any:
        return wait_for_merge(change, proposed, names or ("one",), hours)

    return str(body())


@pytest.fixture
def person(delivery: Delivery) -> Iterator[Callable[..., None]]:
    """Somebody who works on the remote a moment later."""
    threads: list[threading.Thread] = []

    def later(*commands: tuple[str, ...]) -> None:
        def work() -> None:
            time.sleep(0.7)
            git("fetch", "--quiet", "origin", cwd=delivery.copy)
            for command in commands:
                git(*command, cwd=delivery.copy)

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield later
    for thread in threads:
        thread.join()


def test_a_deploy_is_proposed_and_taken_up_however_it_is_merged(
    delivery: Delivery, change: Change, person: Callable[..., None]
) -> None:
    before = head(change.mirror, "env/dev")
    proposed = propose(delivery, change)
    assert remote_head(change.mirror, "env/dev") == before
    assert remote_head(change.mirror, PROPOSAL) == proposed
    person(
        ("checkout", "--quiet", "--detach", "origin/env/dev"),
        ("merge", "--quiet", "--squash", f"origin/{PROPOSAL}"),
        ("commit", "--quiet", "--message", "squashed"),
        ("commit", "--quiet", "--allow-empty", "--message", "and something else"),
        ("push", "--quiet", "origin", "HEAD:env/dev"),
    )
    merged = wait(change, proposed)
    assert git("log", "-1", "--format=%s", merged, cwd=change.mirror) == "squashed"
    assert remote_head(change.mirror, PROPOSAL) is None
    assert written_by(change) == merged
    assert {name: one.digest[7] for name, one in read_desired(change.mirror, "dev").items()} == {"one": "a", "two": "e"}

    back = put_back.fn(change, merged, ["one"])
    assert remote_head(change.mirror, PROPOSAL) == back
    assert set(read_desired(change.mirror, "dev", back)) == {"two"}


def test_a_merge_commit_is_taken_up_too(delivery: Delivery, change: Change, person: Callable[..., None]) -> None:
    proposed = propose(delivery, change)
    person(
        ("checkout", "--quiet", "--detach", "origin/env/dev"),
        ("merge", "--quiet", "--no-ff", "--message", "merged", f"origin/{PROPOSAL}"),
        ("push", "--quiet", "origin", "HEAD:env/dev"),
    )
    assert git("log", "-1", "--format=%s", wait(change, proposed), cwd=change.mirror) == "merged"


def test_a_proposal_that_is_taken_away_is_a_refusal(
    delivery: Delivery, change: Change, person: Callable[..., None]
) -> None:
    before = head(change.mirror, "env/dev")
    proposed = propose(delivery, change)
    person(("push", "--quiet", "origin", f":{PROPOSAL}"))
    with pytest.raises(DeployError, match=f"{PROPOSAL} was taken away without being merged into env/dev"):
        wait(change, proposed)
    assert remote_head(change.mirror, "env/dev") == before


def test_a_proposal_that_nobody_merges_ends_and_is_taken_away(delivery: Delivery, change: Change) -> None:
    proposed = propose(delivery, change)
    with pytest.raises(DeployError, match=f"Nobody merged {PROPOSAL} into env/dev within 0.0002 hours"):
        wait(change, proposed, hours=0.0002)
    assert remote_head(change.mirror, PROPOSAL) is None


def test_where_nothing_differs_nothing_is_proposed(delivery: Delivery, change: Change) -> None:
    proposed = propose(delivery, change)
    git("fetch", "--quiet", "origin", cwd=delivery.copy)
    git("push", "--quiet", "origin", f"origin/{PROPOSAL}:env/dev", cwd=delivery.copy)
    fetch(f"file://{delivery.remote}")
    again = proposing(replace(change, run="run-2"))
    assert propose(delivery, again) == proposed
    assert wait(again, proposed) == proposed
    assert remote_head(change.mirror, "symphony/proposals/dev/run-2") is None


def test_a_run_started_again_renews_its_proposal(delivery: Delivery, change: Change) -> None:
    propose(delivery, change)
    again = propose(delivery, change, "b")
    assert remote_head(change.mirror, PROPOSAL) == again
