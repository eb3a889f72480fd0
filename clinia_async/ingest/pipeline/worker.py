"""The way of a chunk from its plan to its outcomes. How it is sent and told is a matter of its carrier."""

import contextlib
from collections.abc import Sequence
from typing import Protocol

from clinia_async.calls import RetrySafety, Write
from clinia_async.errors import (
    CliniaError,
    ContentTooLarge,
    InvalidWrite,
    Outcome,
    RequestError,
    TaskPollError,
)
from clinia_async.ingest.journal.file import JournalError
from clinia_async.ingest.options import OnUnknown
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.checkpoints import Ledger
from clinia_async.ingest.pipeline.chunker import Filling
from clinia_async.ingest.pipeline.in_flight import Flight
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.senders.error_outcomes import TOO_LARGE, told
from clinia_async.ingest.senders.retrying_session import JobStopped, PatientSession
from clinia_async.models.task_id import TaskId
from clinia_async.tasks.early_poll import EarlyPollBackoff
from clinia_async.tasks.task import Task

IN_DOUBT = "it may have arrived, and a second one would be a second record"
_SENDS = 3
"""How often a chunk is sent whose task the service loses."""
_NOT_FOUND = 404


class Carrier(Protocol):
    """One way to send records."""

    def write(self, chunk: Chunk) -> Write[object]:
        """What is sent for it. Raises `InvalidWrite` for what cannot go this way."""
        ...

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> Sequence[RecordOutcome]:
        """What became of its records, once its task has ended."""
        ...

    async def refused(self, chunk: Chunk, error: CliniaError) -> Sequence[RecordOutcome]:
        """What an error says of its records."""
        ...


