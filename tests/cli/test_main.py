from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from symphony.errors import BadInputError, SymphonyError

ROOT = Path(__file__).parents[2]


def symphony(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'prefect', 'boto3', 'sandbox', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(entry.name in done.stdout for entry in main.COMMANDS)
    assert done.stdout.rstrip().endswith("[]")


def test_an_unknown_command_is_refused_with_a_suggestion() -> None:
    done = symphony("toolchian")
    assert done.returncode == 2
    assert "Did you mean 'toolchain'" in done.stderr


def test_the_usage_names_arguments_in_capitals() -> None:
    said = " ".join(symphony("trigger", "--help").stdout.split())
    assert "Usage: symphony trigger [OPTIONS] FLOW" in said


def test_a_group_shows_its_own_commands() -> None:
    done = symphony("toolchain", "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("build", "export", "import"))


@pytest.mark.parametrize(("error", "code"), [(SymphonyError, 1), (BadInputError, 2)])
def test_a_failure_is_one_sentence_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[SymphonyError], code: int
) -> None:
    def fail(_: object) -> None:
        raise error("The disk is full; make room.")

    monkeypatch.setattr(main, "_load", fail)
    monkeypatch.setattr("sys.argv", ["symphony", "toolchain"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "symphony: The disk is full; make room.\n"


def test_debug_shows_the_traceback() -> None:
    done = symphony("--debug", "toolchain", "import", "/nowhere/none.tar.gz")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "BadInputError" in done.stderr


def test_a_wrong_archive_ends_with_code_2(tmp_path: Path) -> None:
    done = symphony("toolchain", "import", str(tmp_path / "none.tar.gz"))
    assert done.returncode == 2
    assert done.stderr.startswith("symphony: The archive ")
    assert "Traceback" not in done.stderr


def completed(*words: str) -> list[str]:
    """What a shell is offered after these words."""
    code = "from cli.main import main; main()"
    environment = {
        **os.environ,
        "_SYMPHONY_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["symphony", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["roll"], {"rollback"}),
        (["release", "--det"], {"--detach"}),
        (["release", "--env", "s"], {"staging"}),
        (["promote", "gre"], {"greet"}),
    ],
)
def test_a_shell_completes_commands_options_environments_and_applications(words: list[str], offered: set[str]) -> None:
    assert set(completed(*words)) == offered


def test_a_first_file_is_written_once(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x")
    done = symphony("init", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "to check: environments: nothing tells which there are" in done.stdout
    assert symphony("init", "--print", str(tmp_path)).stdout == (tmp_path / "symphony.yaml").read_text()
    again = symphony("init", str(tmp_path))
    assert again.returncode == 2
    assert "is there already" in again.stderr
