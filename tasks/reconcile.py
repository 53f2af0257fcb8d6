"""Putting drift back: which of it a run can, and that run, which waits for a person before it changes anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from prefect import task
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_UI_URL

from symphony.change import Change
from symphony.drift import Finding
from symphony.errors import BadInputError
from symphony.markdown import escape
from symphony.models import Fact
from tasks.artifacts import key_of, markdown
from tasks.retry import TRANSIENT

_FLOWS = {"infrastructure": "provision", "cluster": "deploy"}
_BY_HAND = frozenset({"auto-sync", "health"})
"""What a sync does not put back: a switch that somebody set, and what is unwell though it is as it should be."""


class Reconcile(Fact):
    """A run that puts drift back.

    Attributes:
        flow: Name of its flow.
        where: Units or applications.
        name: Name of the run.
        state: How far it is.
        link: Address of its page; empty where that is not known.
    """

    flow: str
    where: tuple[str, ...]
    name: str
    state: str
    link: str = ""


def restorable(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that a run can put back: what moved outside in units, and what of applications Argo CD can sync."""
    return tuple(one for one in findings if one.kind == "drift" and one.area in _FLOWS and one.what not in _BY_HAND)


@task(name="reconcile", task_run_name="reconcile {change.environment}", **TRANSIENT)
def reconcile(change: Change, standing: Iterable[Finding]) -> tuple[Reconcile, ...]:
    """Have what moved put back where ``symphony.yaml`` says so: by one run for what one look found, started once.

    What was refused stays as it is; what is found later gets a run of its own.

    Args:
        change: The environment.
        standing: All that stands there.

    Returns:
        The runs for what stands, those that other looks started among them.

    Raises:
        BadInputError: Prefect has no deployment of the flow for the environment, or that does not know an application.
    """
    groups: dict[tuple[str, str], set[str]] = {}
    for one in restorable(standing):
        if one.area in change.target.reconcile:
            groups.setdefault((_FLOWS[one.area], one.since), set()).add(one.where)
    return tuple(_started(change, flow, since, sorted(where)) for (flow, since), where in sorted(groups.items()))


def _started(change: Change, flow: str, since: str, where: list[str]) -> Reconcile:
    parameters: dict[str, Any] = {"commit": change.commit, "restore": where}
    name = f"{flow}/{change.environment}"
    key = f"{change.configuration.project}:reconcile:{change.environment}:{since}"
    try:
        run = run_deployment(
            name,
            parameters=parameters,
            idempotency_key=key,
            # Until it begins, and then says itself what it does.
            flow_run_name=f"{flow} again → {change.environment}",
            timeout=0,
            as_subflow=False,
        )
    except ObjectNotFound as error:
        raise BadInputError(
            f"Prefect has no deployment {name}, which would put back what moved; add it to prefect.yaml, or take "
            f"`reconcile` out of {change.environment} in symphony.yaml."
        ) from error
    except PrefectHTTPStatusError as error:
        if not error.response.is_client_error:
            raise
        raise BadInputError(
            f"Prefect takes no run of {name} that puts back {', '.join(where)} ({error.response.text[:300]}); after a "
            "change of symphony.yaml, `symphony deploy-flows` brings the choices up to date."
        ) from error
    assert isinstance(run, FlowRun)  # noqa: S101 - awaited only in an event loop
    ui = PREFECT_UI_URL.value()
    state = (run.state and run.state.name) or "Scheduled"
    link = f"{ui.rstrip('/')}/runs/flow-run/{run.id}" if ui else ""
    return Reconcile(flow=flow, where=tuple(where), name=run.name, state=state, link=link)


def moved_applications(change: Change, findings: Iterable[Finding]) -> tuple[dict[str, str], str]:
    """What of applications is to be put back: a hash of it by application, and the page that tells it.

    Args:
        change: The environment.
        findings: What a look at its cluster found.
    """
    told: dict[str, list[str]] = {}
    for one in restorable(findings):
        told.setdefault(one.where, []).append(f"{one.what}: {one.told}")
    return {name: _hash(lines) for name, lines in told.items()}, _page(change, told)


def _hash(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _page(change: Change, told: Mapping[str, list[str]]) -> str:
    lines = [f"# What of {change.environment} goes back to what Git says", ""]
    lines += [f"- {escape(name)}: {escape(line)}" for name in sorted(told) for line in sorted(told[name])]
    return markdown(key_of("restore", change.environment), "\n".join(lines), f"Restore of {change.environment}")
