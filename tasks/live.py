"""An environment's live folder of Terragrunt units, and the one way to run Terragrunt and tofu in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from symphony.change import Change
from symphony.errors import BadInputError
from symphony.tool import Finished, run
from tasks.aws import account_environment
from tasks.quick_tofu import quick_tofu

_PATIENCE = 300.0
"""Seconds that tofu gets to finish the resource at hand when it is cut off, so that the state knows of it."""
_POLICIES = "policies"
_QUIET = {
    "TG_NON_INTERACTIVE": "true",
    "TG_NO_COLOR": "true",
    "TG_NO_TIPS": "true",
    "TG_LOG_FORMAT": "bare",
    "TG_TF_FORWARD_STDOUT": "true",
    # Prefect retries, and shows that it does; a second layer beneath it would multiply the tries.
    "TG_NO_AUTO_RETRY": "true",
    "TG_TELEMETRY_TRACE_EXPORTER": "none",
    "TG_TELEMETRY_METRIC_EXPORTER": "none",
    "TF_IN_AUTOMATION": "1",
    "TF_INPUT": "0",
    "TF_CLI_ARGS": "",
    "TF_LOG": "",
    # No tofu attaches to a provider that runs already unless it is told to below.
    "TF_REATTACH_PROVIDERS": "",
    "CHECKPOINT_DISABLE": "1",
}
"""Terragrunt and tofu ask nothing, paint nothing, call nobody but AWS, and take no arguments from the environment."""
_MEMORY = {"GOGC": "off", "GOMEMLIMIT": "768MiB"}
"""They and the providers live for seconds, most of which go into loading schemas: collecting garbage only near a limit
takes a quarter of the processor time off a plan. Who runs the worker may set either variable otherwise."""


@dataclass(frozen=True)
class Live:
    """One environment's units in a checkout.

    Attributes:
        tree: The checkout's root.
        root: Live folder of all environments, relative to the checkout.
        environment: Name of the environment, which is its folder's name too.
        environments: Names of all environments.
        variables: What points the tools at the environment's account; no secret is among them.
        account: The AWS account that the environment is in.
        policies: Folder of the policy, beside the live folder: the released commit's, also where the tree is another.
    """

    tree: Path
    root: str
    environment: str
    environments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    account: str = ""
    policies: Path | None = None

    @property
    def folder(self) -> Path:
        """The environment's folder."""
        return self.tree / self.root / self.environment

    @property
    def prefix(self) -> str:
        """The environment's folder as Git names it."""
        return f"{self.root}/{self.environment}"

    def terragrunt(
        self,
        *args: str,
        unit: str = "",
        limit: float = 3600.0,
        ok: Collection[int] = (0,),
        secrets: Collection[str] = (),
        on_line: Callable[[str], None] | None = None,
    ) -> Finished:
        """Run Terragrunt in a unit's folder, or in the environment's.

        Raises:
            BadInputError: Terragrunt is not installed.
            ToolError: It failed.
        """
        return run(
            ["terragrunt", *args],
            cwd=self.folder / unit,
            env=self.environment_of_tools,
            limit=limit,
            ok=ok,
            secrets=secrets,
            on_line=on_line,
            patience=_PATIENCE,
        )

    def tofu(self, *args: str, cwd: Path, limit: float = 600.0) -> Finished:
        """Run tofu itself, for what needs nothing of Terragrunt's.

        Raises:
            BadInputError: OpenTofu is not installed.
            ToolError: It failed.
        """
        return run(["tofu", *args], cwd=cwd, env=self.environment_of_tools, limit=limit)

    @property
    def environment_of_tools(self) -> dict[str, str]:
        """Variables that the tools run with, beside this process's own."""
        chosen = {name: os.environ.get(name, value) for name, value in _MEMORY.items()}
        return {**_QUIET, "TG_TF_PATH": quick_tofu(), **chosen, **self.variables}


def live_of(change: Change) -> Live:
    """The live folder of the environment that a change goes to.

    Raises:
        BadInputError: The commit has no folder for the environment.
    """
    tree = change.tree.resolve()
    live = Live(
        tree=tree,
        root=change.configuration.infrastructure.live,
        environment=change.environment,
        environments=tuple(change.configuration.environments),
        variables=account_environment(change.target),
        account=change.target.aws.account,
        policies=(tree / change.configuration.infrastructure.live).with_name(_POLICIES),
    )
    if not live.folder.is_dir():
        raise BadInputError(
            f"The environment {change.environment!r} has no folder {live.prefix} in commit {change.commit[:12]}; "
            f"add it with its units, or set infrastructure.live in symphony.yaml to where they are."
        )
    return live
