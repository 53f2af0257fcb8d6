from __future__ import annotations

import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError
from symphony.models import Image
from tasks.desired import (
    desired,
    image_by_digest,
    laid_out,
    live_images,
    parse,
    read_desired,
    removed_applications,
    superseding,
    text,
    unpack,
)
from tasks.desired_commit import before_commit, put_back, write_desired, written_by
from tasks.git import git, head
from tasks.standing import standing

if TYPE_CHECKING:
    from tests.conftest import Delivery


def write(change: Change, *images: Image, removed: tuple[str, ...] = ()) -> str:
    with laid_out(change, images) as (entries, root):
        return write_desired.fn(change, entries, root, removed)


def digests(change: Change) -> dict[str, str]:
    return {name: entry.digest[7] for name, entry in read_desired(change.mirror, "dev").items()}


def test_an_application_is_written_as_argo_cd_and_the_chart_read_it(delivery: Delivery) -> None:
    change = delivery.change()
    commit = write(change, delivery.image("one", "a"))
    files = git("ls-tree", "-r", "--name-only", commit, cwd=change.mirror).splitlines()
    assert files == [
        "applications/one.yaml",
        "charts/one/Chart.yaml",
        "charts/one/templates/map.yaml",
        "charts/one/values.dev.yaml",
    ]
    entry = read_desired(change.mirror, "dev")["one"]
    assert entry == desired(change, delivery.image("one", "a"))
    assert entry.values == ("values.dev.yaml",)


def test_one_commit_moves_all_and_its_trailers_tell_which_run_and_images(delivery: Delivery) -> None:
    change = delivery.change()
    commit = write(change, delivery.image("one", "a"), delivery.image("two", "b"))
    assert git("rev-list", "--count", commit, cwd=change.mirror) == "1"
    message = git("log", "-1", "--format=%B", commit, cwd=change.mirror)
    assert message.startswith(f"dev: one, two at {change.commit[:12]}\n")
    trailers = git("log", "-1", "--format=%(trailers:only)", commit, cwd=change.mirror).splitlines()
    assert "Symphony-Run: run-1" in trailers
    assert f"Symphony-Commit: {change.commit}" in trailers
    assert f"Symphony-Image: registry.example/dev/two@sha256:{'b' * 64}" in trailers


def test_nothing_is_committed_where_nothing_differs(delivery: Delivery) -> None:
    change = delivery.change()
    first = write(change, delivery.image("one", "a"))
    assert write(change, delivery.image("one", "a")) == first


