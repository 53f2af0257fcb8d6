from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from symphony.change import Change
from symphony.config import load
from tasks.affected import affected_applications, chart_folders
from tasks.git import git

ROOT = Path(__file__).parents[2]


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """A commit that changed nothing since its base."""
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "work"))
    tree = tmp_path / "tree"
    (tree / "charts" / "hello").mkdir(parents=True)
    (tree / "charts" / "service").mkdir()
    chart = "name: hello\ndependencies:\n  - {name: service, version: 1.0.0, repository: 'file://../service'}\n"
    (tree / "charts" / "hello" / "Chart.yaml").write_text(chart)
    (tree / "charts" / "service" / "Chart.yaml").write_text("name: service\n")
    (tree / "symphony.yaml").write_text((ROOT / "symphony.yaml").read_text())
    git("init", "--quiet", cwd=tree)
    git("add", "--all", cwd=tree)
    git("commit", "--quiet", "--message", "base", cwd=tree)
    base = git("rev-parse", "HEAD", cwd=tree)
    return Change(load(tree / "symphony.yaml"), "dev", base, base, tree, tree, "", ())


def test_nothing_changed_affects_nothing(change: Change) -> None:
    assert affected_applications(change) == ()


def test_before_the_first_release_everything_is_affected(change: Change) -> None:
    assert affected_applications(replace(change, base=None, changed=None)) == ("greet", "hello")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("apps/hello/hello.py", ("hello",)),
        ("charts/hello/values.yaml", ("hello",)),
        ("charts/service/templates/x.tpl", ("hello",)),
        ("apps/other/x", ()),
        ("infra/live/dev/network/terragrunt.hcl", ()),
        ("README.md", ()),
    ],
)
def test_source_chart_and_library_chart_affect_an_application(
    change: Change, path: str, expected: tuple[str, ...]
) -> None:
    assert affected_applications(replace(change, changed=(path,))) == expected


def test_its_own_lines_of_the_configuration_affect_it(change: Change) -> None:
    hello = change.configuration.applications["hello"]
    other = hello.model_copy(update={"build_args": {"BASE": "another"}})
    configuration = change.configuration.model_copy(update={"applications": {"hello": other}})
    assert affected_applications(replace(change, configuration=configuration, changed=("symphony.yaml",))) == ("hello",)


def test_a_source_in_another_repository_always_counts(change: Change) -> None:
    hello = change.configuration.applications["hello"].model_copy(update={"git": "https://git.example.com/x.git"})
    configuration = change.configuration.model_copy(update={"applications": {"hello": hello}})
    assert affected_applications(replace(change, configuration=configuration)) == ("hello",)


def test_library_charts_are_followed_and_none_outside_the_checkout(change: Change) -> None:
    assert chart_folders(change.tree, "charts/hello") == ("charts/hello", "charts/service")
    chart = "name: service\ndependencies:\n  - {name: x, repository: 'file://../../../x'}\n  - {name: y, repository: 'file://../hello'}\n"
    (change.tree / "charts" / "service" / "Chart.yaml").write_text(chart)
    assert chart_folders(change.tree, "charts/hello") == ("charts/hello", "charts/service")
