"""The one way to write an artifact: what a run leaves in the Prefect UI for people."""

from __future__ import annotations

import re

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import get_run_context
from prefect.exceptions import MissingContextError
from prefect.settings import PREFECT_UI_URL

from symphony.markdown import cell, escape

_LIMIT = 200_000
"""Characters of Markdown; the UI renders more only slowly."""


def key_of(*names: str) -> str:
    """An artifact's key made of names: lower case, digits and dashes, as Prefect asks for."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")


def table(key: str, title: str, rows: list[dict[str, object]], description: str = "") -> None:
    """Leave a table with the run; outside a run there is nobody to leave it for.

    Args:
        key: Names it across runs; see `key_of`.
        title: Its heading.
        rows: A dictionary a row, column by column; a text is shown as it is, and only a `Link` leads somewhere.
        description: What a reader should know besides, as Markdown.
    """
    if in_run():
        text = f"### {escape(title)}\n\n{description}".rstrip()
        shown = [{name: cell(value) for name, value in row.items()} for row in rows]
        create_table_artifact(table=shown, key=key, description=text, _sync=True)  # type: ignore[call-arg]


def markdown(key: str, text: str, description: str = "") -> str:
    """Leave a Markdown page with the run, cut at 200,000 characters; outside a run there is nobody to leave it for.

    Returns:
        Address of the page in Prefect's UI; empty outside a run, and where the UI's address is not known.
    """
    if not in_run():
        return ""
    if len(text) > _LIMIT:
        text = f"{text[:_LIMIT]}\n\n… cut here: the page has {len(text):,} characters."
    made = create_markdown_artifact(markdown=text, key=key, description=description or None, _sync=True)  # type: ignore[call-arg]
    ui = PREFECT_UI_URL.value()
    return f"{ui.rstrip('/')}/artifacts/artifact/{made}" if ui else ""


def in_run() -> bool:
    """Whether a run is there to leave an artifact with."""
    try:
        get_run_context()
    except MissingContextError:
        return False
    return True
