"""What people and machines outside write stays text: in artifacts, in commits, and in the arguments of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from symphony.errors import BadInputError, SymphonyError
from symphony.markdown import Link, cell, linked
from symphony.models import Desired
from symphony.record import Hold
from tasks import artifacts
from tasks.desired import parse
from tasks.desired_commit import bring_trees, written_by
from tasks.git import git, resolve
from tasks.holds import place_holds

if TYPE_CHECKING:
    from tests.conftest import Delivery

IMAGE = "![](https://evil.example/seen)"
MARKUP = ("<img src=x onerror=alert(1)>", IMAGE, "[Approve](https://evil.example)", "`a`", "**b**", "a | b", "# c")


@pytest.mark.parametrize("text", MARKUP)
def test_a_cell_shows_markup_as_text(text: str) -> None:
    shown = str(cell(text))
    assert not any(sign in shown.replace(f"\\{sign}", "") for sign in "<[`*|")
    assert not shown.startswith("#")
    assert linked(shown) == (text, "")


@given(st.text())
def test_what_a_cell_shows_reads_as_it_was_written(text: str) -> None:
    assert linked(cell(text)) == (text, "")


@given(st.text(min_size=1), st.text())
def test_only_a_link_leads_somewhere_and_only_by_http(text: str, path: str) -> None:
    assert linked(cell(Link(text, f"javascript:{path}"))) == (text, "")
    shown, url = linked(cell(Link(text, "https://argocd.example.com/x)y")))
    assert (shown, url) == (text, "https://argocd.example.com/x%29y")


def test_every_table_goes_through_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[dict[str, Any]] = []
    monkeypatch.setattr(artifacts, "in_run", lambda: True)
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda **given: left.append(given))
    artifacts.table("key", IMAGE, [{"answer": IMAGE, "URL": Link("here", "http://a.example/"), "number": 3}])
    assert left[0]["table"] == [{"answer": cell(IMAGE), "URL": "[here](http://a.example/)", "number": 3}]
    assert IMAGE not in left[0]["description"]


def test_who_approves_and_why_cannot_pass_for_another_runs_trailer(delivery: Delivery) -> None:
    change = delivery.change(run="run-1")
    written = bring_trees.fn(change, (), change.commit, "promote", ("one",), approver="Eve\nSymphony-Run: run-2")
    assert written_by(change) == written
    assert written_by(delivery.change(run="run-2")) is None


def test_who_holds_stays_in_one_line(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    hold = Hold(environment="dev", application="one", who="Eve\nSymphony-By: Ada", why="", since="2026-01-01T00:00:00")
    place_holds.fn(mirror, "dev", [hold])
    told = git("log", "-1", "--format=%(trailers:key=Symphony-By,valueonly)", "symphony/holds", cwd=mirror)
    assert told.strip() == "Eve Symphony-By: Ada"


@pytest.mark.parametrize(
    "ref", ["--output=/tmp/x", "-x", "main\n--all", "a b", "$(id)", "main;id", "^main", "@{-1}", ""]
)
def test_a_ref_that_is_none_never_reaches_git(delivery: Delivery, ref: str) -> None:
    with pytest.raises(BadInputError, match="is not in the Git remote"):
        resolve(delivery.change().mirror, ref)


FINE = {
    "application": "one",
    "environment": "dev",
    "chart": "charts/one",
    "commit": "a" * 40,
    "repository": "registry.example:5000/dev/one",
    "digest": "sha256:" + "d" * 64,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("application", "--post-renderer=/bin/sh"),
        ("application", "../one"),
        ("chart", "--post-renderer=/bin/sh"),
        ("chart", "../../etc"),
        ("chart", "charts/one\nHEAD:secret"),
        ("values", ("--set=x=y",)),
        ("values", ("/etc/passwd",)),
        ("repository", "registry.example/dev/one:latest --privileged"),
        ("digest", "latest"),
        ("commit", "main"),
    ],
)
def test_the_desired_state_names_nothing_that_a_tool_takes_otherwise(key: str, value: object) -> None:
    assert Desired.model_validate(FINE)
    with pytest.raises(ValidationError):
        Desired.model_validate({**FINE, key: value})


def test_a_desired_state_that_somebody_wrote_options_into_is_told() -> None:
    lines = [f"{key}: {value!r}" for key, value in FINE.items() if key not in {"repository", "digest", "chart"}]
    image = f"image: {{repository: {FINE['repository']}, digest: {FINE['digest']!r}}}"
    assert parse("\n".join([*lines, image, "chart: charts/one"]))
    with pytest.raises(SymphonyError, match="not what Symphony writes"):
        parse("\n".join([*lines, image, "chart: --post-renderer=/bin/sh"]))
