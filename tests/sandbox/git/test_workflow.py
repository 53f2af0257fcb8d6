from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sandbox.git import workflow
from sandbox.git.settings import GitSettings
from symphony import tool

WORKFLOW = """
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: |
          echo "$GITHUB_REPOSITORY $GITHUB_SHA $GITHUB_REF $GITHUB_RUN_ID $GITHUB_RUN_ATTEMPT $GITHUB_JOB" >"$PROOF"
          echo "$AUTH $URL $(cat file)" >>"$PROOF"
          echo "The summary" >>"$GITHUB_STEP_SUMMARY"
          exit "$(cat file)"
        env:
          AUTH: ${{ secrets.PREFECT_API_AUTH_STRING }}
          URL: ${{ vars.PREFECT_API_URL }}
"""


@pytest.fixture
def place(tmp_path: Path, tools: None) -> GitSettings:
    del tools
    root = tmp_path / "git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(root / "platform.git"), cwd=tmp_path)
    git("clone", "--quiet", str(root / "platform.git"), "copy", cwd=tmp_path)
    (tmp_path / "copy" / workflow.FOLDER).mkdir(parents=True)
    (tmp_path / "copy" / workflow.FOLDER / workflow.RELEASE).write_text(WORKFLOW)
    return GitSettings(
        "127.0.0.1", 0, str(root), "u", "p", "http://prefect", "ci:secret", "dev", str(tmp_path / "state")
    )


def git(*arguments: str, cwd: Path) -> str:
    identity = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "t"}
    identity |= {"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "t@t"}
    return tool.run(["git", *arguments], cwd=cwd, env=identity).stdout.strip()


def commit(tmp_path: Path, file: str) -> str:
    copy = tmp_path / "copy"
    (copy / "file").write_text(file)
    git("add", "--all", cwd=copy)
    git("commit", "--quiet", "--message", file, cwd=copy)
    git("push", "--quiet", "origin", "HEAD:main", cwd=copy)
    return git("rev-parse", "HEAD", cwd=copy)


def test_the_workflow_of_the_pushed_commit_runs_with_secrets_and_leaves_its_log_alone(
    place: GitSettings, tmp_path: Path
) -> None:
    first, later = commit(tmp_path, "0"), commit(tmp_path, "3")
    proof = tmp_path / "proof"
    event = dataclasses.replace(workflow.pushed(first, "main"), env={"PROOF": str(proof)})
    assert workflow.run(place, event) == 0
    name, secrets = proof.read_text().splitlines()
    assert name == f"{workflow.REPOSITORY} {first} refs/heads/main {event.run} 1 one"
    assert secrets == "ci:secret http://prefect/api 0"
    log = workflow.log_of(place, event).read_text()
    assert "The summary" in log
    assert "ci:secret" not in log
    assert workflow.run(place, workflow.pushed(later, "main")) != 0
    assert sorted(path.name for path in Path(place.root).iterdir()) == ["platform.git"]
