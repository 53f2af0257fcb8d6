"""Read-only plans of one run take turns with a few AWS provider processes, instead of starting one for each unit.

Starting the provider and loading its schema is most of what a plan costs. A process holds one configuration, the last
it was given, so it serves one unit at a time, and tofu configures it anew for each: units may differ in region, role
or default tags. What cannot be told to be the same with it is planned the plain way, and so is what it fails at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Self

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from symphony.errors import SymphonyError
from tasks.hcl import attributes, blocks, read
from tasks.live import Live
from tasks.provider import ATTACH, Installed, ProviderProcess, can_start
from tasks.terragrunt import initialise, plan_read_only
from tasks.units import CONFIGURATIONS, Unit

_OWN_ENVIRONMENT = re.compile(r"\b(iam_(assume_)?role|iam_web_identity_token|auth_provider_cmd|env_vars)\b")
"""Words in a unit's configuration by which Terragrunt gives its tofu, and so its provider, other variables."""
_OWN_VARIABLES = re.compile(r"(TG|TERRAGRUNT)_(IAM|AUTH)_")
_LOCK = ".terraform.lock.hcl"
_AWS = "hashicorp/aws"
_BINARIES = f".terraform/providers/*/{_AWS}/*/*/terraform-provider-aws*"

_LOSSES = 3
"""Processes that may die or hang in one run, before all else is planned the plain way."""

_SHOWN = 2
"""Units that are initialised alone; where those show nothing, the plain plans do."""

Choice = frozenset[str]
"""Everything that OpenTofu chooses a version of the provider by."""


class SharedProviders:
    """The provider processes of one run; they end where the context does, and with this process at the latest."""

    def __init__(self) -> None:
        """Start nothing yet: the first unit shows which provider it is."""
        self._lock = threading.Lock()
        self._installed: dict[Choice, Installed] = {}
        self._alone: set[tuple[str, ...]] = set()
        self._free: list[ProviderProcess] = []
        self._lost = 0
        self._first = threading.Lock()
        self._shown = 0
        self._over = not can_start() or any(map(_OWN_VARIABLES.match, os.environ))

    def __enter__(self) -> Self:
        """Have the processes end with the context."""
        return self

    def __exit__(self, *_: object) -> None:
        """End those that nobody plans with; the others end with their plan."""
        with self._lock:
            self._over = True
            free, self._free = self._free, []
        for process in free:
            process.end()

    def plan(self, live: Live, unit: Unit) -> str:
        """Plan a unit without its lock, as `plan_read_only` does, with a provider that runs already where that is safe.

        Args:
            live: The environment's live folder, in a checkout of the run's own; the same for all units.
            unit: The unit.

        Returns:
            The plan as JSON, sensitive values in it; empty where nothing would change.

        Raises:
            TransientError: AWS was throttling or out of reach.
            SymphonyError: tofu could not plan it.
        """
        locks = _locks(live, unit)
        self._show(live, unit, locks)
        if process := self._lent(live, unit):
            try:
                shown = _attached(live, process, unit)
                choice = _choice(live.folder / unit.path, locks)
                if choice is not None and self._installed.get(choice) == process.installed:
                    self._back(process)
                    return shown
                why = "it has a provider configuration, or a version of the provider, that is not the others'"
                if unit.modules:
                    self._alone.add(unit.modules)
            except SymphonyError as error:
                why = str(error)
            except BaseException:
                process.end()
                raise
            _log(f"{unit.path} is planned again, with a provider of its own: {why}")
            self._back(process, doubtful=True)
            _start_over(live, unit, locks)
        shown = plan_read_only(live, unit)
        self._learn(live, unit, locks)
        return shown

    def _show(self, live: Live, unit: Unit, locks: dict[Path, bytes]) -> None:
        """Have the run's first unit initialised alone, while all wait: it is quick, and shows which provider it is."""
        with self._first:
            if not self._installed and not self._over and self._shown < _SHOWN:
                self._shown += 1
                # Its plan tells what is wrong.
                with contextlib.suppress(SymphonyError):
                    initialise(live, unit)
                    self._learn(live, unit, locks)

    def _lent(self, live: Live, unit: Unit) -> ProviderProcess | None:
        """A process for this unit alone; None where it is planned the plain way."""
        with self._lock:
            if self._over or not self._installed or unit.modules in self._alone or _own_environment(live, unit):
                return None
            while self._free:
                if (process := self._free.pop()).attach:
                    return process
            installed = next(iter(self._installed.values()))
        process = ProviderProcess(installed, live.environment_of_tools)
        if process.attach:
            return process
        with self._lock:
            # What does not come up once is not tried for every unit.
            self._over = True
        _log(f"The provider {installed.binary.name} cannot be shared: started with -debug, it does not come up.")
        return None

    def _back(self, process: ProviderProcess, *, doubtful: bool = False) -> None:
        kept = not doubtful or process.answers()
        with self._lock:
            self._lost += not kept
            self._over |= self._lost >= _LOSSES
            if kept and not self._over:
                self._free.append(process)
                return
        process.end()

    def _learn(self, live: Live, unit: Unit, locks: dict[Path, bytes]) -> None:
        """Keep which provider OpenTofu has chosen for a unit, and by what."""
        folder = live.folder / unit.path
        choice, initialised = _choice(folder, locks), _initialised(folder)
        if choice is None or initialised is None:
            return
        binaries = list(initialised.glob(_BINARIES))
        if len(binaries) == 1:
            host = binaries[0].relative_to(initialised).parts[2]
            with self._lock:
                self._installed.setdefault(choice, Installed(f"{host}/{_AWS}", binaries[0].resolve()))


