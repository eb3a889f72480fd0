"""Ingestion: read, validate, encode once, submit, wait, one outcome a record.

A fixed number of workers take from one reader, so memory is flat whatever the input.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from clinia_async.calls.validation import check_key
from clinia_async.errors import ConfigError
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.replay import Replay
from clinia_async.ingest.journal.rows import JobIdentity
from clinia_async.ingest.options import IngestionOptions, OnUnknown, Options, Via
from clinia_async.ingest.outcomes.outcome import RecordOutcome
from clinia_async.ingest.outcomes.outcome_queue import OutcomeQueue
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.checkpoints import ChunkCheckpoints
from clinia_async.ingest.pipeline.chunker import Chunker
from clinia_async.ingest.pipeline.in_flight import InFlight
from clinia_async.ingest.pipeline.input_reader import InputReader, Item
from clinia_async.ingest.pipeline.ready_queue import ReadyQueue
from clinia_async.ingest.pipeline.worker import ChunkWorker, Sender
from clinia_async.ingest.senders.bulk_sender import BulkSender
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.ingest.senders.single_sender import SingleSender
from clinia_async.ingest.senders.worker_pool import run_workers
from clinia_async.session.session import Session
from clinia_async.tasks.early_poll import EarlyPollBackoff

_GRACE = 30.0


class Ingestion:
    """Sends writes of records and tells what became of each.

        async with Ingestion(session, "ehr-prod", writes, journal=Path("load.db")) as job:
            async for outcome in job: ...
        print(job.report)

    `writes` is an iterable, sync or async, of creates, upserts and deletes, or of what `read_ndjson` and
    its like give; it is pulled a little ahead of need. Leaving the block early, or a cancel, stops the
    job: `job.report` is complete all the same. The session stays open.

    With a `journal` the same job on the same input goes on where it was stopped, however it was: records
    that landed are not sent again, accepted ones are waited for, and what may have arrived is settled.
    Those that failed in a former run are told again (`outcome.former`). `input_id` is any text that
    changes with the input, such as its digest; without one the input is compared while it is read.
    `service` is any text that names the service; without one it is the origin of the registry. One job at a
    time can use a journal: `JournalBusy`. Other input, source or service: `JournalMismatch`.

    Writes are encoded as they are pulled, and not kept: `outcome.record.write` is made anew of what was sent.

    Whatever ends the job is raised at the end of the iteration, after every outcome: `AccessRefused`,
    `NetworkGivenUp`, `JournalError`, or what `writes` raises.

    `workers` requests are prepared at once (32 single ones, or 4 chunks). How many of them are in flight,
    with the looks at their tasks, is found out from what the service bears, within `limits`; that holds for
    whatever else the session sends meanwhile. A job goes on for `patience` seconds (60) without a single
    good answer before it is given up; what the service asks to wait does not count. After a write that
    may arrive late the next write of the same record waits for `fence` seconds (60), unless both are
    creates. `on_unknown` is for creates whose id the service makes: only they could be doubled by a
    repeat. `may_have_arrived` says that all of the input may have been sent before, by somebody who kept
    no journal: an equal record that is there already is then taken for its own.
    """

    def __init__(
        self,
        session: Session,
        source: str,
        writes: Iterable[Item] | AsyncIterable[Item],
        *,
        journal: Path | None = None,
        input_id: str | None = None,
        service: str | None = None,
        **options: Unpack[IngestionOptions],
    ) -> None:
        check_key(source, "$.source")
        self.report = Report()
        self._options = Options(**options)
        self._session = session
        self._source = source
        self._writes = writes
        self._journal = journal
        self._input_id = input_id
        self._service = service or session.registry
        self._outcomes = OutcomeQueue()
        self._in_flight: InFlight | None = None
        self._workers: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> Report:
        """The whole job, for whoever needs no outcome by itself."""
        async with self:
            async for _ in self.unlanded():
                pass
        return self.report

    def stop(self, grace: float | None = None) -> None:
        """Takes no further record; those in flight come to their end, and the rest is told as unsent.

        What has not come to its end after `grace` seconds is told as unknown. May be called again.
        """
        if self.report.stopped_by is None:
            self.report.stopped_by = "asked to stop"
        if self._in_flight is not None:
            self._in_flight.stop()
        if grace is not None and self._workers is not None:
            asyncio.get_running_loop().call_later(grace, self._workers.cancel)

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run(), name="clinia-ingestion")
        return self

    def __aiter__(self) -> AsyncIterator[RecordOutcome]:
        return self._iterate(landed=True)

    def unlanded(self) -> AsyncIterator[RecordOutcome]:
        """The outcomes of records that did not land, and what ended the job; `report` counts the others too.

        For whoever has nothing to do about what landed, in place of iterating over the job, and cheaper.
        """
        return self._iterate(landed=False)

    async def _iterate(self, *, landed: bool) -> AsyncIterator[RecordOutcome]:
        if self._running is None:
            raise ConfigError("a job runs inside `async with`")
        async for outcomes in self._outcomes.batches(landed=landed):
            for outcome in outcomes:
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
        journal: Journal | None = None
        try:
            journal = await self._open()
            with self._session.limit_concurrency(self._options.limits) as gate:
                try:
                    await self._work(journal)
                finally:
                    self.report.note_gate(gate)
        except BaseException as error:
            if self.report.stopped_by is None:
                self.report.stopped_by = str(error) or type(error).__name__
            raise
        finally:
            if self._in_flight is not None:
                self._in_flight.fail_remaining()
            self.report.seconds = loop.time() - started
            self._outcomes.close()
            if journal is not None:
                await journal.close()

    async def _open(self) -> Journal | None:
        if self._journal is None:
            return None
        identity = JobIdentity(self._source, self._service, self._options.via, self._input_id)
        return await Journal.open(self._journal, identity)

    async def _work(self, journal: Journal | None) -> None:
        options, replay = self._options, Replay(journal)
        ready_queue = ReadyQueue(options.fence, is_open=replay.is_over, holds_unknown=journal is not None)
        input_reader = InputReader(
            self._source,
            self._writes,
            ready_queue,
            self.report,
            replay,
            may_have_arrived=options.may_have_arrived,
        )
        in_flight = self._in_flight = InFlight(input_reader, ready_queue, self.report, self._outcomes)
        checkpoints = ChunkCheckpoints(journal, input_reader)
        if self.report.stopped_by is not None:
            in_flight.stop()
        reader = asyncio.create_task(input_reader.read(in_flight.publish), name="clinia-reader")
        reader.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._workers = asyncio.create_task(self._run_workers(in_flight, checkpoints), name="clinia-crew")
        try:
            await asyncio.wait([self._workers])
        finally:
            ready_queue.stop()
            for task in (self._workers, reader):
                task.cancel()
            await asyncio.wait([self._workers, reader])
        for task in (self._workers, reader):
            if not task.cancelled():
                task.result()

    async def _run_workers(self, in_flight: InFlight, checkpoints: ChunkCheckpoints) -> None:
        session = RetryingSession(
            self._session, self._options.patience, resend=self._options.on_unknown is OnUnknown.RESEND
        )
        sender, early_polls = self._sender(session), EarlyPollBackoff()
        options = self._options

        async def work() -> None:
            chunker = Chunker(in_flight, options.chunk_limits, mixed=options.via is Via.BUNDLE)
            worker = ChunkWorker(
                chunker,
                sender,
                in_flight=in_flight,
                checkpoints=checkpoints,
                session=session,
                report=self.report,
                on_unknown=options.on_unknown,
                early_polls=early_polls,
            )
            await worker.work()

        # After a failure the other workers go on with what they hold: they come to its end, or meet
        # the same reason by themselves and then know how their records stand.
        await run_workers(work, options.worker_count, grace=_GRACE, on_failure=in_flight.stop)

    def _sender(self, session: RetryingSession) -> Sender:
        if self._options.via is Via.SINGLE:
            return SingleSender(session, self._options.on_existing)
        atomic = self._options.via is Via.BUNDLE
        return BulkSender(self._source, session, self._options.on_existing, atomic=atomic)
