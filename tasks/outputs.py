"""Outputs of applied units, kept on a branch of the Git remote for later flows; sensitive ones are never among them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task

from symphony.change import Change
from symphony.config import Environment
from symphony.errors import BadInputError, SymphonyError
from symphony.outside import read_json
from tasks import aws
from tasks.git import git, head
from tasks.live import Live
from tasks.publish import Index, publish
from tasks.retry import TRANSIENT
from tasks.state_file import StateFile
from tasks.terragrunt import printed_outputs
from tasks.units import Unit

BRANCH = "symphony/outputs"
_REFERENCE = re.compile(r"\{([a-z0-9][\w./-]*)\.([A-Za-z_]\w*)\}")

Outputs = Mapping[str, Mapping[str, Any]]
"""Values by unit and name."""


@task(name="read outputs", task_run_name="read outputs of {unit.path}", **TRANSIENT)
def unit_outputs(live: Live, unit: Unit, target: Environment) -> dict[str, Any]:
    """The outputs of a unit that this run has planned or applied, those marked as sensitive left out.

    The state is read from S3, which takes no start of Terragrunt and tofu; these are asked where it is elsewhere or
    encrypted by tofu.

    Args:
        live: The environment's live folder in the run's checkout.
        unit: The unit.
        target: The environment.

    Raises:
        TransientError: AWS was throttling or out of reach.
        SymphonyError: The state cannot be read.
    """
    state = _state(live.folder / unit.path)
    found = _stored(target, state) if state else None
    if found is None:
        found = printed_outputs(live, unit)
    return {name: output["value"] for name, output in sorted(found.items()) if not output.get("sensitive")}


@task(name="publish outputs", task_run_name="publish outputs of {environment}", **TRANSIENT)
def publish_outputs(mirror: Path, environment: str, fresh: Outputs, gone: Collection[str] = ()) -> None:
    """Put outputs beside those that the branch has already.

    Args:
        mirror: Bare mirror of the remote.
        environment: The environment.
        fresh: Outputs of units that were applied.
        gone: Units that are no more.

    Raises:
        TransientError: The remote could not be reached.
    """

    def edit(index: Index) -> None:
        known = {**known_outputs(mirror, environment), **fresh}
        kept = {unit: dict(values) for unit, values in sorted(known.items()) if unit not in gone}
        index.put(_file(environment), json.dumps(kept, indent=2) + "\n")

    publish(mirror, BRANCH, edit, f"{environment}: outputs of {', '.join(sorted({*fresh, *gone}))}")


def known_outputs(mirror: Path, environment: str) -> dict[str, dict[str, Any]]:
    """Outputs of an environment's units, by unit and name; nothing before the first apply."""
    if head(mirror, BRANCH) is None:
        return {}
    written = git("ls-tree", "--name-only", BRANCH, "--", _file(environment), cwd=mirror)
    if not written:
        return {}
    try:
        found = read_json(git("show", f"{BRANCH}:{_file(environment)}", cwd=mirror))
        return {str(unit): dict(values) for unit, values in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise SymphonyError(
            f"{_file(environment)} on {BRANCH} is not what Symphony writes ({error}); put its last good version back."
        ) from error


def filled(change: Change, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with each ``{unit.output}`` replaced; a text that is nothing else takes on the output's own type.

    Args:
        change: Names the environment, and the mirror that has its outputs.
        values: As symphony.yaml has them.

    Raises:
        BadInputError: An output is not known; the sentence says what to do.
    """
    if not _REFERENCE.search(json.dumps(values)):
        return dict(values)
    known = known_outputs(change.mirror, change.environment)

    def value(unit: str, name: str) -> Any:
        try:
            return known[unit][name]
        except KeyError:
            raise BadInputError(
                f"symphony.yaml takes the output {name!r} of unit {unit!r}, which is not known for "
                f"{change.environment}: it is not applied, has no such output, or it is sensitive. Known of it: "
                f"{', '.join(known.get(unit, ())) or 'nothing'}. Correct the name, or run provision with everything."
            ) from None

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [walk(inner) for inner in node]
        if not isinstance(node, str):
            return node
        if whole := _REFERENCE.fullmatch(node):
            return value(*whole.groups())
        return _REFERENCE.sub(lambda found: str(value(*found.groups())), node)

    return {key: walk(inner) for key, inner in values.items()}


def units_named(values: Mapping[str, Any]) -> set[str]:
    """Units whose outputs values refer to."""
    return {found[1] for found in _REFERENCE.finditer(json.dumps(values))}


def _state(unit: Path) -> StateFile | None:
    """Where tofu keeps the unit's state, as it noted when it was initialised; None where that is not S3."""
    notes = [
        *unit.glob(".terraform/terraform.tfstate"),
        *unit.glob(".terragrunt-cache/**/.terraform/terraform.tfstate"),
    ]
    for note in sorted(notes, key=lambda file: file.stat().st_mtime, reverse=True):
        backend = json.loads(note.read_text(encoding="utf-8")).get("backend") or {}
        if backend.get("type") == "s3":
            return StateFile(bucket=backend["config"]["bucket"], key=backend["config"]["key"])
    return None


def _stored(target: Environment, state: StateFile) -> dict[str, Any] | None:
    """Outputs as the state has them; None where tofu has encrypted it."""
    try:
        content = aws.client(target, "s3").get_object(Bucket=state.bucket, Key=state.key)["Body"].read()
        outputs: dict[str, Any] | None = json.loads(content).get("outputs")
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"reading s3://{state.bucket}/{state.key}") from error
    except ValueError as error:
        raise SymphonyError(f"The state s3://{state.bucket}/{state.key} is no JSON ({error}).") from error
    return outputs


def _file(environment: str) -> str:
    return f"{environment}.json"
