"""Takes a chunk from its plan to its outcomes. How it is sent and read is left to its sender."""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Protocol, TypeVar

from clinia_async.calls import RetrySafety, Write
from clinia_async.calls.receipts import proves_not_applied
from clinia_async.errors import (
    CliniaError,
    ContentTooLarge,
    Evidence,
    InvalidWrite,
    Outcome,
    RequestError,
    SessionClosed,
    TaskPollError,
)
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.options import OnUnknown
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.checkpoints import ChunkCheckpoints
from clinia_async.ingest.pipeline.in_flight import InFlight
from clinia_async.ingest.pipeline.pending_chunks import PendingChunks
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.senders.error_outcomes import TOO_LARGE
from clinia_async.ingest.senders.retrying_session import JobStopped, RetryingSession
from clinia_async.models.secret import fingerprint
from clinia_async.models.task_id import TaskId
from clinia_async.tasks.early_poll import EarlyPollBackoff, early_poll
from clinia_async.tasks.task import Task
from clinia_async.telemetry import ChunkSent, RecordFailed

F = TypeVar("F")

MAYBE_APPLIED = "it may have arrived, and a second one would be a second record"
_SENDS = 3
"""How often a chunk is sent whose task the service loses."""
_NOT_FOUND = 404


class Sender(Protocol):
    """One way to send records."""

    def write(self, chunk: Chunk) -> Write[object]:
        """Return what is sent for a chunk. Raises `InvalidWrite` for what cannot go this way."""
        ...

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> ChunkOutcomes:
        """Return what became of the records, once their task has ended."""
        ...

    async def refused(self, chunk: Chunk, error: CliniaError) -> ChunkOutcomes:
        """Return what an error means for the records."""
        ...


class ChunkSource(Protocol):
    """Where a worker gets its chunks."""

    async def next(self) -> Chunk | None:
        """Return the next chunk, or None at the end of the input."""
        ...


