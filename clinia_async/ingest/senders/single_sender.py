"""Sends one record a request."""

from clinia_async.calls import Write
from clinia_async.calls.conflicts import OnExisting
from clinia_async.calls.reconciliation import proves_content, statement_of_answer
from clinia_async.errors import CliniaError, InvalidWrite, Outcome
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.senders.conflicts import resolve_conflict
from clinia_async.ingest.senders.error_outcomes import finding_of
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.tasks.task import Task

_ANSWERED = statement_of_answer(reconciled=False).evidence
_STORED: Finding = (Disposition.PERSISTED, None, _ANSWERED)


class SingleSender:
    """Chunks of one record, and runs of records that one answer each says all of."""

    def __init__(self, session: RetryingSession, on_existing: OnExisting) -> None:
        self._session = session
        self._on_existing = on_existing

    def write(self, chunk: Chunk) -> Write[object]:
        """Return the write of the one record of a chunk. Raises `InvalidWrite` if no call takes it alone."""
        return self.write_of(chunk.records[0])

    def write_of(self, record: Record) -> Write[object]:
        """Return the write of a record. Raises `InvalidWrite` if no call takes it alone."""
        write = record.write
        if not hasattr(write, "request"):
            raise InvalidWrite("$.action", "must not be UPSERT: a relationship has no such call of its own")
        return write  # type: ignore[return-value]

    def is_plain(self, task: Task[object]) -> bool:
        """Whether the first answer to a write says that it is carried out."""
        return task.evidence is _ANSWERED and task.attempts == 1 and not task.maybe_applied

    def stored(self, run: Chunk) -> ChunkOutcomes:
        """Return the outcomes of a run whose writes are all plainly carried out."""
        run.requests = len(run.records)
        return ChunkOutcomes(run.records, [_STORED] * run.requests, attempts=1)

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> ChunkOutcomes:
        queued = chunk.state is ChunkState.ACCEPTED
        await self._session.wait_for(task.result)
        chunk.maybe_applied = task.maybe_applied
        disposition = Disposition.SUCCEEDED if queued and not task.reconciled else Disposition.PERSISTED
        return ChunkOutcomes.same(chunk, (disposition, None, task.evidence))

    async def refused(self, chunk: Chunk, error: CliniaError) -> ChunkOutcomes:
        found = await resolve_conflict(
            chunk.records[0], error, self._on_existing, self._session.read, maybe_applied=chunk.maybe_applied
        )
        if error.outcome is Outcome.DONE and not proves_content(error):
            chunk.has_ended = False  # the next run asks again
        return ChunkOutcomes.same(chunk, found or finding_of(error))