class Lane:
    """What one worker runs on."""

    def __init__(
        self,
        filling: Filling,
        carrier: Carrier,
        *,
        flight: Flight,
        ledger: Ledger,
        service: PatientSession,
        report: Report,
        on_unknown: OnUnknown,
        hurry: EarlyPollBackoff,
    ) -> None:
        self._filling = filling
        self._carrier = carrier
        self._flight = flight
        self._ledger = ledger
        self._service = service
        self._report = report
        self._on_unknown = on_unknown
        self._hurry = hurry

    async def work(self) -> None:
        while (chunk := await self._filling.next()) is not None:
            if not chunk.number:
                await self._ledger.planned(chunk)
            todo = [chunk]
            while todo:
                todo.extend(await self._finish(todo.pop()))

    async def _finish(self, chunk: Chunk) -> Sequence[Chunk]:
        """Brings a chunk to its end; gives the parts of one that cannot go as a whole."""
        try:
            outcomes = await self._outcomes(chunk)
        except JobStopped as stop:
            await self._stopped(chunk, stop)
            raise
        if outcomes is None:
            return await self._halves(chunk)
        try:
            if chunk.state is ChunkState.ACCEPTED and not chunk.has_ended:
                await self._ledger.told(outcomes)
            else:
                await self._ledger.settled(chunk, outcomes)
        finally:  # what is known is told, even where it cannot be written down
            self._flight.settle(chunk, outcomes)
        await self._flight.room()
        return ()

    async def _outcomes(self, chunk: Chunk) -> Sequence[RecordOutcome] | None:
        """None where its records cannot go together, and so must go apart."""
        try:
            return await self._carried(chunk)
        except (JobStopped, JournalError):
            raise
        except (ContentTooLarge, InvalidWrite) as error:
            if len(chunk.records) > 1:
                return None
            refusal: CliniaError = error
        except CliniaError as error:
            refusal = error
        return await self._refused(chunk, refusal)

    async def _refused(self, chunk: Chunk, error: CliniaError) -> Sequence[RecordOutcome]:
        if isinstance(error, ContentTooLarge) and error.outcome is Outcome.REJECTED:
            return told(chunk, Disposition.REJECTED, TOO_LARGE)
        try:
            return await self._carrier.refused(chunk, error)
        except RequestError as unread:
            return told(chunk, Disposition.UNKNOWN, type(unread).__name__)

    async def _stopped(self, chunk: Chunk, stop: JobStopped) -> None:
        chunk.requests += stop.attempts
        is_proven = stop.outcome in {Outcome.NOT_SENT, Outcome.REJECTED} and not chunk.doubtful
        if is_proven and chunk.state is ChunkState.SENDING:
            with contextlib.suppress(JournalError):
                await self._ledger.withdrawn(chunk)
        self._flight.stranded(chunk, str(stop), is_proven=is_proven)

    async def _carried(self, chunk: Chunk) -> Sequence[RecordOutcome]:
        write = self._carrier.write(chunk)
        for sends_left in reversed(range(_SENDS)):
            if chunk.task is None and self._is_given_up(chunk, write):
                return told(chunk, Disposition.UNKNOWN, IN_DOUBT)
            task = await self._task(chunk, write)
            await self._glance(chunk, task)
            try:
                await self._service.watched(task.wait)
            except TaskPollError as error:
                if error.status != _NOT_FOUND or not sends_left:
                    raise
                await self._ledger.lost(chunk)
                continue
            chunk.has_ended = True
            self._note_lag(task)
            return await self._carrier.outcomes(chunk, task)
        raise AssertionError("the last send is told")

    async def _glance(self, chunk: Chunk, task: Task[object]) -> None:
        """One look with receipts, where many records may have come to their end by now."""
        if len(chunk.records) == 1 or task.done() or not self._hurry.is_of_use():
            return
        with contextlib.suppress(CliniaError):  # whoever waits for it meets the same, and knows what to do
            await task.refresh(receipts=True)
        self._hurry.found(ended=task.done())

    async def _task(self, chunk: Chunk, write: Write[object]) -> Task[object]:
        if chunk.task is not None:
            return self._service.resume(write, chunk.task, doubtful=chunk.doubtful)
        await self._ledger.sending(chunk)
        self._flight.depart(chunk)
        try:
            task = await self._service.submit(
                write, doubtful=chunk.doubtful, before_repeat=lambda: self._note_repeat(chunk)
            )
        except RequestError as error:
            chunk.requests += error.attempts
            chunk.doubtful = chunk.doubtful or error.outcome is Outcome.UNKNOWN
            raise
        chunk.requests += task.attempts
        chunk.doubtful = task.maybe_applied
        if task.id is not None and not task.done():
            await self._accepted(chunk, task.id)
        return task

    async def _accepted(self, chunk: Chunk, task: TaskId) -> None:
        try:
            await self._ledger.accepted(chunk, task, doubtful=chunk.doubtful)
        except JournalError:
            # nothing more is sent; but this was taken, and what becomes of it can still be told
            self._flight.stop()

    def _is_given_up(self, chunk: Chunk, write: Write[object]) -> bool:
        """Whether it may have arrived and must not be sent again."""
        once = write.retry_safety is RetrySafety.ONCE and self._on_unknown is OnUnknown.STOP
        return once and (chunk.doubtful or chunk.state in {ChunkState.SENDING, ChunkState.UNKNOWN})

    async def _halves(self, chunk: Chunk) -> Sequence[Chunk]:
        middle = len(chunk.records) // 2
        halves = [
            Chunk(
                records,
                requests=chunk.requests,
                doubtful=chunk.doubtful,
                retold=chunk.retold,
                resent=chunk.resent,
            )
            for records in (chunk.records[:middle], chunk.records[middle:])
        ]
        await self._ledger.split(chunk, halves)
        self._flight.recall(chunk, halves)
        return halves[::-1]

    def _note_repeat(self, chunk: Chunk) -> None:
        self._report.resent += 0 if chunk.resent else len(chunk.records)
        chunk.resent = True

    def _note_lag(self, task: Task[object]) -> None:
        gap = task.stats.detection_gap
        if gap is not None:
            self._report.lag.add(gap)
