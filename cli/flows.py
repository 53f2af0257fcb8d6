"""``symphony deploy-flows``: put the list of deployments onto a Prefect server."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command("deploy-flows")
def deploy_flows(
    environment: Annotated[
        list[str] | None, typer.Option("--environment", "-e", help="Only for this environment; may be repeated.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what the server seems to have already.")] = False,
) -> None:
    """Put every deployment of prefect.yaml onto a Prefect server, with what the flows need there.

    That is the work pool with each environment's queues, the concurrency limits, the automations, and the blocks for
    AWS and Docker; what Symphony put there before and nothing declares any more is taken away. The server is the one of
    PREFECT_API_URL (and PREFECT_API_AUTH_STRING), or the sandbox's. Safe to repeat: what is as it should be is left
    alone.

    symphony.yaml is the one that SYMPHONY_CONFIG names, or else that of Symphony's own folder; prefect.yaml is the one
    beside it, or else Symphony's own.

    Run it again after a change of prefect.yaml or symphony.yaml: the run forms offer its environments and
    applications. Exits with 0 when all is there, 1 when the server refuses or does not answer, 2 for a mistake in
    either file.
    """
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used

    from cli.connection import connect  # noqa: PLC0415
    from deployments import apply  # noqa: PLC0415

    console = Console()
    api = connect()

    def say(name: str) -> None:
        console.print(f"  {name}", highlight=False)

    done = apply.deploy_flows(api, environments=environment or (), force=force, report=say)
    if done.removed:
        console.print(f"Removed, since prefect.yaml has them no more: {', '.join(done.removed)}.", highlight=False)
    console.print(
        f"{len(done.changed)} of {len(done.deployments)} deployments put onto {api.url} in {done.seconds:.1f} s; "
        f"all are version {done.version}.",
        highlight=False,
    )
