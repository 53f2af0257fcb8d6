"""The documentation, held to the code: commands parse, links lead somewhere, examples load, the reference is fresh."""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from cli.main import app
from docs import reference
from symphony.config import Configuration

HERE = Path(__file__).parents[1]
PAGES = [HERE / "README.md", *sorted((HERE / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ONLY_PARSED = re.compile(r"^<!-- only parsed: [^\n]+ -->\n```console\n.*?^```$", re.MULTILINE | re.DOTALL)
"""A block whose commands need what the sandbox has not; `tests/world/test_docs.py` runs those of all others."""
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ASSIGNMENT = re.compile(r"^[A-Z_]+=")
# A whole file with nothing of its own, that an example which shows a part of one is laid over.
BASE: dict[str, Any] = {
    "version": 1,
    "project": "shop",
    "git": {"remote": "https://git.example.com/shop.git"},
    "applications": {"hello": {"source": "apps/hello", "chart": "charts/hello", "repository": "{environment}/hello"}},
    "environments": {
        name: {
            "kind": "aws",
            "aws": {"account": "111122223333", "region": "eu-central-1"},
            "kubernetes": {"context": name, "namespace": "shop"},
            "argocd": {"url": "https://argocd.example.com"},
        }
        for name in ("dev", "staging", "prod")
    },
}


def name_of(page: Path) -> str:
    return str(page.relative_to(HERE))


def blocks(text: str, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(text) if language in languages]


def in_blocks(text: str) -> list[list[str]]:
    """Command lines of the code blocks, split as a shell does, without their comments and variables."""
    lines = [line for block in blocks(text, "console", "bash", "sh") for line in block.splitlines()]
    commands = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.startswith("$ ")]
    return [line[next((i for i, word in enumerate(line) if not ASSIGNMENT.match(word)), 0) :] for line in commands]


def in_prose(text: str) -> list[list[str]]:
    """Commands within sentences: `[…]` is what may be left out, `…` what may be repeated."""
    found = re.findall(r"`((?:[A-Z_]+=\S+ )?symphony [^`]+)`", FENCE.sub("", text))
    lines = [re.sub(r"[\[\]…]", "", one).split() for one in found]
    return [[word for word in line if not ASSIGNMENT.match(word)] for line in lines]


def parse(words: list[str], *, whole: bool) -> None:
    """Have the real command line read the words, and run nothing; a part of one may lack arguments."""
    name, *rest = words
    command: Any = typer.main.get_command(app)
    above = None
    while hasattr(command, "commands"):
        here = typer.Context(command, info_name=name, parent=above)
        while rest and rest[0].startswith("-"):
            # Looked up and not read: help ends the process, and completion would be installed.
            flags = {flag for one in command.get_params(here) for flag in one.opts}
            assert rest[0] in flags, f"no such option: {rest[0]}"
            rest = rest[1:]
        if not rest:
            return
        name, command, rest = command.resolve_command(here, rest)
        above = here
    try:
        command.make_context(name, rest, parent=above)
    except Exception as error:
        if whole or type(error).__name__ != "MissingParameter":
            raise


COMMANDS = [
    pytest.param(line, where, id=f"{name_of(page)}: {' '.join(line)}")
    for page in WRITTEN
    for where, lines in (("block", in_blocks(page.read_text())), ("prose", in_prose(page.read_text())))
    for line in lines
    if Path(line[0]).name == "symphony"
]


@pytest.mark.parametrize(("line", "where"), COMMANDS)
def test_each_command_and_its_options_exist(
    line: list[str], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    parse(line, whole=where == "block")


@pytest.mark.parametrize(
    "line",
    [
        "symphony conduct",
        "symphony --loudly",
        "symphony release --loudly",
        "symphony login give github --role pilot",
        "symphony login sing",
        "symphony trigger release",
        "symphony history --limit many",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|valid|missing|not one of"):
        parse(line.split(), whole=True)


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_each_target_of_make_and_each_module_that_is_run_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (HERE / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    named = [line[1] for line in in_blocks(text) if line[0] == "make"]
    assert {*named, *re.findall(r"`make ([a-z-]+)`", text)} <= targets
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_each_block_of_commands_that_is_not_run_says_why(page: Path) -> None:
    text = page.read_text()
    assert text.count("only parsed:") == len(ONLY_PARSED.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_relative_link_and_picture_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        path, _, _ = link.partition("#")
        if path and ":" not in path:
            assert (page.parent / path).exists(), link


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_each_file_of_the_repository_that_a_page_names_is_there(page: Path) -> None:
    roots = "apps|benchmarks|charts|cli|deployments|docs|flows|infra|sandbox|symphony|tasks|tests"
    for path in re.findall(rf"`((?:{roots})/[\w./-]+)`", FENCE.sub("", page.read_text())):
        # Folders of an environment that is taken as an example, and branches of the remote.
        if not path.startswith(("infra/live/prod/", "symphony/")):
            assert (HERE / path).exists(), path


def test_each_test_that_the_threat_model_names_is_there_and_each_threat_names_one() -> None:
    text = (HERE / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (HERE / file).read_text(), f"{file}::{name}"
    rows = [line for line in text.split("\n| threat |", 1)[1].splitlines()[2:] if line.startswith("|")]
    assert [row for row in rows if "`tests/" not in row.split("|")[3]] == []


EXAMPLES = [
    pytest.param(block, id=f"{name_of(page)}: {' '.join(block.split())[:60]}")
    for page in WRITTEN
    for block in blocks(page.read_text(), "yaml")
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_each_example_of_symphony_yaml_loads(block: str) -> None:
    example = YAML(typ="safe", pure=True).load(block)
    Configuration.model_validate(example if "version" in example else laid_over(BASE, example))


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = laid_over(made[key], value) if both else value
    return made


def test_the_reference_is_what_the_code_says() -> None:
    kept = {page.name: page.read_text() for page in reference.FOLDER.glob("*.md")}
    assert kept == reference.pages(), "`make reference` writes it anew"


def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    assert len(pages) > len(WRITTEN)
    for page, text in pages.items():
        loaded = re.findall(r"<(?:script|img|link rel=\"stylesheet\")[^>]*(?:src|href)=\"(https?:[^\"]*)", text)
        assert not loaded, page
    assert not [*tmp_path.rglob("*.py")]
