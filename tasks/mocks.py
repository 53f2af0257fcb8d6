"""The rule that keeps mocked outputs out of what is applied, checked on the files that an environment's units read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect import task

from symphony.errors import BadInputError
from tasks import hcl
from tasks.live import Live
from tasks.retry import ONCE
from tasks.units import CONFIGURATIONS, Unit

_ALLOWED = "mock_outputs_allowed_terraform_commands"
_HARMLESS = {"mock_outputs_merge_strategy_with_state": "no_merge", "mock_outputs_merge_with_state": False}
"""What switches merging on, and the one value with which it does not."""
_NAMED = 10


@task(name="check mocks", task_run_name="check mocks of {live.environment}", **ONCE)
def refuse_mocks(live: Live, units: Iterable[Unit]) -> None:
    """Refuse an environment in which mocked outputs could reach a plan that is applied.

    Terragrunt takes an absent or empty list of allowed commands as all commands, a mock that is allowed in `plan`
    stands in for an output that an applied dependency lacks, and a merge strategy mixes mocks into real outputs. So
    each ``dependency`` block may allow ``["validate"]`` alone, in the files that units include or read too.

    Args:
        live: The environment's live folder.
        units: Its units.

    Raises:
        BadInputError: A block breaks the rule; the sentence names each with its file, dependency and what is wrong.
    """
    units = tuple(units)
    names = {f"{live.prefix}/{unit.path}/{name}" for unit in units for name in CONFIGURATIONS}
    names |= {name for unit in units for name in unit.reading if name.endswith((".hcl", ".hcl.json"))}
    wrong = [found for name in sorted(names) for found in broken_rules(live.tree, name)]
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise BadInputError(
            f"Mocked outputs could reach an apply: {'; '.join(wrong[:_NAMED])}{more}. Nothing was planned; write "
            f'`{_ALLOWED} = ["validate"]` into each of these blocks, and no merge strategy.'
        )


def broken_rules(tree: Path, name: str) -> Iterator[str]:
    """What a file's ``dependency`` blocks do that lets mocks leak, one phrase each.

    Args:
        tree: The checkout's root.
        name: The file, relative to it; one that is not there breaks nothing.
    """
    for dependency, block in _dependencies(tree / name):
        allowed = block.get(_ALLOWED)
        if _ALLOWED in block and allowed:
            if allowed != ["validate"]:
                yield f"{name}, dependency {dependency!r}: {_ALLOWED} is {_shown(allowed)}, not `validate` alone"
        elif _ALLOWED in block or "mock_outputs" in block:
            what = "empty" if _ALLOWED in block else "absent"
            yield f"{name}, dependency {dependency!r}: {_ALLOWED} is {what}, which means every command"
        for key, harmless in _HARMLESS.items():
            if key in block and block[key] != harmless:
                yield f"{name}, dependency {dependency!r}: {key} mixes mocks into real outputs"


def _dependencies(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if file.name.endswith(".json"):
        yield from _dependencies_of_json(file)
        return
    for label, body in hcl.blocks(hcl.read(file), "dependency"):
        yield label, {key: _value(written) for key, written in hcl.attributes(body).items()}


def _dependencies_of_json(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """HCL's JSON form: an object by label, or a list of such objects."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["dependency"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for named in found if isinstance(found, list) else [found]:
        for label, block in named.items():
            for one in block if isinstance(block, list) else [block]:
                yield label, one


def _value(written: str) -> Any:
    """A literal's value, or the expression as it is written where it is no literal."""
    try:
        # HCL's lists may end with a comma, JSON's may not.
        return json.loads("".join(written.split()).replace(",]", "]"))
    except ValueError:
        return written


def _shown(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
