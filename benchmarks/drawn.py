"""Plots for the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import plotext  # type: ignore[import-untyped]
from rich.console import Console
from rich.text import Text

_WIDTH, _HEIGHT = 90, 18


def draw(
    title: str, across: str, at: Sequence[float], series: Mapping[str, Sequence[float]], *, scale: str = "linear"
) -> None:
    """Print a line for each series.

    Args:
        title: What the lines show, with its unit.
        across: What the axis counts.
        at: Where on the axis the points are.
        series: The height of each line at these points.
        scale: Of the axis: ``linear`` or ``log``.
    """
    plotext.clear_figure()
    for (name, heights), marker in zip(series.items(), itertools.cycle("o+x*")):
        plotext.plot(at, heights, label=name, marker=marker)
    plotext.xscale(scale)
    plotext.xticks(at, [f"{one:g}" for one in at])
    plotext.ylim(0)
    plotext.title(title)
    plotext.xlabel(across)
    plotext.theme("clear")
    plotext.plotsize(_WIDTH, _HEIGHT)
    Console().print(Text.from_ansi(plotext.build()))
