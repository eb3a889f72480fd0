"""The progress of a job on stderr: one line that is kept up to date on a terminal, else a line every 5 s."""

import asyncio
import importlib.util
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from attrs import define, field

from clinia_async.cli.exit_codes import say
from clinia_async.ingest.outcomes.report import Report
from clinia_async.transport.adaptive_limit import AdaptiveLimit, Load

LIVE, OCCASIONAL = 0.2, 5.0
"""Seconds between two updates, on the event loop's clock."""
_RATE_OVER, _TIME_LEFT_OVER = 10.0, 60.0
"""Seconds over which the rate of records is measured, and that of the share of the file."""

Show = Callable[[str], None]
BytesDone = Callable[[int], float | None]
"""Returns about how many bytes so many records take, from the start; None where it is not known yet."""


@define
class _Speed:
    """How fast a number grows, measured over the last `over` seconds."""

    over: float
    _samples: deque[tuple[float, float]] = field(factory=deque)

    def restart(self, now: float, value: float) -> None:
        """Forget what was before `now`."""
        self._samples = deque([(now, value)])

    def measure(self, now: float, value: float) -> float:
        """Return how much is added in a second; 0 within the first one."""
        self._samples.append((now, value))
        while len(self._samples) > 2 and now - self._samples[1][0] >= self.over:
            self._samples.popleft()
        since, before = self._samples[0]
        return (value - before) / (now - since) if now - since >= 1 else 0.0


@define
class Progress:
    """How far a job is: counts, rate, time, share of the file, and what the service asks for.

    The share is that of the files' bytes whose records have an outcome: not of what was merely read. What an
    earlier run has reported says nothing about the time left.
    """

    report: Report
    limit: AdaptiveLimit | Load
    bytes_total: int | None = None
    """The size of the files as they are stored, so compressed if they are; None for a pipe."""
    bytes_done: BytesDone | None = None
    started: float = field(factory=lambda: asyncio.get_running_loop().time())
    _records: _Speed = field(factory=lambda: _Speed(_RATE_OVER))
    _file: _Speed = field(factory=lambda: _Speed(_TIME_LEFT_OVER))
    _reported_before: int = 0

    def __attrs_post_init__(self) -> None:
        self._records.restart(self.started, 0)
        self._file.restart(self.started, 0)

    def line(self) -> str:
        """Return the progress in one line."""
        now = asyncio.get_running_loop().time()
        rate = self._records.measure(now, self.report.completed - self.report.reported_before)
        return ", ".join(
            [
                self._counts(),
                f"{rate:,.0f} records/s",
                f"{duration(now - self.started)} elapsed",
                *self._time_left(now),
                *self._service(now),
            ]
        )

    def _counts(self) -> str:
        report = self.report
        completed, landed = report.completed, report.landed
        counts = f"{report.read:,} read, {report.read - completed:,} waiting, {landed:,} landed"
        return f"{counts}, {completed - landed:,} did not"

    def _time_left(self, now: float) -> list[str]:
        if self.bytes_total is None or self.bytes_done is None:
            return ["time left unknown (a pipe)"]
        done = self.bytes_done(self.report.completed) if self.bytes_total else 0.0
        if done is None:
            return ["time left not known yet"]
        share = min(done / self.bytes_total, 1.0) if self.bytes_total else 1.0
        if self.report.reported_before != self._reported_before:
            self._reported_before = self.report.reported_before
            self._file.restart(now, share)
        speed = self._file.measure(now, share)
        left = f"about {duration((1 - share) / speed)} left" if speed > 0 else "time left not known yet"
        return [f"{share:.0%} of the file", *([] if share == 1 else [left])]

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
    say(text)


@contextmanager
def _on_a_terminal() -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status("starting") as status:
        yield lambda text: status.update(escape(text))
