"""``prefect.yaml``, typed: the one list of deployments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from symphony.config import Name
from symphony.errors import BadInputError
from symphony.outside import read_yaml

Module = Annotated[str, StringConstraints(pattern=r"^flows\.[a-z_]+\.[a-z_]+$")]
"""A flow by the module that every worker can import, so that nothing has to be pulled."""
KINDS = ("deploy", "check")
"""What an environment's queues are for: what changes something goes before what only looks."""


def queues(environments: Iterable[str]) -> tuple[str, ...]:
    """The queues of some environments, in the order in which their runs are taken; a worker may serve these alone."""
    names = tuple(environments)
    return tuple(f"{kind}-{name}" for kind in KINDS for name in names)


class Entry(BaseModel):
    """A frozen section that refuses what this project does not apply, so that nothing is left out in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkPool(Entry):
    """Where runs wait for a worker."""

    name: Literal["symphony"]
    work_queue_name: str = Field(pattern=rf"^({'|'.join(KINDS)})-")
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Concurrency(Entry):
    """How many runs at once, and what becomes of one more."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


class Schedule(Entry):
    """When runs start by themselves: every so many seconds, or by a cron line in UTC."""

    interval: int | None = Field(default=None, ge=10, description="Seconds from one to the next.")
    cron: str | None = Field(default=None, pattern=r"^\S+( \S+){4}$")
    active: bool = True

    @model_validator(mode="after")
    def _one_of_both(self) -> Schedule:
        if (self.interval is None) == (self.cron is None):
            raise ValueError("a schedule has either an interval or a cron line")
        return self


class Declared(Entry):
    """One deployment, as Prefect's own ``prefect deploy`` reads it.

    Attributes:
        name: The environment; with the flow's name it makes the whole name, such as ``release/dev``.
        concurrency: None where runs need not wait for each other.
        schedules: None where nothing starts by the clock.
    """

    name: Name
    entrypoint: Module
    description: str = Field(min_length=20)
    tags: tuple[str, ...]
    parameters: dict[str, Any]
    work_pool: WorkPool
    enforce_parameter_schema: Literal[True]
    concurrency: Concurrency | None = Field(default=None, validation_alias="concurrency_limit")
    schedules: tuple[Schedule, ...] = ()

    @property
    def flow(self) -> str:
        """Name of the flow, which is its function's."""
        return self.entrypoint.rpartition(".")[2]

    @property
    def full_name(self) -> str:
        """Flow and deployment, as Prefect writes it."""
        return f"{self.flow}/{self.name}"


class Listing(BaseModel):
    """The part of ``prefect.yaml`` that says what is deployed; ``definitions`` holds only what repeats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    prefect_version: str = Field(validation_alias="prefect-version")
    pull: tuple[()] = ()
    definitions: dict[str, Any] = Field(default_factory=dict)
    deployments: tuple[Declared, ...] = Field(min_length=1)


def read(path: Path) -> tuple[Declared, ...]:
    """Read the list.

    Args:
        path: ``prefect.yaml``.

    Returns:
        The deployments, in the order they are written.

    Raises:
        BadInputError: The file is missing, is no YAML, or holds what this project does not apply.
    """
    try:
        data = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}; it lists what to deploy.") from error
    except ValueError as error:
        raise BadInputError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    try:
        declared = Listing.model_validate(data).deployments
    except ValidationError as error:
        mistakes = "\n".join(f"  {_place(data, one['loc'])}: {one['msg']}" for one in error.errors(include_url=False))
        raise BadInputError(f"{path.name} has {error.error_count()} mistakes:\n{mistakes}") from error
    names = [one.full_name for one in declared]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInputError(f"{path.name} declares {', '.join(twice)} more than once; remove what is double.")
    return declared


def _place(data: Any, place: tuple[int | str, ...]) -> str:
    """Where a mistake is, with the deployment's name instead of its number."""
    parts = [str(part) for part in place]
    if len(place) > 1 and place[0] == "deployments" and isinstance(place[1], int):
        entry = data["deployments"][place[1]]
        if isinstance(entry, dict):
            parts[1] = f"{entry.get('entrypoint', '?')} → {entry.get('name', place[1])}"
    return " ".join(parts) or "the file"
