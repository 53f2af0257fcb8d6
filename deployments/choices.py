"""Choices among a deployment's parameters: the run form offers them, and the server refuses all else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Properties = Mapping[str, dict[str, Any]]
"""A deployment's parameters by name, each as JSON schema describes it."""


def offer(properties: Properties, choices: Mapping[str, Sequence[str]]) -> None:
    """Put choices into the schema of parameters that are a text, or a list of texts, or nothing.

    One that may be nothing becomes one that may be left out, which Prefect's server takes for the same: of alternatives
    the form asks which it shall be, and shows the choices only then.

    Args:
        properties: The parameters; those that the choices do not name, and names that they have not, are left alone.
        choices: What there is to choose from, by parameter.
    """
    for name, offered in choices.items():
        schema = properties.get(name, {})
        match [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]:
            case [alternative]:
                del schema["anyOf"]
                schema.pop("default", None)
                schema.update(alternative)
        for part in _parts(schema):
            if part.get("type") == "string":
                part["enum"] = list(offered)


def strangers(properties: Properties, parameters: Mapping[str, object]) -> dict[str, tuple[list[str], list[str]]]:
    """The values that are not among the choices of their parameter, by parameter: the values, and the choices."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name, value in parameters.items():
        choices = next((part["enum"] for part in _parts(properties.get(name, {})) if "enum" in part), None)
        values = value if isinstance(value, list) else [value]
        if choices and (strange := [str(one) for one in values if one is not None and one not in choices]):
            found[name] = (strange, [str(one) for one in choices])
    return found


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema, its alternatives, and the schema of its items."""
    yield schema
    items = schema.get("items")
    for part in (*schema.get("anyOf", ()), *([items] if isinstance(items, dict) else ())):
        yield from _parts(part)
