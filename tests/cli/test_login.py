"""``symphony login``: each command changes who is let in, at once."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from cli.login import app
from deployments.roles import Credentials, Role


def test_logins_are_given_listed_and_taken(tmp_path: Path) -> None:
    file = tmp_path / "new" / "logins.json"
    run, where = CliRunner(), ["--file", str(file)]
    given = run.invoke(app, ["give", "github", "--role", "ci", *where])
    name, _, credential = given.stdout.strip().removeprefix("PREFECT_API_AUTH_STRING=").partition(":")
    login = Credentials(file).known(name, credential)
    assert login
    assert login.role is Role.CI
    assert (
        run.invoke(app, ["give", "ada", "--role", "approver"], env={"SYMPHONY_CREDENTIALS": str(file)}).exit_code == 0
    )
    assert run.invoke(app, ["list", *where]).stdout == "ada: approver\ngithub: ci\n"
    assert run.invoke(app, ["take", "github", *where]).stdout == "github is let in no more.\n"
    assert Credentials(file).known(name, credential) is None
    assert run.invoke(app, ["give", "ada", "--role", "king", *where]).exit_code == 2
