"""How a long run stands, on stderr: a line that is kept up to date on a terminal, else a line at times."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import click

from clinia_async.ingest import Report

LIVE, OCCASIONAL = 0.2, 5.0
"""Seconds between two updates, on the event loop's clock."""

Show = Callable[[str], None]


@asynccontextmanager
async def progress(report: Report) -> AsyncIterator[None]:
    """Shows the counts of `report` for as long as the block runs."""
    live = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
    if not live:
        async with _every(OCCASIONAL, report, _line):
            yield
        return
    with _on_a_terminal() as show:
        async with _every(LIVE, report, show):
            yield


def progress_line(report: Report) -> str:
    settled, landed = report.completed, report.landed
    under_way = report.read - settled
    return f"{report.read:,} read, {under_way:,} under way, {landed:,} landed, {settled - landed:,} did not"


@asynccontextmanager
async def _every(seconds: float, report: Report, show: Show) -> AsyncIterator[None]:
    ticking = asyncio.create_task(_tick(seconds, report, show), name="clinia-progress")
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def _tick(seconds: float, report: Report, show: Show) -> None:
    while True:
        await asyncio.sleep(seconds)
        show(progress_line(report))


def _line(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def _on_a_terminal() -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status("starting") as status:
        yield lambda text: status.update(escape(text))
