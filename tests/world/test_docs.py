"""Symphony's commands in the documentation's code blocks, run line by line as somebody before the sandbox pastes them.

Not run are blocks with `<!-- only parsed: WHY -->` above them, and what `ELSEWHERE` says; `tests/test_docs.py` parses
these, and the commands within sentences.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deployments.roles import Credentials, Role
from sandbox.world import World
from tests.test_docs import ONLY_PARSED, WRITTEN, blocks, name_of

SECONDS = 60
ELSEWHERE: Mapping[str, str] = {
    "up": "test_lifecycle.py",
    "down": "test_lifecycle.py",
    "worker": "test_launcher.py",
    "release": "test_release.py",
    "deploy": "test_deploy.py",
    "promote": "test_promote.py",
    "trigger promote": "test_promote.py",
    "trigger provision --env dev --param 'restore": "test_drift.py",
    "demo": "`make demo`",
    "rollback": "test_rollback.py",
}
"""Commands that change much or take long, each with what runs the like of it."""
NOTHING_YET = re.compile(r"Nothing has gone live in 'prod' yet|has no run 'release/prod' among its newest")
"""What is told of an environment that nothing was released to, as other tests may not have."""


def lines(page: Path) -> list[str]:
    """Commands to run, without the comments beside them."""
    text = ONLY_PARSED.sub("", page.read_text())
    found = [line.removeprefix("$ ") for block in blocks(text, "console") for line in block.splitlines()]
    own = [line.partition(" #")[0].rstrip() for line in found if line.startswith("symphony ")]
    return [line for line in own if not re.match(rf"symphony ({'|'.join(ELSEWHERE)})\b(?!-)", line)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """A folder beside somebody's repository."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("apps", "charts"):
        shutil.copytree(world.source / name, folder / "shop" / name)
    (folder / "here").mkdir()
    return folder / "here"


@pytest.fixture(scope="module")
def person(world: World) -> Iterator[dict[str, str]]:
    """Their environment, which names no server and has the commit that a job of CI would have."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SYMPHONY_"))}
    plain |= {"SYMPHONY_STATE": str(world.state), "SYMPHONY_CACHE": str(world.cache), "BROWSER": "true"}
    plain |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "GITHUB_SHA": "main"}
    logins = Credentials(world.state / "prefect" / "logins.json")
    logins.give("former-colleague", Role.CI)
    yield plain
    for name in {"github", "ada", "former-colleague"} & logins.logins().keys():
        logins.take(name)


COMMANDS = {line: name_of(page) for page in reversed(WRITTEN) for line in reversed(lines(page))}


@pytest.mark.parametrize(
    "line", [pytest.param(line, id=f"{page}: {line}") for line, page in reversed(COMMANDS.items())]
)
def test_each_command_does_what_it_is_for(line: str, here: Path, person: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", line],
        cwd=here,
        env=person,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0 or NOTHING_YET.search(done.stdout), f"it ended with {done.returncode}: {done.stdout}"
    assert "Traceback" not in done.stdout
