"""The course of a job: samples at even intervals, as many as a chart can show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import asdict, define, field, frozen

from clinia_async.ingest.outcomes.report import Report
from clinia_async.transport.adaptive_limit import AdaptiveLimit, Load

_FIRST_INTERVAL = 0.1
_MOST = 400


@frozen
class Sample:
    """The state of a job `at` seconds after its start; counts are totals."""

    at: float
    read: int
    landed: int
    failed: int
    in_flight: int
    allowed: float
    """Requests in flight that the service was found to bear."""
    throttles: int
    lag: float | None
    """Mean detection lag of the tasks that ended since the sample before, in seconds."""


@define
class Timeline:
    """Takes a sample every 0.1 s; once there are 400, every second one goes and the interval doubles."""

    report: Report
    limit: AdaptiveLimit | Load
    samples: list[Sample] = field(factory=list)
    _interval: float = _FIRST_INTERVAL
    _lag: tuple[int, float] = (0, 0.0)

    @asynccontextmanager
    async def recorded(self) -> AsyncIterator[None]:
        """Take samples for as long as the block runs, and one at its end."""
        sampling = asyncio.create_task(self._sample(), name="clinia-timeline")
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            self._add()

    def fields(self) -> list[dict[str, object]]:
        """Return the samples as JSON fields."""
        return [asdict(sample) for sample in self.samples]

    async def _sample(self) -> None:
        while True:
            self._add()
            await asyncio.sleep(self._interval)

    def _add(self) -> None:
        report, landed = self.report, self.report.landed
        tasks, total = report.lag.tasks, report.lag.total
        since, before = self._lag
        self._lag = tasks, total
        self.samples.append(
            Sample(
                at=round(report.seconds, 3),
                read=report.read,
                landed=landed,
                failed=report.completed - landed,
                in_flight=self.limit.in_flight,
                allowed=round(self.limit.limit, 1),
                throttles=self.limit.throttles,
                lag=round((total - before) / (tasks - since), 4) if tasks > since else None,
            )
        )
        if len(self.samples) >= _MOST:
            del self.samples[1::2]
            self._interval *= 2
