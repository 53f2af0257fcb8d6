"""Plans that wait for approval: encrypted in the bucket of the environment's state, until they are applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task

from symphony.change import Change
from symphony.errors import SymphonyError
from symphony.models import Commit, Fact, UnitPlan, UnitResult
from tasks import aws
from tasks.live import Live
from tasks.retry import TRANSIENT
from tasks.terragrunt import plan_files, restore, shown_plan
from tasks.units import Unit

PREFIX = "symphony-plans"
"""What the keys of all that Symphony keeps of plans begin with."""
DAYS = 40
"""What is older belongs to a run that can no longer be resumed: it waits a month at most."""


class SavedPlan(Fact):
    """A saved plan as S3 keeps it, beside the plan file itself.

    Attributes:
        commit: Commit that was planned.
        plan: What it changes.
        file: SHA-256 of the plan file.
        shown: SHA-256 of its JSON, which the policy is asked about again before it is applied.
        masks: Texts in it that no log may show.
    """

    commit: Commit
    plan: UnitPlan
    file: str
    shown: str
    masks: tuple[str, ...] = ()


class Progress(Fact):
    """What a run had done before it was suspended, since it starts from its top when it is resumed.

    Attributes:
        commit: What it brought to the environment.
        results: What became of units.
        done: Whether these are all units, and only a later stage is left.
    """

    commit: Commit
    results: tuple[UnitResult, ...] = ()
    done: bool = False


@dataclass(frozen=True)
class Shelf:
    """Where one run keeps its plans.

    Attributes:
        change: The run's commit, environment and id.
        bucket: Bucket of the environment's state.
    """

    change: Change
    bucket: str

    @property
    def place(self) -> str:
        """Prefix of the run's objects."""
        return f"{PREFIX}/{self.change.environment}/{self.change.run}/"

    @property
    def s3(self) -> Any:
        """The environment's S3."""
        return aws.client(self.change.target, "s3")

    def put(self, name: str, content: bytes) -> None:
        """Keep an object, encrypted."""
        self.s3.put_object(Bucket=self.bucket, Key=self.place + name, Body=content, ServerSideEncryption="AES256")

    def get(self, name: str) -> bytes:
        """An object's content."""
        content: bytes = self.s3.get_object(Bucket=self.bucket, Key=self.place + name)["Body"].read()
        return content

    def names(self) -> set[str]:
        """Names of the run's objects."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.place)
        return {one["Key"].removeprefix(self.place) for page in pages for one in page.get("Contents", ())}

    def sweep(self) -> None:
        """Remove what nobody will come for, of any run of the environment."""
        self.remove(f"{PREFIX}/{self.change.environment}/", datetime.now(UTC) - timedelta(days=DAYS))

    def remove(self, prefix: str, before: datetime | None = None) -> None:
        """Remove what is below a prefix (and older than a moment) with all its versions: a plan holds secrets."""
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if before is None or one["LastModified"] < before:
                    self.s3.delete_object(Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"])


@task(name="save plans", task_run_name="save plans of {shelf.change.environment}", **TRANSIENT)
def save_plans(
    shelf: Shelf, live: Live, units: Iterable[Unit], plans: Mapping[str, UnitPlan], before: Iterable[UnitResult]
) -> dict[str, str]:
    """Keep plans that wait for approval, and what the run has done so far; sweep away what nobody will come for.

    Args:
        shelf: Where.
        live: The live folder with the saved plans.
        units: The units.
        plans: Each unit's plan.
        before: Results of the layers before.

    Returns:
        SHA-256 of each unit's plan file.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    files: dict[str, str] = {}
    try:
        for unit in units:
            saved, masks = plan_files(live, unit)
            content, shown = saved.read_bytes(), shown_plan(live, unit).read_bytes()
            files[unit.path] = hashlib.sha256(content).hexdigest()
            kept = SavedPlan(
                commit=shelf.change.commit,
                plan=plans[unit.path],
                file=files[unit.path],
                shown=hashlib.sha256(shown).hexdigest(),
                masks=tuple(json.loads(masks.read_text(encoding="utf-8"))),
            )
            shelf.put(f"{unit.path}/{kept.plan.hash}.tfplan", content)
            shelf.put(f"{unit.path}/{kept.plan.hash}.json", shown)
            shelf.put(f"{unit.path}/plan.json", kept.model_dump_json().encode())
        progress = Progress(commit=shelf.change.commit, results=tuple(before))
        shelf.put("progress.json", progress.model_dump_json().encode())
        shelf.sweep()
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"keeping the plans in s3://{shelf.bucket}/{shelf.place}") from error
    return files


