"""The pages of docs/reference/, made from the code by `make reference`; a test says when they are stale."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from cli.main import COMMANDS, app
from deployments.apply import flow_of
from deployments.listing import Declared, Schedule, read
from symphony.config import Configuration

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
_CONFIGURATION = (
    "A key that is not here is refused. `symphony.schema.json` has the pattern of each text as well: editors check the "
    "file by it. `<name>` stands for a name that you choose: small letters, digits and `-`."
)
_FLOWS = (
    "Each has a deployment an environment, called `<flow>/<environment>`, such as `release/dev`. Its form in Prefect's "
    "UI has these parameters, as have `symphony trigger FLOW --env ENVIRONMENT --param NAME=VALUE` and Prefect's API."
)
_MADE = "<!-- Made from the code by `make reference`; what is changed here by hand is lost. -->"
_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_TYPES: Mapping[Any, str] = {str: "text", int: "whole number", float: "number", Path: "path"}

Schema = Mapping[str, Any]


def pages() -> dict[str, str]:
    """Text of each page, by the name of its file."""
    return {"configuration.md": configuration(), "flows.md": flows(), "commands.md": commands()}


def configuration() -> str:
    """Every key of ``symphony.yaml``, section by section, from the models that read it."""
    whole = Configuration.model_json_schema()
    lines = [_MADE, "# symphony.yaml", _CONFIGURATION]
    places: list[tuple[str, Schema]] = [("", whole)]
    while places:
        place, section = places.pop()
        said = _prose(str(section.get("description", "")))
        lines += [f"## `{place}`" if place else "## The whole file", said]
        rows, deeper = [], []
        for key, described in section["properties"].items():
            below, model = _below(f"{place}.{key}".lstrip("."), described, whole["$defs"])
            kind = _kind(described)
            kind = f"[{kind.replace('anything', 'section')}](#{_anchor(below)})" if model else kind
            if model:
                deeper.append((below, model))
            text = str(described.get("description") or (model or {}).get("description", ""))
            rows.append((f"`{key}`", kind, _default(key, described, section), _prose(text)))
        lines.append(_table(("key", "type", "default", "what"), rows))
        places += reversed(deeper)
    return _page(lines)


def flows() -> str:
    """Every flow with its parameters and its deployments, from the functions and ``prefect.yaml``."""
    listed: dict[str, list[Declared]] = {}
    for one in read(ROOT / "prefect.yaml"):
        listed.setdefault(one.flow, []).append(one)
    lines = [_MADE, "# Flows", _FLOWS]
    for name, declared in listed.items():
        flow: Any = flow_of(declared[0])
        schema = flow.parameters
        rows = [
            (
                f"`{key}`",
                _kind(described),
                _default(key, described, {"required": schema.required}),
                _prose(str(described.get("description", ""))),
            )
            for key, described in schema.properties.items()
        ]
        lines += [f"## {name}", _prose(declared[0].description), _table(("parameter", "type", "default", "what"), rows)]
        lines.append("\n".join(f"- {line}" for line in _deployed(declared)))
    return _page(lines)


def commands() -> str:
    """Every command with its arguments and options, from what reads the command line."""
    group: Any = typer.main.get_command(app)
    lines = [_MADE, "# Commands", _prose(str(group.epilog))]
    for entry in COMMANDS:
        _, command, _ = group.resolve_command(typer.Context(group), [entry.name])
        lines += _command(f"symphony {entry.name}", command)
        for name, below in getattr(command, "commands", {}).items():
            lines += _command(f"symphony {entry.name} {name}", below)
    return _page(lines)


def _command(words: str, command: Any) -> Iterator[str]:
    shown = [one for one in command.params if not one.hidden]
    positional = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option"]
    usage = [words, *(_positional(one) for one in positional)]
    yield f"## {words}"
    yield f"`{' '.join([*usage, *(['[OPTIONS]'] if options else [])])}`"
    yield "\n\n".join(_prose(part) for part in inspect.cleandoc(command.help or "").split("\n\n"))
    rows = [
        (
            ", ".join(f"`{name}`" for name in _names(one)),
            "" if getattr(one, "is_flag", False) else _annotated(one.type_descriptor.annotation),
            "**required**" if one.required else _value(one.default),
            _prose(one.help or ""),
        )
        for one in [*positional, *options]
    ]
    if rows:
        yield _table(("argument or option", "type", "default", "what"), rows)


def _names(parameter: Any) -> Sequence[str]:
    if parameter.param_type_name == "argument":
        return [str(parameter.name).upper()]
    return [*parameter.opts, *parameter.secondary_opts]


def _positional(parameter: Any) -> str:
    name = str(parameter.name).upper()
    name += "…" if parameter.nargs == -1 else ""
    return name if parameter.required else f"[{name}]"


def _annotated(annotation: Any) -> str:
    """What a command line takes, for people."""
    if get_origin(annotation) is list:
        return _annotated(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{one.value}`" for one in annotation)
    return _TYPES.get(annotation, "")


def _deployed(declared: Iterable[Declared]) -> Iterator[str]:
    """Where a flow is deployed, and what holds there; alike for all environments but for schedules."""
    several = [*declared]
    first = several[0]
    kind = first.work_pool.work_queue_name.partition("-")[0]
    yield f"deployed for {', '.join(one.name for one in several)}, in the queue `{kind}-<environment>`"
    if limit := first.concurrency:
        waits = "others wait" if limit.collision_strategy == "ENQUEUE" else "another is cancelled"
        yield f"{limit.limit} at a time, {waits}"
    for when in dict.fromkeys(_when(schedule) for one in several for schedule in one.schedules):
        where = [one.name for one in several if any(_when(schedule) == when for schedule in one.schedules)]
        yield f"{when}: {', '.join(where)}"


def _when(schedule: Schedule) -> str:
    clock = f"by the clock `{schedule.cron}` (UTC)" if schedule.cron else f"every {schedule.interval} seconds"
    return clock if schedule.active else f"{clock}, where it is switched on"


def _below(place: str, described: Schema, models: Mapping[str, Schema]) -> tuple[str, Schema | None]:
    """Where the section is that a key leads to, and its model; none for a plain value."""
    for one in [described, *described.get("anyOf", ())]:
        if reference := one.get("$ref"):
            model = models[reference.rpartition("/")[2]]
            return place, model if "properties" in model else None
        for inner in (one.get("items"), one.get("additionalProperties"), *one.get("patternProperties", {}).values()):
            model = models[inner["$ref"].rpartition("/")[2]] if isinstance(inner, dict) and "$ref" in inner else {}
            if "properties" in model:
                mark = "[]" if one.get("type") == "array" else ".<name>"
                return f"{place}{mark}", model
    return place, None


def _kind(described: Schema) -> str:
    """A type of JSON Schema for people."""
    if several := described.get("anyOf"):
        if described.get("default", several) is None:
            several = [one for one in several if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(_kind(one) for one in several))
    if "const" in described or "enum" in described:
        return " or ".join(f"`{one}`" for one in described.get("enum", [described.get("const")]))
    kind = described.get("type")
    if kind == "array":
        return f"list of {_kind(described['items'])}"
    if kind == "object":
        inner = [described.get("additionalProperties"), *described.get("patternProperties", {}).values()]
        return f"{next((_kind(one) for one in inner if isinstance(one, dict) and one), 'anything')} by name"
    bounds = [f"{sign} {described[name]:g}" for name, sign in _BOUNDS.items() if name in described]
    what = "day" if described.get("format") == "date" else _KINDS.get(str(kind), "anything")
    return html.escape(", ".join([what, *bounds]))


def _default(key: str, described: Schema, section: Schema) -> str:
    if key in section.get("required", ()):
        return "**required**"
    return _value(described.get("default"))


def _value(default: Any) -> str:
    """A default; what is empty, off, or a section's own defaults is left out."""
    if not default or callable(default) or isinstance(default, Mapping):
        return ""
    return f"`{str(default).lower() if default is True else default}`"


def _anchor(place: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\s-]", "", place).strip().lower()


def _prose(text: str) -> str:
    """A docstring's part or a description as a line of Markdown."""
    parts = " ".join(text.replace("``", "`").split()).split("`")
    return "`".join(part if place % 2 else html.escape(part, quote=False) for place, part in enumerate(parts))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in line)}|" for line in lines)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
