"""One request a record."""

import asyncio
from collections.abc import Sequence

from clinia_async.calls import Write
from clinia_async.calls.reconciliation import READ_BACK_FOR
from clinia_async.errors import AlreadyExists, CliniaError, InvalidWrite, TaskFailed, WriteConflict
from clinia_async.ingest.outcomes.outcome import Disposition, Finding, RecordOutcome
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.senders.conflicts import (
    OnExisting,
    compare_existing,
    different,
    reconcile_maybe_applied,
)
from clinia_async.ingest.senders.error_outcomes import disposition_of, outcome_of, same_outcome
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.models import Action, ErrorType
from clinia_async.tasks.task import Task


class SingleSender:
    def __init__(self, session: RetryingSession, on_existing: OnExisting) -> None:
        self._session = session
        self._on_existing = on_existing

    def write(self, chunk: Chunk) -> Write[object]:
        write = chunk.records[0].write
        if not hasattr(write, "request"):
            raise InvalidWrite("$.action", "must not be UPSERT: a relationship has no such call of its own")
        return write  # type: ignore[return-value]

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> Sequence[RecordOutcome]:
        queued = chunk.state is ChunkState.ACCEPTED
        await self._session.watched(task.result)
        chunk.maybe_applied = task.maybe_applied
        stored = Disposition.SUCCEEDED if queued and not task.reconciled else Disposition.PERSISTED
        return [outcome_of(chunk.records[0], chunk, (stored, None), reconciled=task.reconciled)]

    async def refused(self, chunk: Chunk, error: CliniaError) -> Sequence[RecordOutcome]:
        record = chunk.records[0]
        if isinstance(error, WriteConflict):
            found = await self._after_a_conflict(record)
            return [outcome_of(record, chunk, found, reconciled=found[0] is Disposition.PERSISTED)]
        if _says_taken(error):
            found = await compare_existing(record, self._on_existing, self._session.read)
            return [outcome_of(record, chunk, found)]
        return same_outcome(chunk, *disposition_of(error))

    async def _after_a_conflict(self, record: Record) -> Finding:
        if record.action is Action.CREATE:
            return different(self._on_existing)
        # the first of two is still on its way, or was undone by somebody else
        deadline = asyncio.get_running_loop().time() + READ_BACK_FOR
        return await reconcile_maybe_applied(record, self._on_existing, self._session.read, deadline)


def _says_taken(error: CliniaError) -> bool:
    if isinstance(error, TaskFailed):
        types = [receipt.error and receipt.error.type for receipt in error.failed_receipts]
        return types == [ErrorType.ALREADY_EXISTS]
    return isinstance(error, AlreadyExists)
