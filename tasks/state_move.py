"""A moved unit's state, where its key is made of the unit's path: it has to follow, or everything is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task

from symphony.config import Environment
from symphony.errors import SymphonyError
from symphony.models import Fact
from symphony.outside import read_json
from tasks import aws
from tasks.live import Live
from tasks.retry import TRANSIENT
from tasks.state_file import StateFile, held_state, is_missing, state_file
from tasks.unit_removal import UnitRemoval
from tasks.units import Unit


class StateMove(Fact):
    """A unit that is at another place in the tree now, and its state at the old one.

    Attributes:
        old: Path of the unit at the base.
        new: Its path at the commit.
        source: Where its state is.
        target: Where the unit looks for it now.
    """

    old: str
    new: str
    source: StateFile
    target: StateFile

    @property
    def reason(self) -> str:
        """Why the unit is not planned yet, and what to do, as sentences."""
        return (
            f"It moved from {self.old}, and its state is still at {self.source.key}: applied now, all that it made "
            f"would be made a second time. Start provision with move_states, which takes the state along."
        )


def find_moves(
    target: Environment, live: Live, units: Sequence[Unit], gone: UnitRemoval
) -> tuple[UnitRemoval, tuple[StateMove, ...]]:
    """Tell units that moved from those that went, by where their states are.

    Args:
        target: The environment.
        live: Its live folder at the commit.
        units: The commit's units.
        gone: What is not in the tree any more.

    Returns:
        What is really gone, and the moved units whose state has not followed. A unit whose state is that of a unit of
        the commit is neither: nothing of it may be destroyed, and nothing has to follow.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: Terragrunt cannot read a unit, or S3 refused.
    """
    if gone.live is None or not gone.units:
        return gone, ()
    before = {unit.path for unit in gone.before}
    fresh = {unit.path: state_file(live, unit.path) for unit in units if unit.path not in before}
    if not fresh:
        return gone, ()
    waiting: list[StateMove] = []
    followed: set[str] = set()
    for unit in gone.units:
        source = state_file(gone.live, unit.path)
        new = gone.moved.get(unit.path)
        if source in fresh.values() or (new and not _read(target, source).get("resources")):
            followed.add(unit.path)
        elif new and _same(target, source, fresh[new]):
            followed.add(unit.path)
            waiting.append(StateMove(old=unit.path, new=new, source=source, target=fresh[new]))
    left = tuple(unit for unit in gone.units if unit.path not in followed)
    return replace(gone, units=left), tuple(waiting)


@task(name="move state", task_run_name="move state of {move.old} to {move.new}", **TRANSIENT)
def move_state(target: Environment, move: StateMove) -> None:
    """Take a state to the place where the moved unit looks for it; harmless where it has been taken half the way.

    Both places are locked as tofu locks them, so that nobody plans or applies meanwhile. The old object goes only
    when the new one is there; a versioned bucket keeps both.

    Args:
        target: The environment.
        move: What goes where.

    Raises:
        TransientError: Somebody holds one of the two, or S3 was throttling or out of reach.
        SymphonyError: The new place has another state, or S3 refused.
    """
    doing = f"moving the state s3://{move.source.bucket}/{move.source.key}"
    s3 = aws.client(target, "s3")
    try:
        with held_state(target, move.source, doing), held_state(target, move.target, doing):
            if not _same(target, move.source, move.target):
                raise SymphonyError(
                    f"The unit {move.new} has a state of its own by now; nothing was moved. Look again."
                )
            about = s3.head_object(Bucket=move.source.bucket, Key=move.source.key)
            names = {"ServerSideEncryption": "ServerSideEncryption", "SSEKMSKeyId": "SSEKMSKeyId"}
            encryption = {name: about[key] for name, key in names.items() if about.get(key)}
            place = {"Bucket": move.source.bucket, "Key": move.source.key}
            s3.copy_object(Bucket=move.target.bucket, Key=move.target.key, CopySource=place, **encryption)
            s3.delete_object(**place)
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, doing) from error


def _same(target: Environment, source: StateFile, there: StateFile) -> bool:
    """Whether a state with resources is at the old place, and nothing but its own copy at the new one."""
    old, new = _read(target, source), _read(target, there)
    return bool(old.get("resources")) and (not new.get("resources") or new == old)


def _read(target: Environment, state: StateFile) -> dict[str, Any]:
    """A state's content; empty where there is none."""
    try:
        body = aws.client(target, "s3").get_object(Bucket=state.bucket, Key=state.key)["Body"].read()
        return dict(read_json(body))
    except (BotoCoreError, ClientError) as error:
        if is_missing(error):
            return {}
        raise aws.told(error, f"reading s3://{state.bucket}/{state.key}") from error
    except (TypeError, ValueError) as error:
        raise SymphonyError(
            f"The state s3://{state.bucket}/{state.key} is encrypted by tofu or broken ({error}), so it cannot be told "
            f"whether it has to follow a moved unit. Move it by hand, then start the run again."
        ) from error
