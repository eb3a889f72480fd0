"""Ingestion: read, validate, encode once, submit, wait, one outcome a record.

A fixed number of workers take from one reader, so memory is flat whatever the input.
"""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from clinia_async.calls.conflicts import OnExisting
from clinia_async.calls.validation import check_key
from clinia_async.errors import ConfigError, reason_of
from clinia_async.errors.settings import refuse_unknown_options
from clinia_async.ingest import journal as journals
from clinia_async.ingest.journal.replay import Replay
from clinia_async.ingest.journal.rows import JobIdentity
from clinia_async.ingest.options import OnUnknown, Via, checked_options, journal_of
from clinia_async.ingest.outcomes.outcome import RecordOutcome
from clinia_async.ingest.outcomes.outcome_queue import OutcomeQueue
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.checkpoints import ChunkCheckpoints
from clinia_async.ingest.pipeline.chunker import Chunker
from clinia_async.ingest.pipeline.in_flight import InFlight
from clinia_async.ingest.pipeline.input_reader import InputReader, Item
from clinia_async.ingest.pipeline.pending_chunks import PendingChunks
from clinia_async.ingest.pipeline.ready_queue import ReadyQueue
from clinia_async.ingest.pipeline.single_worker import Runs, SingleWorker
from clinia_async.ingest.pipeline.worker import ChunkSource, ChunkWorker, Sender
from clinia_async.ingest.records.chunk import ChunkLimits
from clinia_async.ingest.senders.bulk_sender import BulkSender
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.ingest.senders.single_sender import SingleSender
from clinia_async.ingest.senders.worker_pool import WorkerPool, wait_until_ended
from clinia_async.session.engine import running_loop
from clinia_async.session.session import Session
from clinia_async.tasks.early_poll import EarlyPollBackoff
from clinia_async.transport.adaptive_limit import ConcurrencyLimits

_GRACE = 30.0

_log = logging.getLogger("clinia_async.ingest")