class ChunkWorker:
    """One of several that take chunks from the chunker."""

    def __init__(
        self,
        chunker: ChunkSource,
        sender: Sender,
        *,
        in_flight: InFlight,
        checkpoints: ChunkCheckpoints,
        session: RetryingSession,
        report: Report,
        on_unknown: OnUnknown,
        early_polls: EarlyPollBackoff,
        pending: PendingChunks,
    ) -> None:
        self._chunker = chunker
        self._sender = sender
        self._in_flight = in_flight
        self._checkpoints = checkpoints
        self._session = session
        self._report = report
        self._on_unknown = on_unknown
        self._early_polls = early_polls
        self._pending = pending

    async def work(self) -> None:
        """Process chunks to the end of the input.

        Raises:
            JobStopped: the key was refused, or no good answer came.
            JournalError: the journal cannot be written.
            SessionClosed: the session was closed under the job.
        """
        while True:
            await self._pending.wait_for_room()
            await self._in_flight.wait_for_room()
            chunk = await self._chunker.next()
            if chunk is None:
                return
            await self._take(chunk)

    async def _take(self, chunk: Chunk) -> None:
        if not chunk.number:
            await self._checkpoints.planned(chunk)
        await self._process([chunk])

    async def _process(self, chunks: list[Chunk]) -> None:
        """Send chunks, and complete them unless their tasks are pending: those are waited for elsewhere."""
        while chunks:
            chunk = chunks.pop()
            chunk.began = asyncio.get_running_loop().time()
            chunks += await self._carry_on(chunk, self._send(chunk))

    async def _carry_on(
        self, chunk: Chunk, sending: "Coroutine[object, object, ChunkOutcomes | Task[object]]"
    ) -> Sequence[Chunk]:
        """Complete a chunk, or leave it to its pending task; return its parts where it must be split."""
        found = await self._outcomes(chunk, sending)
        if isinstance(found, Task):
            self._pending.add(chunk, partial(self._finish, chunk, found))
            return ()
        return await self._complete(chunk, found)

    async def _finish(self, chunk: Chunk, task: Task[object]) -> None:
        """Wait for the task of a chunk, and complete it."""
        outcomes = await self._outcomes(chunk, self._wait(chunk, task), "chunk wait")
        del task  # its receipts are larger than the chunk, and the journal may take its time
        await self._process([*await self._complete(chunk, outcomes)])

    async def _complete(self, chunk: Chunk, outcomes: ChunkOutcomes | None) -> Sequence[Chunk]:
        """Write down and report the outcomes of a chunk; without any, return its parts."""
        if outcomes is None:
            return await self._split(chunk)
        try:
            if chunk.state is ChunkState.ACCEPTED and not chunk.has_ended:
                await self._checkpoints.reported(outcomes)
            else:
                await self._checkpoints.completed(chunk, outcomes)
        finally:  # what is known is reported, even where it cannot be written down
            self._in_flight.complete(chunk, outcomes)
        self._report.add_duration(chunk, asyncio.get_running_loop().time() - chunk.began)
        self._emit_failed(outcomes)
        await self._in_flight.wait_for_room()
        return ()

    def _emit_failed(self, outcomes: ChunkOutcomes) -> None:
        telemetry = self._session.telemetry
        for outcome in outcomes.unlanded() if telemetry.active else ():
            telemetry.emit(
                RecordFailed(
                    file=outcome.file,
                    line=outcome.line,
                    disposition=outcome.disposition,
                    reason=outcome.reason,
                )
            )

    async def _outcomes(
        self, chunk: Chunk, work: Coroutine[object, object, F], span: str = "chunk"
    ) -> F | ChunkOutcomes | None:
        """Return what `work` returns, within a span, or what its error means for the chunk.

        That is None where the records cannot go together, and so must be split.
        """
        try:
            with self._session.telemetry.span(span, clinia__records=len(chunk.records)):
                return await work
        except (JobStopped, SessionClosed) as stop:
            await self._stopped(chunk, stop)
            raise
        except JournalError:
            raise
        except (ContentTooLarge, InvalidWrite) as error:
            if len(chunk.records) > 1:
                return None
            refusal: CliniaError = error
        except CliniaError as error:
            refusal = error
        return await self._refused(chunk, refusal)

    async def _refused(self, chunk: Chunk, error: CliniaError) -> ChunkOutcomes:
        if error.outcome is Outcome.NOT_SENT:
            self._in_flight.mark_not_sent(chunk)
        if isinstance(error, ContentTooLarge) and error.outcome is Outcome.REJECTED:
            return ChunkOutcomes.same(chunk, (Disposition.REJECTED, TOO_LARGE, error.evidence))
        try:
            return await self._sender.refused(chunk, error)
        except RequestError as unread:
            return ChunkOutcomes.same(chunk, (Disposition.UNKNOWN, type(unread).__name__, Evidence.NONE))

    async def _stopped(self, chunk: Chunk, stop: JobStopped | SessionClosed) -> None:
        chunk.requests += getattr(stop, "attempts", 0)
        is_proven = proves_not_applied(stop) and not chunk.maybe_applied
        if is_proven and chunk.state is ChunkState.SENDING:
            with contextlib.suppress(JournalError):
                await self._checkpoints.withdrawn(chunk)
        if is_proven:
            self._in_flight.mark_not_sent(chunk)
            self._in_flight.fail(chunk, (Disposition.UNSENT, str(stop), stop.evidence))
        else:
            self._in_flight.fail(chunk, (Disposition.UNKNOWN, str(stop), Evidence.NONE))

    async def _send(self, chunk: Chunk) -> "ChunkOutcomes | Task[object]":
        """Send a chunk; return its outcomes, or its task if that is pending."""
        write = self._sender.write(chunk)
        if chunk.task is None and self._may_not_repeat(chunk, write):
            return ChunkOutcomes.same(chunk, (Disposition.UNKNOWN, MAYBE_APPLIED, Evidence.NONE))
        task = await self._submit(chunk, write)
        if len(chunk.records) > 1:
            await early_poll(task, self._early_polls)
        return await self._outcomes_of(chunk, task) if task.done() else task

    async def _wait(self, chunk: Chunk, task: Task[object]) -> ChunkOutcomes:
        """Wait for a task and return the outcomes; a chunk whose task the service loses is sent again."""
        for sends_left in reversed(range(_SENDS)):
            try:
                await self._session.wait_for(task.wait)
            except TaskPollError as error:
                if error.status != _NOT_FOUND or not sends_left:
                    raise
            else:
                return await self._outcomes_of(chunk, task)
            await self._checkpoints.lost(chunk)
            sent = await self._send(chunk)
            if not isinstance(sent, Task):
                return sent
            task = sent
        raise AssertionError("the last send has an outcome")

    async def _outcomes_of(self, chunk: Chunk, task: Task[object]) -> ChunkOutcomes:
        chunk.has_ended = True
        self._note_lag(task)
        return await self._sender.outcomes(chunk, task)

    async def _submit(self, chunk: Chunk, write: Write[object]) -> Task[object]:
        if chunk.task is not None:
            return self._session.resume(write, chunk.task, maybe_applied=chunk.maybe_applied)
        await self._checkpoints.sending(chunk)
        self._in_flight.mark_sent(chunk)
        try:
            task = await self._session.submit(
                write, maybe_applied=chunk.maybe_applied, before_repeat=lambda: self._note_repeat(chunk)
            )
        except RequestError as error:
            self._note_failure(chunk, error)
            raise
        await self._submitted(chunk, task)
        return task

    def _note_failure(self, chunk: Chunk, error: RequestError) -> None:
        chunk.requests += error.attempts
        chunk.maybe_applied = chunk.maybe_applied or error.outcome is Outcome.UNKNOWN

    async def _submitted(self, chunk: Chunk, task: Task[object]) -> None:
        chunk.requests += task.attempts
        chunk.maybe_applied = task.maybe_applied
        self._emit_sent(len(chunk.records), task)
        if task.id is not None and not task.done():
            await self._accepted(chunk, task.id)

    def _emit_sent(self, records: int, task: Task[object]) -> None:
        if self._session.telemetry.active:
            sent = ChunkSent(
                records=records,
                attempts=task.attempts,
                task=None if task.id is None else fingerprint(task.id),
                request_id=task.request_id,
            )
            self._session.telemetry.emit(sent)

    async def _accepted(self, chunk: Chunk, task: TaskId) -> None:
        try:
            await self._checkpoints.accepted(chunk, task, maybe_applied=chunk.maybe_applied)
        except JournalError:
            # nothing more is sent; but this was accepted, and what becomes of it can still be reported
            self._in_flight.stop()

    def _may_not_repeat(self, chunk: Chunk, write: Write[object]) -> bool:
        """Whether it may have arrived and must not be sent again."""
        once = write.retry_safety is RetrySafety.ONCE and self._on_unknown is OnUnknown.STOP
        return once and (chunk.maybe_applied or chunk.state in {ChunkState.SENDING, ChunkState.UNKNOWN})

    async def _split(self, chunk: Chunk) -> Sequence[Chunk]:
        middle = len(chunk.records) // 2
        halves = [
            Chunk(
                records,
                requests=chunk.requests,
                maybe_applied=chunk.maybe_applied,
                reported_before=chunk.reported_before,
                resent=chunk.resent,
            )
            for records in (chunk.records[:middle], chunk.records[middle:])
        ]
        await self._checkpoints.split(chunk, halves)
        self._in_flight.split(chunk, halves)
        return halves[::-1]

    def _note_repeat(self, chunk: Chunk) -> None:
        self._report.resent += 0 if chunk.resent else len(chunk.records)
        chunk.resent = True

    def _note_lag(self, task: Task[object]) -> None:
        gap = task.stats.detection_gap
        if gap is not None:
            self._report.lag.add(gap)
