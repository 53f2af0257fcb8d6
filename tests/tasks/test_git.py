from __future__ import annotations

import threading
from pathlib import Path

import pytest

from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.record import ReleaseRecord
from tasks.git import changed, fetch, git, head, is_ancestor, resolve, worktree
from tasks.publish import Index, publish
from tasks.records import BRANCH, last_succeeded, write_record


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "work"))
    bare, copy = tmp_path / "remote.git", tmp_path / "copy"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(bare), cwd=tmp_path)
    git("clone", "--quiet", str(bare), str(copy), cwd=tmp_path)
    commit(copy, "a.txt", "one")
    return bare


def commit(copy: Path, name: str, text: str) -> str:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_text(text)
    git("add", "--all", cwd=copy)
    git("commit", "--quiet", "--message", name, cwd=copy)
    git("push", "--quiet", "origin", "HEAD:main", cwd=copy)
    return git("rev-parse", "HEAD", cwd=copy)


def test_a_commit_is_found_by_branch_and_by_short_id(remote: Path) -> None:
    newest = commit(remote.parent / "copy", "b.txt", "two")
    mirror = fetch(f"file://{remote}")
    assert resolve(mirror, "main") == resolve(mirror, newest[:8]) == newest


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=x", "main;id", "", "a..b", "f" * 40])
def test_what_is_no_commit_is_refused(remote: Path, ref: str) -> None:
    with pytest.raises(BadInputError, match="is not in the Git remote"):
        resolve(fetch(f"file://{remote}"), ref)


def test_changed_names_both_places_of_a_moved_file(remote: Path) -> None:
    copy = remote.parent / "copy"
    mirror = fetch(f"file://{remote}")
    before = resolve(mirror, "main")
    (copy / "a.txt").rename(copy / "ü b.txt")
    after = commit(copy, "c/d.txt", "three")
    fetch(f"file://{remote}")
    assert set(changed(mirror, before, after)) == {"a.txt", "ü b.txt", "c/d.txt"}
    assert is_ancestor(mirror, before, after)
    assert not is_ancestor(mirror, after, before)
    assert not is_ancestor(mirror, "0" * 40, after)


def test_the_checkout_of_a_run_that_was_killed_goes_with_the_next_and_one_in_use_stays(remote: Path) -> None:
    mirror = fetch(f"file://{remote}")
    commit = resolve(mirror, "main")
    with worktree(mirror, commit) as living:
        killed = living.with_name("killed-1")
        killed.mkdir()
        (killed / "symphony.tfplan").touch()
        killed.with_suffix(".lock").touch()
        with worktree(mirror, commit):
            assert not killed.exists()
            assert (living / ".git").exists()
        assert [path.name for path in living.parent.iterdir() if path.suffix] == [f"{living.name}.lock"]
    assert list(living.parent.iterdir()) == []


def test_a_worktree_is_gone_after_use(remote: Path) -> None:
    mirror = fetch(f"file://{remote}")
    with worktree(mirror, resolve(mirror, "main")) as tree:
        assert (tree / "a.txt").read_text() == "one"
    assert not tree.exists()


def test_ten_writers_at_once_lose_nothing(remote: Path) -> None:
    mirror = fetch(f"file://{remote}")
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            publish(mirror, "env/dev", lambda index: index.put(f"{number}.txt", str(number)), f"write {number}")
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    names = git("ls-tree", "-r", "--name-only", "env/dev", cwd=remote).split()
    assert sorted(names) == sorted(f"{number}.txt" for number in range(10))
    assert git("rev-list", "--count", "env/dev", cwd=remote) == "10"


def test_a_writer_on_another_machine_is_not_overwritten(remote: Path, tmp_path: Path) -> None:
    mirror = fetch(f"file://{remote}")
    publish(mirror, "env/dev", lambda index: index.put("ours.txt", "1"), "ours")
    tries: list[int] = []

    def edit(index: Index) -> None:
        tries.append(1)
        if len(tries) == 1:
            other = tmp_path / "other"
            git("clone", "--quiet", "--branch", "env/dev", str(remote), str(other), cwd=tmp_path)
            (other / "theirs.txt").write_text("2")
            git("add", "--all", cwd=other)
            git("commit", "--quiet", "--message", "theirs", cwd=other)
            git("push", "--quiet", "origin", "HEAD:env/dev", cwd=other)
        index.put("ours.txt", "3")

    made = publish(mirror, "env/dev", edit, "again")
    assert len(tries) == 2
    assert git("ls-tree", "--name-only", made, cwd=remote).split() == ["ours.txt", "theirs.txt"]


def test_an_edit_that_changes_nothing_makes_no_commit(remote: Path) -> None:
    mirror = fetch(f"file://{remote}")
    first = publish(mirror, "env/dev", lambda index: index.put("x", "1"), "one")
    assert publish(mirror, "env/dev", lambda index: index.put("x", "1"), "two") == first == head(mirror, "env/dev")


def test_folders_are_put_whole_taken_out_whole_and_put_back(remote: Path, tmp_path: Path) -> None:
    mirror = fetch(f"file://{remote}")
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: x")
    (chart / "templates" / "run.sh").write_text("#!/bin/sh")
    (chart / "templates" / "run.sh").chmod(0o755)
    first = publish(mirror, "env/dev", lambda index: index.put_folder("charts/x", chart), "put")
    assert "100755" in git("ls-tree", "-r", first, "charts/x/templates/run.sh", cwd=remote)
    (chart / "Chart.yaml").unlink()
    second = publish(mirror, "env/dev", lambda index: index.put_folder("charts/x", chart), "less")
    assert git("ls-tree", "-r", "--name-only", second, cwd=remote).split() == ["charts/x/templates/run.sh"]
    third = publish(mirror, "env/dev", lambda index: index.copy(first, ["charts/x"]), "back")
    assert git("rev-parse", f"{third}^{{tree}}", cwd=remote) == git("rev-parse", f"{first}^{{tree}}", cwd=remote)


def test_a_refused_push_is_told_and_not_tried_for_ever(remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho the branch is closed >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(SymphonyError, match=r"refuses the push to env/dev.*the branch is closed"):
        publish(fetch(f"file://{remote}"), "env/dev", lambda index: index.put("x", "1"), "one")


def test_a_remote_that_does_not_answer_is_transient(remote: Path) -> None:
    del remote
    with pytest.raises(TransientError):
        fetch("http://127.0.0.1:1/none.git")


def test_only_a_release_that_succeeded_is_a_base(remote: Path) -> None:
    mirror = fetch(f"file://{remote}")
    assert last_succeeded(mirror, "dev") is None
    good = ReleaseRecord(
        environment="dev", commit="a" * 40, state="succeeded", run="r1", started="2026-01-01T00:00:00Z", seconds=1
    )
    bad = good.model_copy(update={"state": "failed", "commit": "b" * 40, "started": "2026-01-02T00:00:00Z"})
    other = good.model_copy(update={"environment": "prod", "started": "2026-01-03T00:00:00Z"})
    for record in (good, bad, other):
        write_record.fn(mirror, record)
    assert last_succeeded(mirror, "dev") == good
    assert len(git("ls-tree", "-r", "--name-only", BRANCH, cwd=remote).split()) == 3
