"""Plots of tables, where matplotlib is installed."""

import importlib.util
from pathlib import Path

from benchmarks.tables import Bars, Lines, Table

IS_THERE = importlib.util.find_spec("matplotlib") is not None


def draw(table: Table, path: Path) -> None:
    """Nothing, for a table without a plot or where there is nothing to draw with."""
    if not IS_THERE or (table.bars is None and table.lines is None):
        return
    from matplotlib import rcParams  # noqa: PLC0415  an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    rcParams["svg.hashsalt"] = rcParams["svg.fonttype"] = "none"  # text as text, and the same ids again
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(table.title)
    if table.bars is not None:
        _bars(axes, table.bars)
    elif table.lines is not None:
        _lines(axes, table.lines)
    figure.savefig(path, metadata={"Date": None})


def _bars(axes, bars: Bars) -> None:  # type: ignore[no-untyped-def]
    places = range(len(bars.names))
    below = [middle - low for low, middle in zip(bars.low, bars.middle, strict=True)]
    above = [high - middle for middle, high in zip(bars.middle, bars.high, strict=True)]
    ours = ["tab:blue" if "clinia_async" in name or "emulator" in name else "tab:gray" for name in bars.names]
    axes.barh(places, bars.middle, xerr=[below, above], color=ours)
    axes.set_yticks(places, bars.names)
    axes.invert_yaxis()
    axes.set_xlabel(bars.label)
    if bars.one is not None:
        axes.axvline(bars.one, color="black", linewidth=0.8)


def _lines(axes, lines: Lines) -> None:  # type: ignore[no-untyped-def]
    for name, values in lines.series.items():
        axes.plot(lines.sizes, values, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(lines.of)
    axes.set_ylabel(lines.label)
    axes.legend()
