"""The progress of a job on stderr: one line that is kept up to date on a terminal, else a line every 5 s."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import click
from attrs import define, field

from clinia_async.ingest import Report
from clinia_async.ingest.processes.job import Load
from clinia_async.transport.adaptive_limit import AdaptiveLimit

LIVE, OCCASIONAL = 0.2, 5.0
"""Seconds between two updates, on the event loop's clock."""
_RATE_OVER = 10.0
"""Seconds over which the rate is measured."""

Show = Callable[[str], None]
BytesRead = Callable[[], int | None]


@define
class Progress:
    """How far a job is: counts, rate, time and share of the file, and what the service asks for."""

    report: Report
    limit: AdaptiveLimit | Load
    bytes_total: int | None = None
    """The size of the file as it is stored, so compressed if it is; None for standard input."""
    bytes_read: BytesRead | None = None
    started: float = field(factory=lambda: asyncio.get_running_loop().time())
    _samples: list[tuple[float, int]] = field(factory=list)

    def line(self) -> str:
        """Return the progress in one line."""
        now = asyncio.get_running_loop().time()
        elapsed, share = now - self.started, self._share()
        parts = [self._counts(), f"{self._rate(now):,.0f} records/s", f"{duration(elapsed)} elapsed"]
        if share is not None:
            parts.append(f"{share:.0%} of the file")
            if 0 < share < 1 and elapsed > 1:
                parts.append(f"about {duration(elapsed / share - elapsed)} left")
        return ", ".join([*parts, *self._service(now)])

    def _counts(self) -> str:
        report = self.report
        completed, landed = report.completed, report.landed
        counts = f"{report.read:,} read, {report.read - completed:,} waiting, {landed:,} landed"
        return f"{counts}, {completed - landed:,} did not"

    def _rate(self, now: float) -> float:
        """Records completed per second, over the last `_RATE_OVER` seconds."""
        completed = self.report.completed - self.report.reported_before
        self._samples.append((now, completed))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _RATE_OVER:
            self._samples.pop(0)
        since, before = self._samples[0] if now - self._samples[0][0] >= 1 else (self.started, 0)
        return (completed - before) / (now - since) if now > since else 0.0

    def _share(self) -> float | None:
        read = None if self.bytes_read is None else self.bytes_read()
        if read is None or not self.bytes_total:
            return None
        return min(read / self.bytes_total, 1.0)

    def _service(self, now: float) -> list[str]:
        in_flight = self.limit.in_flight
        parts = [f"{in_flight} request{'' if in_flight == 1 else 's'} in flight"]
        wait = self.limit.closed_until - now
        if wait > 0:
            parts.append(f"{self.limit.last_throttle}, next try in {wait:.0f} s")
        return parts


def duration(seconds: float) -> str:
    """Return `1:05` or `2:03:04`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@asynccontextmanager
async def shown(line: Callable[[], str]) -> AsyncIterator[None]:
    """Show what `line` returns for as long as the block runs."""
    live = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
    if not live:
        async with _every(OCCASIONAL, line, _print_line):
            yield
        return
    with _on_a_terminal() as show:
        async with _every(LIVE, line, show):
            yield


@asynccontextmanager
async def _every(seconds: float, line: Callable[[], str], show: Show) -> AsyncIterator[None]:
    ticking = asyncio.create_task(_tick(seconds, line, show), name="clinia-progress")
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def _tick(seconds: float, line: Callable[[], str], show: Show) -> None:
    while True:
        await asyncio.sleep(seconds)
        show(line())


def _print_line(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def _on_a_terminal() -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status("starting") as status:
        yield lambda text: status.update(escape(text))
