"""Letting mock outputs into the plan of one unit of a checkout, for as long as it is being planned provisionally."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_ALLOWED = re.compile(r"^([ \t]*)mock_outputs_allowed_terraform_commands\s*=\s*\[[^\]]*\]", re.MULTILINE)
_MERGED = re.compile(r"^[ \t]*mock_outputs_merge_(strategy_)?with_state\s*=.*$\n?", re.MULTILINE)


@contextlib.contextmanager
def mocks_allowed(unit: Path) -> Iterator[None]:
    """Allow ``plan`` beside ``validate`` in a unit's ``terragrunt.hcl``, and put the file back afterwards.

    Terragrunt has no switch for it. Outputs that the state has already win over the mocks; a mock fills in what it
    lacks. A unit that has no mocks, or whose dependencies stand in an included file, is left as it is.

    Args:
        unit: The unit's folder in a checkout of the run's own.
    """
    file = unit / "terragrunt.hcl"
    before = file.read_bytes()
    text = _MERGED.sub("", before.decode())
    text = _ALLOWED.sub(
        r'\1mock_outputs_allowed_terraform_commands = ["validate", "plan"]'
        "\n"
        r'\1mock_outputs_merge_strategy_with_state = "shallow"',
        text,
    )
    file.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)