class Ingestion:
    """Sends writes of records and reports what became of each.

        async with Ingestion(session, "ehr-prod", writes, journal=Path("load.db")) as job:
            async for outcome in job: ...
        print(job.report)

    A job runs once. The block is left when the job has ended: at the end of its input, or shortly after it
    was left early or cancelled, however often. `job.report` is complete then, and true at any moment before.
    The session stays open.

    With a `journal` the same job on the same input is continued where it was stopped, however it was: records
    that landed are not sent again, accepted ones are waited for, and what may have arrived is read back.
    Records that failed in a previous run are reported again (`outcome.reported_before`).

    Writes are encoded as they are read, and not kept: `outcome.record.write` is made anew of what was sent.

    Args:
        session: sends the requests. What else it sends meanwhile shares the `limits`.
        source: the key of the source that every record belongs to.
        writes: creates, upserts and deletes in any iterable, sync or async, dicts as lines of NDJSON hold
            them, or the records of a file as `read_ndjson` and `read_records` return them. It is read a
            little ahead of need, and no further once the job is stopped.
        journal: the file to write progress to; it is made if it is not there.
        input_id: any text that changes with the input, such as its digest. Without it, the input of a job
            with a journal is compared with that of the run before while it is read.
        service: any text that names the service in the journal; without it the origin of the registry.
        via: `single`, `bulk` or `bundle`: see `Via`.
        on_existing: what becomes of a create whose key is taken: `compare`, `keep` or `fail`.
        on_unknown: `stop` or `resend`, for creates whose id the service makes: only those could be stored
            twice by a retry.
        workers: requests that are prepared at once, 10,000 at most; without it 32 single ones, or 4 chunks.
        chunk: how large a chunk may become, and how old.
        patience: seconds without a single good answer after which the job is given up. What the service asks
            to wait does not count, up to a day in a row. It is asked when a call of the session has ended,
            with the retries that the session's own `retry` and `timeout` allow.
        fence: seconds for which the next write of a record waits behind one that may be carried out late,
            unless both are creates.
        limits: bounds of the requests in flight. How many there are is found out from what the service bears.
        may_have_arrived: all of the input may have been sent before, by a job without a journal. An equal
            record that is there already is then taken for the job's own.
        journal_is_copy: take a journal that was copied or restored from a backup for the original.

    Raises, at the end of the iteration and after every outcome:
        AccessRefused: the service refused the key.
        NetworkGivenUp: no good answer came for `patience` seconds.
        JournalBusy: another job has the journal open.
        JournalMismatch: the journal is of other input, another source or service, or it is a copy.
        JournalError: the journal cannot be read or written.
        SessionClosed: the session was closed under the job.
        SourceCancelled: `writes` raised `asyncio.CancelledError`.
        Exception: whatever else `writes` raises.
    """

    @refuse_unknown_options()
    def __init__(
        self,
        session: Session,
        source: str,
        writes: Iterable[Item] | AsyncIterable[Item],
        *,
        journal: Path | str | None = None,
        input_id: str | None = None,
        service: str | None = None,
        via: Via | str = Via.BULK,
        on_existing: OnExisting | str = OnExisting.COMPARE,
        on_unknown: OnUnknown | str = OnUnknown.STOP,
        workers: int | None = None,
        chunk: ChunkLimits = ChunkLimits(),  # noqa: B008  it is frozen
        patience: float = 60.0,
        fence: float = 60.0,
        limits: ConcurrencyLimits = ConcurrencyLimits(),  # noqa: B008  it is frozen
        may_have_arrived: bool = False,
        journal_is_copy: bool = False,
    ) -> None:
        """Check the options; nothing is read or sent before the block is entered.

        Raises:
            ConfigError: an option is outside its range.
            InvalidWrite: `source` is no key.
        """
        if not isinstance(session, Session):
            raise ConfigError(f"session must be of the class Session, not {type(session).__name__}")
        check_key(source, "$.source")
        journal = journal_of(journal, is_copy=journal_is_copy)
        self.report = Report()
        self._options = checked_options(
            via=via,
            on_existing=on_existing,
            on_unknown=on_unknown,
            workers=workers,
            chunk=chunk,
            patience=patience,
            fence=fence,
            limits=limits,
            may_have_arrived=may_have_arrived,
        )
        self._session = session
        self._source = source
        self._writes = writes
        self._journal = journal
        self._journal_is_copy = journal_is_copy
        self._input_id = input_id
        self._service = service or session.registry
        self._outcomes = OutcomeQueue()
        self._in_flight: InFlight | None = None
        self._workers: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._is_iterated = False

    async def run(self) -> Report:
        """Run the whole job and return its report. Raises what ended the job, as the iteration does."""
        async with self:
            async for _ in self.unlanded():
                pass
        return self.report

    def stop(self, grace: float | None = None) -> None:
        """Read and send no further record. What is in flight is completed, and the rest reported as unsent.

        What is not completed after `grace` seconds is reported as unknown. May be called again.
        """
        if self.report.stopped_by is None:
            self.report.stopped_by = "asked to stop"
        if self._in_flight is not None:
            self._in_flight.stop()
        if grace is not None and self._workers is not None:
            asyncio.get_running_loop().call_later(grace, self._workers.cancel)

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise ConfigError("a job runs once: make another one for another run")
        self._running = running_loop().create_task(self._run(), name="clinia-ingestion")
        self._running.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self

    def __aiter__(self) -> AsyncIterator[RecordOutcome]:
        return self._iterate(landed=True)

    def unlanded(self) -> AsyncIterator[RecordOutcome]:
        """Iterate over the outcomes of records that did not land, in place of over all; `report` counts all.

        Cheaper than the iteration over the job where there is nothing to do about records that landed.
        """
        return self._iterate(landed=False)

    async def _iterate(self, *, landed: bool) -> AsyncIterator[RecordOutcome]:
        if self._running is None:
            raise ConfigError("a job runs inside `async with`: use `async with job:`")
        self._is_iterated = True
        async for outcomes in self._outcomes.batches(landed=landed):
            for outcome in outcomes:
                yield outcome
        await asyncio.shield(self._running)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            if kind is None and not (self._is_iterated or self._running.done() or self.report.stopped_by):
                _log.warning("a job was left at once, which ends it: use run(), or iterate over its outcomes")
            self._running.cancel()
            await wait_until_ended([self._running])

    async def _run(self) -> None:
        journal: journals.Journal | None = None
        self.report.start(asyncio.get_running_loop().time)
        try:
            journal = await self._open()
            with self._session.limit_concurrency(self._options.limits, background=True) as limit:
                self.report.observe(limit)
                try:
                    with self._session.telemetry.span("ingest", clinia__source=self._source):
                        await self._work(journal)
                finally:
                    self.report.finish()
        except BaseException as error:
            if self.report.stopped_by is None:
                self.report.stopped_by = reason_of(error)
            raise
        finally:
            if self._in_flight is not None:
                self._in_flight.fail_remaining()
            self.report.finish()
            self._outcomes.close()
            if journal is not None:
                await journal.close()

    async def _open(self) -> "journals.Journal | None":
        if self._journal is None:
            return None
        identity = JobIdentity(self._source, self._service, self._options.via, self._input_id)
        return await journals.Journal.open(self._journal, identity, may_be_copy=self._journal_is_copy)

    async def _work(self, journal: "journals.Journal | None") -> None:
        options, replay = self._options, Replay(journal, compares=self._input_id is None)
        queue = ReadyQueue(options.fence, is_open=replay.is_over, blocks_unknown=journal is not None)
        input_reader = InputReader(
            self._source,
            self._writes,
            queue,
            self.report,
            replay,
            may_have_arrived=options.may_have_arrived,
        )
        in_flight = self._in_flight = InFlight(input_reader, queue, self.report, self._outcomes)
        checkpoints = ChunkCheckpoints(journal, input_reader)
        if self.report.stopped_by is not None:
            in_flight.stop()
        reader = asyncio.create_task(input_reader.read(in_flight.publish), name="clinia-reader")
        reader.add_done_callback(lambda done: done.cancelled() or done.exception())
        in_flight.on_stop = reader.cancel  # it may wait for its source
        self._workers = asyncio.create_task(self._run_workers(in_flight, checkpoints), name="clinia-workers")
        try:
            await asyncio.wait([self._workers])
        finally:
            queue.stop()
            for task in (self._workers, reader):
                task.cancel()
            await wait_until_ended([self._workers, reader])
        for task in (self._workers, reader):
            if not task.cancelled():
                task.result()

    async def _run_workers(self, in_flight: InFlight, checkpoints: ChunkCheckpoints) -> None:
        options = self._options
        session = RetryingSession(
            self._session, options.patience, resend=options.on_unknown is OnUnknown.RESEND
        )
        sender, early_polls = self._sender(session), EarlyPollBackoff()
        worker_type = SingleWorker if options.via is Via.SINGLE else ChunkWorker
        # After a failure the other workers finish what they hold: they complete it, or meet the same
        # failure themselves and then know the outcome of their records.
        pool = WorkerPool(grace=_GRACE, on_failure=in_flight.stop)
        pending = PendingChunks(pool)

        async def work() -> None:
            worker = worker_type(
                self._chunks(in_flight),
                sender,
                in_flight=in_flight,
                checkpoints=checkpoints,
                session=session,
                report=self.report,
                on_unknown=options.on_unknown,
                early_polls=early_polls,
                pending=pending,
            )
            await worker.work()

        for _ in range(options.worker_count):
            pool.start(work())
        await pool.join()

    def _chunks(self, in_flight: InFlight) -> ChunkSource:
        options = self._options
        if options.via is Via.SINGLE:
            return Runs(in_flight, options.worker_count)
        return Chunker(in_flight, options.chunk_limits, mixed=options.via is Via.BUNDLE)

    def _sender(self, session: RetryingSession) -> Sender:
        if self._options.via is Via.SINGLE:
            return SingleSender(session, self._options.on_existing)
        atomic = self._options.via is Via.BUNDLE
        return BulkSender(self._source, session, self._options.on_existing, atomic=atomic)