def _attached(live: Live, process: ProviderProcess, unit: Unit) -> str:
    """Plan with a process; only these plans ever know of one."""
    variables = {**live.variables, ATTACH: process.attach}
    return plan_read_only(dataclasses.replace(live, variables=variables), unit)


def _own_environment(live: Live, unit: Unit) -> bool:
    files = [live.tree / name for name in unit.reading]
    files += [live.folder / unit.path / name for name in CONFIGURATIONS]
    return any(_OWN_ENVIRONMENT.search(read(file)) for file in files)


def _locks(live: Live, unit: Unit) -> dict[Path, bytes]:
    """The lock files that are committed with the unit or its modules."""
    folders = [live.folder / unit.path, *(live.tree / module for module in unit.modules or ())]
    return {file: file.read_bytes() for folder in folders if (file := folder / _LOCK).is_file()}


def _start_over(live: Live, unit: Unit, locks: dict[Path, bytes]) -> None:
    """Have the unit initialised anew: without the provider, it was by halves."""
    folder = live.folder / unit.path
    for name in (".terragrunt-cache", ".terraform"):
        shutil.rmtree(folder / name, ignore_errors=True)
    if folder / _LOCK not in locks:
        (folder / _LOCK).unlink(missing_ok=True)
    for file, content in locks.items():
        file.write_bytes(content)


def _choice(folder: Path, locks: dict[Path, bytes]) -> Choice | None:
    """What OpenTofu has chosen the provider by in a unit that it has initialised.

    Returns:
        Constraints and locked versions; None where that, or that the unit has but one configuration, cannot be told.
    """
    if not (initialised := _initialised(folder)):
        return None
    try:
        texts = _texts(initialised)
        locked = [content.decode() for content in locks.values()]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    configurations = [body for text in texts for _, body in blocks(text, "provider")]
    if len(configurations) > 1 or any("for_each" in attributes(body) for body in configurations):
        return None
    required = [attributes(body) for text in texts for _, body in blocks(text, "required_providers")]
    constraints = {value for found in required for name, value in found.items() if name == "aws" or _AWS in value}
    versions = {body for text in locked for label, body in blocks(text, "provider") if label.endswith(_AWS)}
    return frozenset("".join(text.split()) for text in (*constraints, *versions))


def _texts(initialised: Path) -> list[str]:
    """The files of a unit's root module and of all that it calls, without comments.

    Raises:
        ValueError: There are some that are no HCL.
    """
    called = initialised / ".terraform" / "modules" / "modules.json"
    modules = json.loads(called.read_text(encoding="utf-8"))["Modules"] if called.is_file() else []
    files = [
        file for place in {".", *(module["Dir"] for module in modules)} for file in (initialised / place).iterdir()
    ]
    if any(file.name.endswith((".tf.json", ".tofu.json")) for file in files):
        raise ValueError
    return [read(file) for file in files if file.suffix in {".tf", ".tofu"}]


def _initialised(folder: Path) -> Path | None:
    """Where tofu works for a unit: its own folder, or a copy in Terragrunt's cache."""
    found = {file.parent for file in (folder / ".terraform", *folder.glob(".terragrunt-cache/*/*/**/.terraform"))}
    there = [place for place in found if (place / ".terraform").is_dir()]
    return there[0] if len(there) == 1 else None


def _log(line: str) -> None:
    with contextlib.suppress(MissingContextError):
        get_run_logger().warning(line)
