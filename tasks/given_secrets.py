"""Secrets that a unit is given: what fails before there is a plan, whose marks would tell them, may name one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from symphony.errors import ToolError
from symphony.outside import read_json
from tasks.hcl import attributes, blocks, read
from tasks.live import Live
from tasks.plan import hidden_texts


def given_secrets(live: Live, unit: str) -> frozenset[str]:
    """Values of the variables that a unit's module declares as sensitive.

    A provider names a value that it finds invalid, and OpenTofu masks nothing in what a provider says.

    Args:
        live: The environment's live folder.
        unit: The unit's path; Terragrunt has fetched its module.

    Returns:
        Their texts, from its inputs, the environment and the module's defaults; those of the inputs are left out where
        Terragrunt cannot tell them any more.
    """
    defaults = dict(_sensitive(live, unit))
    if not defaults:
        return frozenset()
    values: list[Any] = [*defaults.values(), *(os.environ.get(f"TF_VAR_{name}") for name in defaults)]
    # What Terragrunt cannot read, it did not hand to tofu either.
    with contextlib.suppress(ToolError, ValueError, TypeError, KeyError):
        rendered = live.terragrunt("render", "--format=json", unit=unit, limit=60).stdout
        given = dict(read_json(rendered)["inputs"])
        values += [given.get(name) for name in defaults]
    return hidden_texts(values)


def _sensitive(live: Live, unit: str) -> Iterator[tuple[str, Any]]:
    """Names of the variables, each with its default where that is plain."""
    folder = live.folder / unit
    places = [f"{place}*{suffix}" for place in ("", ".terragrunt-cache/**/") for suffix in (".tf", ".tofu")]
    for file in (file for place in places for file in folder.glob(place)):
        for name, body in blocks(read(file), "variable"):
            written = attributes(body)
            if written.get("sensitive") == "true":
                default = None
                with contextlib.suppress(ValueError):
                    default = json.loads(written["default"]) if "default" in written else None
                yield name, default
