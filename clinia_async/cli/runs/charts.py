"""The charts of a report as SVG, drawn with matplotlib (the extra `report`)."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Samples = Sequence[Mapping[str, float | None]]

BLUE, ORANGE, RED, GREY = "#1f5fa8", "#c2660a", "#b3261e", "#6b7280"
_STYLE = Path(__file__).with_name("report.mplstyle")


def throughput(samples: Samples) -> str:
    """Draw the records that landed and failed, per second, over time."""
    figure, axes = _figure("records/s", samples)
    for name, color in (("landed", BLUE), ("failed", RED)):
        times, rates = _rates(samples, name)
        axes.step(times, rates, where="post", color=color, label=name, linewidth=1.6)
    _finish(axes)
    return _svg(figure, "Throughput: records per second that landed and that failed, over time")


def requests(samples: Samples) -> str:
    """Draw the requests in flight, how many were allowed, and when the service throttled."""
    figure, axes = _figure("requests in flight", samples)
    times = _column(samples, "at")
    axes.fill_between(times, _column(samples, "in_flight"), step="post", color=BLUE, alpha=0.25)
    axes.step(
        times, _column(samples, "in_flight"), where="post", color=BLUE, label="in flight", linewidth=1.4
    )
    axes.step(times, _column(samples, "allowed"), where="post", color=ORANGE, label="allowed", linewidth=1.4)
    throttled = [
        after["at"] or 0.0
        for before, after in pairwise(samples)
        if (after["throttles"] or 0) > (before["throttles"] or 0)
    ]
    if throttled:
        axes.plot(throttled, [0.0] * len(throttled), "^", color=RED, label="throttled", clip_on=False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    _finish(axes)
    return _svg(figure, "Requests in flight and allowed, over time, with the moments of throttling")


def lag(samples: Samples) -> str:
    """Draw how late the end of tasks was noticed."""
    figure, axes = _figure("seconds", samples)
    known = [sample for sample in samples if sample["lag"] is not None]
    axes.plot(_column(known, "at"), _column(known, "lag"), ".", color=BLUE, markersize=5, label="tasks")
    _finish(axes)
    return _svg(figure, "Detection lag: seconds between the end of a task and its notice, over time")


def _figure(unit: str, samples: Samples) -> tuple[Figure, Axes]:
    """A figure whose axis of time is that of all others, at the same place."""
    with mpl.rc_context(fname=_STYLE):
        figure = Figure(figsize=(8.6, 2.6))
        axes = figure.add_axes((0.105, 0.18, 0.885, 0.70))
        axes.set_xlabel("seconds since the start")
        axes.set_ylabel(unit)
        axes.set_xlim(0, max(samples[-1]["at"] or 0.0, 0.01))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    return figure, axes


def _finish(axes: Axes) -> None:
    """Begin at zero, and put the legend above the chart, where it hides nothing."""
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)


def _rates(samples: Samples, name: str) -> tuple[list[float], list[float]]:
    """The rate between each two samples, over at least a thirtieth of the run: tasks end many at a time."""
    end = samples[-1]["at"] or 0.0
    times, rates, first = [0.0], [], samples[0]
    for sample in samples[1:]:
        span = (sample["at"] or 0.0) - (first["at"] or 0.0)
        if span >= max(end / 30, 0.05) or sample is samples[-1]:
            rates.append(((sample[name] or 0) - (first[name] or 0)) / span if span else 0.0)
            times.append(sample["at"] or 0.0)
            first = sample
    return times, [*rates, rates[-1] if rates else 0.0]


def _column(samples: Samples, name: str) -> list[float]:
    return [sample[name] or 0.0 for sample in samples]


def _svg(figure: Figure, title: str) -> str:
    """The figure as an `svg` element with a title for screen readers, without the head of an XML file."""
    text = StringIO()
    with mpl.rc_context(fname=_STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    element = text.getvalue()[text.getvalue().index("<svg") :]
    # as wide as the page; without it the size in points is kept
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"', r"\1\2", element, count=1)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"([^>]*?) height="[^"]*"', r"\1\2", element, count=1)
    return element.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
