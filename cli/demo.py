"""``symphony demo``: the main job, from a code change to the new version answering."""

from __future__ import annotations

import time
from typing import Annotated

import httpx
import typer
from rich.console import Console

from cli.connection import connect
from cli.following import follow, story
from cli.world import bring_up
from deployments.client import PrefectApi, Run
from sandbox.demo import Push, push_change
from sandbox.world import World
from symphony.errors import SymphonyError

_START_SECONDS = 30
_SERVED_SECONDS = 20
_POLL_SECONDS = 0.1

app = typer.Typer()


@app.command("demo")
def demo(
    github_actions: Annotated[
        bool, typer.Option(help="Leave it to the pushed commit's own workflow release.yml, as each push does.")
    ] = True,
) -> None:
    """Start what is not up, change the example service, push it, and follow the release until it is served."""
    console = Console()
    world = bring_up(console)
    started = time.monotonic()
    told: list[str] = []
    pushed = push_change(world, told.append, *([] if github_actions else ["trigger=api"]))
    console.print(f"Pushed [bold]{pushed.commit[:12]}[/]: the service shall say “{pushed.greeting}”.", soft_wrap=True)
    api = connect()
    run = _started(api, pushed, told)
    console.print(f"[dim]{api.link(run.id)}[/]")
    run = follow(console, api, run)
    url = f"http://hello.dev.localhost:{world.ports.ingress}/"
    _served(world, url, pushed)
    seconds = time.monotonic() - started
    story(console, api, run, "release-dev")
    console.print(f"\n[bold green]Live {seconds:.1f} s after the push began.[/]\n")
    _links(console, world, api, run, url)


def _started(api: PrefectApi, pushed: Push, told: list[str]) -> Run:
    """The run that the push started; what the hook told is the reason where there is none."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        for key in pushed.keys:
            if run := api.find(key):
                return run
        time.sleep(_POLL_SECONDS)
    raise SymphonyError(
        f"The push of {pushed.commit[:12]} started no release within {_START_SECONDS} s; the remote said: "
        f"{' '.join(told) or 'nothing'}"
    )


def _served(world: World, url: str, pushed: Push) -> None:
    """Ask the service as its user would, through the ingress, until it says the new greeting."""
    deadline = time.monotonic() + _SERVED_SECONDS
    said = ""
    host = httpx.URL(url).host
    while time.monotonic() < deadline:
        answer = httpx.get(f"http://127.0.0.1:{world.ports.ingress}/", headers={"Host": host}, timeout=5)
        said = answer.text.strip()
        if said == pushed.greeting:
            return
        time.sleep(_POLL_SECONDS)
    raise SymphonyError(f"The release succeeded, but {url} says {said!r} and not {pushed.greeting!r}.")


def _links(console: Console, world: World, api: PrefectApi, run: Run, url: str) -> None:
    secrets = world.state / "secrets"
    argocd = f"http://127.0.0.1:{world.ports.argocd}/applications.html?/applications/argocd/dev-hello"
    for name, address, secret in (
        ("the service", url, ""),
        ("this run", api.link(run.id), "prefect-password"),
        ("Argo CD", argocd, "argocd-password"),
    ):
        login = f"  [dim]user admin, password in {secrets / secret}[/]" if secret else ""
        console.print(f"  {name:<13}{address}{login}", highlight=False, soft_wrap=True)