@task(name="fetch plans", task_run_name="fetch plans of {shelf.change.environment}", **TRANSIENT)
def fetch_plans(shelf: Shelf, live: Live, units: Iterable[Unit]) -> dict[str, SavedPlan]:
    """Put the run's own saved plans back into its checkout; those of another commit are left where they are.

    Args:
        shelf: Where they are.
        live: The live folder.
        units: Units that are about to be planned.

    Returns:
        What was put back, by unit.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused, or a file is not the one that was saved.
    """
    found: dict[str, SavedPlan] = {}
    try:
        names = shelf.names()
        for unit in units:
            if f"{unit.path}/plan.json" not in names:
                continue
            saved = SavedPlan.model_validate_json(shelf.get(f"{unit.path}/plan.json"))
            if saved.commit != shelf.change.commit:
                continue
            content = shelf.get(f"{unit.path}/{saved.plan.hash}.tfplan")
            shown = shelf.get(f"{unit.path}/{saved.plan.hash}.json")
            if [hashlib.sha256(one).hexdigest() for one in (content, shown)] != [saved.file, saved.shown]:
                raise SymphonyError(
                    f"The saved plan of unit {unit.path} in s3://{shelf.bucket}/{shelf.place} is not the one that was "
                    "saved; nothing is applied. Start a new run, and find out who writes there."
                )
            restore(live, unit, content, json.dumps(saved.masks), shown)
            found[unit.path] = saved
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"fetching the plans from s3://{shelf.bucket}/{shelf.place}") from error
    return found


@task(name="read progress", task_run_name="read progress in {shelf.change.environment}", **TRANSIENT)
def read_progress(shelf: Shelf) -> Progress:
    """What this run had done before it was suspended; nothing in a run that was not.

    Args:
        shelf: Where the run keeps it.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    try:
        if "progress.json" not in shelf.names():
            return Progress(commit=shelf.change.commit)
        return Progress.model_validate_json(shelf.get("progress.json"))
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"reading s3://{shelf.bucket}/{shelf.place}") from error


@task(name="remove plans", task_run_name="remove plans of {shelf.change.environment}", **TRANSIENT)
def remove_plans(shelf: Shelf, units: Iterable[Unit] | None = None) -> None:
    """Remove plans that were applied or refused.

    Args:
        shelf: Where they are.
        units: Of these units; everything of the run by default.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    places = [shelf.place] if units is None else [f"{shelf.place}{unit.path}/" for unit in units]
    try:
        for place in places:
            shelf.remove(place)
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"removing the plans in s3://{shelf.bucket}/{shelf.place}") from error


@task(name="keep results", task_run_name="keep results of {shelf.change.environment}", **TRANSIENT)
def keep_results(shelf: Shelf, results: Iterable[UnitResult]) -> None:
    """Keep what became of all units for the stages of the run that may be suspended too, and remove its plans.

    Args:
        shelf: Where.
        results: What became of each unit.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    progress = Progress(commit=shelf.change.commit, results=tuple(results), done=True)
    try:
        shelf.remove(shelf.place)
        shelf.put("progress.json", progress.model_dump_json().encode())
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"keeping the results in s3://{shelf.bucket}/{shelf.place}") from error