def test_ten_at_once_lose_nothing(delivery: Delivery) -> None:
    change = delivery.change()
    threads = [
        threading.Thread(target=write, args=(delivery.change(run=f"run-{n}"), delivery.image(name, str(n))))
        for n, name in enumerate(["one", "two"] * 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    branch = head(delivery.change().mirror, "env/dev")
    assert branch is not None
    assert git("rev-list", "--count", branch, cwd=change.mirror) == "10"
    assert git("ls-remote", str(delivery.remote), "env/dev", cwd=change.mirror).startswith(branch)


def test_undo_puts_the_whole_tree_back_and_leaves_what_others_wrote_since(delivery: Delivery) -> None:
    change = delivery.change()
    write(change, delivery.image("one", "a"), delivery.image("two", "b"))
    delivery.commit("charts/one/templates/map.yaml", "broken: true\n")
    bad = delivery.change(run="run-2")
    written = write(bad, delivery.image("one", "c"))
    write(delivery.change(run="run-3"), delivery.image("two", "d"))
    assert written_by(bad) == written
    before = before_commit(bad, written, ["one"])["one"]
    assert before is not None
    assert before.digest[7] == "a"

    undone = put_back.fn(bad, written, ["one"])

    assert digests(bad) == {"one": "a", "two": "d"}
    assert "broken" not in git("show", f"{undone}:charts/one/templates/map.yaml", cwd=bad.mirror)
    first = git("rev-list", "--max-parents=0", undone, cwd=bad.mirror)
    for path in ("charts/one", "applications/one.yaml"):
        ids = {git("rev-parse", f"{at}:{path}", cwd=bad.mirror) for at in (first, undone)}
        assert len(ids) == 1, path


def test_undo_twice_is_undo_once(delivery: Delivery) -> None:
    write(delivery.change(), delivery.image("one", "a"))
    bad = delivery.change(run="run-2")
    written = write(bad, delivery.image("one", "c"))
    once = put_back.fn(bad, written, ["one"])
    assert written_by(bad) == written
    assert put_back.fn(bad, written, ["one"]) == once


def test_undo_leaves_an_application_that_was_moved_again(delivery: Delivery) -> None:
    write(delivery.change(), delivery.image("one", "a"))
    bad = delivery.change(run="run-2")
    written = write(bad, delivery.image("one", "c"))
    write(delivery.change(run="run-3"), delivery.image("one", "d"))
    put_back.fn(bad, written, ["one"])
    assert digests(bad) == {"one": "d"}


def test_undo_of_the_first_deploy_takes_the_application_out(delivery: Delivery) -> None:
    change = delivery.change()
    write(change, delivery.image("two", "b"))
    bad = delivery.change(run="run-2")
    written = write(bad, delivery.image("one", "c"))
    assert before_commit(bad, written, ["one"]) == {"one": None}
    put_back.fn(bad, written, ["one"])
    assert digests(bad) == {"two": "b"}
    assert "charts/one" not in git("ls-tree", "-r", "--name-only", "refs/heads/env/dev", cwd=bad.mirror)


def test_what_a_run_did_not_write_is_not_its_own(delivery: Delivery) -> None:
    assert written_by(delivery.change()) is None
    write(delivery.change(), delivery.image("one", "a"))
    again = delivery.change(run="run-2")
    write(again, delivery.image("one", "a"))
    assert written_by(again) is None


def test_a_removed_application_goes_with_its_chart(delivery: Delivery) -> None:
    change = delivery.change()
    write(change, delivery.image("one", "a"), delivery.image("two", "b"))
    configuration = (delivery.copy / "symphony.yaml").read_text()
    delivery.commit("symphony.yaml", "\n".join(one for one in configuration.splitlines() if "apps/two" not in one))
    change = delivery.change()
    assert removed_applications(change) == ("two",)
    commit = write(change, removed=("two",))
    assert digests(change) == {"one": "a"}
    assert "two" not in git("ls-tree", "-r", "--name-only", commit, cwd=change.mirror)


def test_a_newer_commit_supersedes_and_an_older_one_does_not(delivery: Delivery) -> None:
    older = delivery.change()
    delivery.commit("x", "x")
    newer = delivery.change()
    write(newer, delivery.image("one", "a"))
    assert superseding(older, dict.fromkeys(["one", "two"], older.commit)) == {"one": newer.commit}
    assert superseding(newer, {"one": newer.commit}) == {}
    write(older, delivery.image("one", "b"))
    assert superseding(newer, {"one": newer.commit}) == {}


def test_a_revision_carries_an_application_until_somebody_moves_it(delivery: Delivery) -> None:
    change = delivery.change()
    first = write(change, delivery.image("one", "a"))
    ours = write(change, delivery.image("one", "b"))
    other = write(change, delivery.image("two", "c"))
    moved = write(change, delivery.image("one", "d"))
    assert [standing(change, one, ours, "one") for one in (first, ours, other, moved, "f" * 40)] == [
        "other",
        "carries",
        "carries",
        "overtaken",
        "other",
    ]


def test_a_revision_that_somebody_else_pushed_is_fetched(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    here = delivery.change()
    ours = write(here, delivery.image("one", "a"))
    monkeypatch.setenv("SYMPHONY_WORK", str(delivery.remote.parent / "elsewhere"))
    theirs = write(delivery.change(run="run-2"), delivery.image("two", "b"))
    monkeypatch.setenv("SYMPHONY_WORK", str(delivery.remote.parent / "work"))
    assert standing(here, theirs, ours, "one") == "carries"


def test_an_image_is_named_by_its_digest_or_by_what_is_live(delivery: Delivery) -> None:
    change = delivery.change()
    image = image_by_digest(change, "one", "sha256:" + "e" * 64)
    assert image.reference == f"registry.example/dev/one@sha256:{'e' * 64}"
    write(change, delivery.image("two", "b"))
    assert [one.digest[7] for one in live_images(change)] == ["b"]
    with pytest.raises(BadInputError, match=r"'three' is not in symphony\.yaml; there are: one, two"):
        image_by_digest(change, "three", "sha256:" + "e" * 64)
    with pytest.raises(BadInputError, match="one is not deployed to dev; there is: two"):
        live_images(change, ["one"])


@pytest.mark.parametrize("broken", ["", "application: one", "- a", "a: [", "image: {}"])
def test_a_file_that_somebody_else_wrote_is_told(broken: str) -> None:
    with pytest.raises(SymphonyError, match="not what Symphony writes"):
        parse(broken)


@pytest.mark.parametrize("filters", [True, False], ids=["with filters", "before Python 3.11.4"])
def test_a_chart_is_laid_out_and_none_with_a_link_out_of_it(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, filters: bool
) -> None:
    if not filters:
        monkeypatch.delattr("tarfile.data_filter")
    change = delivery.change()
    entry = desired(change, delivery.image("one", "a"))
    tree = tmp_path / "tree"
    tree.mkdir()
    unpack(change.mirror, write(change, delivery.image("one", "a")), [entry], tree)
    assert (tree / "charts/one/templates/map.yaml").is_file()
    (tree / "charts/one/link").symlink_to("/etc")
    git("init", "--quiet", cwd=tree)
    git("add", "--all", cwd=tree)
    git("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "--message=link", cwd=tree)
    with pytest.raises((SymphonyError, tarfile.FilterError), match="link"):
        unpack(tree, "HEAD", [entry], tmp_path)


def test_a_commit_of_digits_alone_stays_text(delivery: Delivery) -> None:
    entry = desired(delivery.change(), delivery.image("one", "1")).model_copy(update={"commit": "1" * 40})
    assert parse(text(entry)) == entry
