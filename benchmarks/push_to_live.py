"""How long from a push until it is served: by Symphony, by raw commands, and by Argo CD left to its own polling.

Run ``make bench NAME=push_to_live``; the sandbox must be up and have released once (``make demo`` does both). A push
that Argo CD finds by itself waits for its polling, every two minutes here, and is made at a random moment of it: ten
take some twenty minutes.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.deploy import moment
from benchmarks.drawn import draw
from benchmarks.kept import conclude, positive_number
from benchmarks.raw import RawCommands
from cli.world import world as find_world
from deployments.client import PrefectApi, Run
from sandbox.demo import Push, push_change
from sandbox.world import HOST, World
from symphony.errors import SymphonyError

_LIMIT_SECONDS = 300
_POLL_SECONDS = 0.02
_ARGOCD_POLLS_SECONDS = 120
_NUMBER = re.compile(r"[ -][0-9a-f]{3,12}$")
"""What differs in a task's name from run to run: the commit, or the call's number."""
_MORE_SECONDS, _TIMES_FASTER = 5, 10
"""The goals: at most so much more than the raw commands take, and so much faster than Argo CD's own polling."""


def served(world: World, greeting: str) -> None:
    """Wait until the ingress serves a greeting; polls every 20 ms, for five minutes at most.

    Raises:
        SymphonyError: It does not.
    """
    deadline = time.monotonic() + _LIMIT_SECONDS
    address, headers = f"http://{HOST}:{world.ports.ingress}/", {"Host": "hello.dev.localhost"}
    with httpx.Client(timeout=5) as client:
        while time.monotonic() < deadline:
            if client.get(address, headers=headers).text.strip() == greeting:
                return
            time.sleep(_POLL_SECONDS)
    raise SymphonyError(f"The ingress does not serve {greeting!r} after {_LIMIT_SECONDS} s.")


def _ended(api: PrefectApi, push: Push) -> Run:
    """The push's run, once it has ended, so that its smoke tests take nothing from what is measured next."""
    found = next(run for key in push.keys if (run := api.find(key)))
    return [run for run, _ in api.follow(found.id)][-1]


def _spans(api: PrefectApi, run: Run, began: float, until: float) -> Iterator[tuple[str, float]]:
    """What the seconds from a push until it was served went into; tasks that ran side by side are told each.

    Args:
        api: The Prefect server.
        run: The push's run.
        began: When the push began, in seconds since 1970.
        until: When it was served.
    """
    whole = api.call("GET", f"/flow_runs/{run.id}")
    marks = [began, moment(whole["created"]), moment(whole["start_time"])]
    yield "git push, until the run is made", marks[1] - marks[0]
    yield "until the run begins", marks[2] - marks[1]
    tasks = [
        (_NUMBER.sub("", one.name), moment(one.start_time), min(until, moment(one.end_time)))
        for one in api.tasks(run.id)
        if one.start_time and one.end_time and moment(one.start_time) < until
    ]
    for name, start, end in tasks:
        yield name, end - start
    covered = marks[2]
    between = 0.0
    for start, end in sorted((start, end) for _, start, end in tasks):
        between += max(0.0, start - covered)
        covered = max(covered, end)
    yield "between tasks", between
    yield "after the last task, until it is served", max(0.0, until - covered)


def main() -> None:
    """Measure and print tables, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pushes", type=positive_number, default=10, help="Pushes through Symphony, and by the raw commands."
    )
    parser.add_argument("--polls", type=int, default=10, help="Pushes that Argo CD finds by its own polling.")
    asked = parser.parse_args()
    world = find_world()
    api = PrefectApi(f"{world.prefect_url}/api", f"admin:{world.secret('prefect-password')}")
    times = defaultdict[str, list[float]](list)
    parts = defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory() as folder:
        raw = RawCommands(world, Path(folder))

        def by_hand(side: str, *, refresh: bool) -> None:
            started, greeting = time.monotonic(), f"Hello by hand {time.time()}"
            raw.push(world.state / "workspace", greeting, int(time.time()), refresh=refresh)
            served(world, greeting)
            times[side].append(time.monotonic() - started)

        for _ in track(range(asked.pushes), "Symphony and raw commands, in turns"):
            began = time.time()
            push = push_change(world, lambda _line: None, "trigger=api")
            served(world, push.greeting)
            until = time.time()
            times["symphony"].append(until - began)
            for part, seconds in _spans(api, _ended(api, push), began, until):
                parts[part].append(seconds)
            by_hand("raw", refresh=True)
        for _ in track(range(asked.polls), "Argo CD left to its own polling"):
            time.sleep(random.uniform(0, _ARGOCD_POLLS_SECONDS))  # noqa: S311 - a moment of its polling like any other
            by_hand("polled", refresh=False)
    median = {side: statistics.median(seconds) for side, seconds in times.items()}
    table = Table("from push to served", "median, s", "pushes", title="push to live")
    for side, every in times.items():
        table.add_row(side, f"{median[side]:.2f}", str(len(every)))
    made_of = Table("of Symphony's seconds", "median, s", title="what they are made of")
    for part, every in parts.items():
        made_of.add_row(part, f"{statistics.median(every):.2f}")
    console = Console()
    console.print(table, made_of)
    each = [100 * (number + 1) / asked.pushes for number in range(asked.pushes)]
    sides = {side: sorted(seconds) for side, seconds in times.items() if len(seconds) == len(each)}
    draw("seconds from push to served, so many of a hundred are below", "of a hundred", each, sides)
    figures = {
        "seconds_more_than_raw": round(median["symphony"] - median["raw"], 2),
        "to_raw_ratio": round(median["symphony"] / median["raw"], 2),
    }
    if asked.polls:
        figures["to_polling_ratio"] = round(median["symphony"] / median["polled"], 3)
        console.print(f"Goals: at most {_MORE_SECONDS} s more than raw, at most {1 / _TIMES_FASTER} of polling.")
    conclude("push_to_live", figures, {**times, "parts": parts})


if __name__ == "__main__":
    main()
