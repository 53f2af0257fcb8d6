"""What a failed run leaves first of all: its reason, where a person sees it without reading the log."""

from __future__ import annotations

import html
import textwrap
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from symphony.errors import sentence
from symphony.markdown import fence
from tasks.artifacts import key_of, markdown

_LONGEST = 600
"""Characters of a reason that a card shows; the page behind it has all."""


def show_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Leave the reason with the run; it stands on the artifact's card, so no click more is needed.

    Args:
        flow: What it was a run of.
        flow_run: The run that failed.
        state: The state it ended with.
    """
    del flow  # as Prefect calls its hooks
    reason = sentence(state.message or "") or "It did not say why; its log may."
    shown = html.escape(textwrap.shorten(reason, _LONGEST, placeholder=" …"))
    key = key_of("failure", str(flow_run.parameters.get("environment", "")))
    # A card cuts its one line off, but for this class of the UI's own.
    markdown(key, fence(reason), f'<div class="whitespace-normal">{shown}</div>')
