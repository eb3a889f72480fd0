"""Ingestion: pull, validate, encode once, submit, wait, one outcome a record.

A fixed number of workers pull from one shared iterator, so memory is flat whatever the input.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from enum import StrEnum
from types import TracebackType
from typing import Self

from clinia_async.calls.checks import check_key
from clinia_async.errors import ConfigError
from clinia_async.ingest.bulk import BulkLane, ChunkLimits
from clinia_async.ingest.crew import work_together
from clinia_async.ingest.existing import OnExisting
from clinia_async.ingest.flight import Flight
from clinia_async.ingest.intake import Intake, Item
from clinia_async.ingest.keys_in_flight import KeysInFlight
from clinia_async.ingest.outcome_stream import OutcomeStream
from clinia_async.ingest.outcomes import RecordOutcome
from clinia_async.ingest.report import Report
from clinia_async.ingest.service import PatientSession
from clinia_async.ingest.single import SingleLane
from clinia_async.session import Session


class Via(StrEnum):
    SINGLE = "single"
    """One request a record, many at once."""
    BULK = "bulk"
    """One request and one task a chunk."""


_GRACE = 30.0
_WORKERS = {Via.SINGLE: 32, Via.BULK: 4}


class Ingestion:
    """Sends relationships and tells what became of each.

        async with Ingestion(session, "ehr-prod", writes) as job:
            async for outcome in job: ...
        print(job.report)

    `writes` is an iterable, sync or async, of `CreateRelationship` or of what `read_ndjson` gives; it is
    pulled when there is room. Leaving the block early stops the job: `job.report` is complete all the
    same. The session stays open.

    `workers` requests are in flight at once (32 single ones, or 4 chunks). A chunk holds at most
    `chunk` operations and bytes. `patience` is how many seconds a job goes on without a single good
    answer before it is given up (`NetworkGivenUp`); a refused key ends it at once (`AccessRefused`).
    Both are raised at the end of the iteration, after every outcome.
    """

    def __init__(
        self,
        session: Session,
        source: str,
        writes: Iterable[Item] | AsyncIterable[Item],
        *,
        via: Via | str = Via.BULK,
        on_existing: OnExisting | str = OnExisting.COMPARE,
        workers: int | None = None,
        chunk: ChunkLimits | None = None,
        patience: float = 60.0,
    ) -> None:
        check_key(source, "$.source")
        self.report = Report()
        self._via = Via(via)
        self._on_existing = OnExisting(on_existing)
        self._workers = _WORKERS[self._via] if workers is None else workers
        if self._workers < 1:
            raise ConfigError("workers must be at least 1")
        self._chunk = chunk or ChunkLimits()
        self._session = session
        self._patience = patience
        keys = KeysInFlight()
        self._intake = Intake(source, writes, keys, self.report)
        self._outcomes = OutcomeStream()
        self._flight = Flight(source, self._intake, keys, self.report, self._outcomes)
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> Report:
        """The whole job, for whoever needs no outcome by itself."""
        async with self:
            async for _ in self:
                pass
        return self.report

    def stop(self) -> None:
        """Takes no further record; those in flight come to their end, and the rest is told as unsent."""
        if self.report.stopped_by is None:
            self.report.stopped_by = "asked to stop"
        self._flight.stop()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run(), name="clinia-ingestion")
        return self

    async def __aiter__(self) -> AsyncIterator[RecordOutcome]:
        if self._running is None:
            raise ConfigError("a job runs inside `async with`")
        async for outcome in self._outcomes:
            yield outcome
        await self._running

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await self._work()
        except BaseException as error:
            if self.report.stopped_by is None:
                self.report.stopped_by = str(error) or type(error).__name__
            raise
        finally:
            await self._intake.close()
            self._flight.strand_the_rest()
            self.report.seconds = loop.time() - started
            self._outcomes.close()

    async def _work(self) -> None:
        # After a failure the other workers go on with what they hold: they come to its end, or meet
        # the same reason by themselves and then know how their records stand.
        await work_together(self._lane().work, self._workers, grace=_GRACE, on_failure=self._flight.stop)

    def _lane(self) -> SingleLane | BulkLane:
        service = PatientSession(self._session, self._patience)
        if self._via is Via.SINGLE:
            return SingleLane(self._flight, service, self._on_existing)
        return BulkLane(self._flight, service, self._on_existing, self._chunk)
