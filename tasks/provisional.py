"""Letting mock outputs into the plan of one unit of a checkout, for as long as it is being planned provisionally."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

_ALLOWED = re.compile(r"^([ \t]*)mock_outputs_allowed_terraform_commands\s*=\s*\[[^\]]*\]", re.MULTILINE)
_MERGED = re.compile(r"^[ \t]*mock_outputs_merge_(strategy_)?with_state\s*=.*$\n?", re.MULTILINE)


@contextlib.contextmanager
def mocks_allowed(unit: Path, included: Iterable[Path] = ()) -> Iterator[None]:
    """Allow ``plan`` beside ``validate`` in a unit's ``terragrunt.hcl``, and put the file back afterwards.

    Terragrunt has no switch for it. Outputs that the state has already win over the mocks; a mock fills in what it
    lacks. Units that are planned beside this one may include the same file, so the unit then includes a copy of it,
    for which it must name the file in its own.

    Args:
        unit: The unit's folder in a checkout of the run's own.
        included: Files that the unit includes, which may hold its dependencies.
    """
    file = unit / "terragrunt.hcl"
    before = file.read_bytes()
    text = _allowed(before.decode())
    with contextlib.ExitStack() as stack:
        for shared in included:
            written = shared.read_text(encoding="utf-8")
            named = re.compile(rf'(?<=["/]){re.escape(shared.name)}"')
            if (changed := _allowed(written)) != written and named.search(text):
                copy = shared.with_name(f"{uuid.uuid4().hex}-{shared.name}")
                stack.callback(copy.unlink, missing_ok=True)
                copy.write_text(changed, encoding="utf-8")
                text = named.sub(f'{copy.name}"', text)
        stack.callback(file.write_bytes, before)
        file.write_text(text, encoding="utf-8")
        yield


def _allowed(text: str) -> str:
    return _ALLOWED.sub(
        r'\1mock_outputs_allowed_terraform_commands = ["validate", "plan"]'
        "\n"
        r'\1mock_outputs_merge_strategy_with_state = "shallow"',
        _MERGED.sub("", text),
    )
