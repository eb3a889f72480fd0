"""Sends one record a request."""

from clinia_async.calls import Write
from clinia_async.calls.reconciliation import is_key_taken
from clinia_async.errors import CliniaError, Evidence, InvalidWrite, TaskFailed, WriteConflict
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.senders.conflicts import OnExisting, compare_existing, reconcile_maybe_applied
from clinia_async.ingest.senders.error_outcomes import finding_of
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.tasks.task import Task


class SingleSender:
    """Chunks of one record."""

    def __init__(self, session: RetryingSession, on_existing: OnExisting) -> None:
        self._session = session
        self._on_existing = on_existing

    def write(self, chunk: Chunk) -> Write[object]:
        write = chunk.records[0].write
        if not hasattr(write, "request"):
            raise InvalidWrite("$.action", "must not be UPSERT: a relationship has no such call of its own")
        return write  # type: ignore[return-value]

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> ChunkOutcomes:
        queued = chunk.state is ChunkState.ACCEPTED
        await self._session.wait_for(task.result)
        chunk.maybe_applied = task.maybe_applied
        if task.reconciled:
            return ChunkOutcomes.same(chunk, (Disposition.PERSISTED, None, Evidence.READ_BACK))
        if queued:
            return ChunkOutcomes.same(chunk, (Disposition.SUCCEEDED, None, task.evidence))
        return ChunkOutcomes.same(chunk, (Disposition.PERSISTED, None, Evidence.ENVELOPE))

    async def refused(self, chunk: Chunk, error: CliniaError) -> ChunkOutcomes:
        record, read = chunk.records[0], self._session.read
        if isinstance(error, WriteConflict):
            found = await reconcile_maybe_applied(record, self._on_existing, read)
        elif _is_key_taken(error) and not chunk.maybe_applied:
            found = await compare_existing(record, self._on_existing, read, error.evidence)
        else:
            found = finding_of(error)
        return ChunkOutcomes.same(chunk, found)


def _is_key_taken(error: CliniaError) -> bool:
    if isinstance(error, TaskFailed):
        return len(error.failed_receipts) == 1 and is_key_taken(error.failed_receipts[0])
    return is_key_taken(error)
