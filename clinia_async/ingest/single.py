"""One request a record."""

from collections.abc import Sequence

from clinia_async.calls import Write
from clinia_async.errors import AlreadyExists, CliniaError, InvalidWrite, TaskFailed, WriteConflict
from clinia_async.ingest.chunks import Chunk, ChunkState
from clinia_async.ingest.existing import OnExisting, different, settle_existing
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.service import PatientSession
from clinia_async.ingest.verdicts import outcome_of, told, verdict
from clinia_async.models import ErrorType
from clinia_async.tasks import Task


class Single:
    def __init__(self, service: PatientSession, on_existing: OnExisting) -> None:
        self._service = service
        self._on_existing = on_existing

    def write(self, chunk: Chunk) -> Write[object]:
        write = chunk.records[0].write
        if not hasattr(write, "request"):
            raise InvalidWrite("$.action", "must not be UPSERT: a relationship has no such call of its own")
        return write  # type: ignore[return-value]

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> Sequence[RecordOutcome]:
        queued = chunk.state is ChunkState.ACCEPTED
        await self._service.watched(task.result)
        chunk.doubtful = task.doubtful
        stored = Disposition.SUCCEEDED if queued and not task.reconciled else Disposition.PERSISTED
        return [outcome_of(chunk.records[0], chunk, (stored, None), reconciled=task.reconciled)]

    async def refused(self, chunk: Chunk, error: CliniaError) -> Sequence[RecordOutcome]:
        record = chunk.records[0]
        if isinstance(error, WriteConflict):
            return [outcome_of(record, chunk, different(self._on_existing))]
        if _says_taken(error):
            found = await settle_existing(record, self._on_existing, self._service.read)
            return [outcome_of(record, chunk, found)]
        return told(chunk, *verdict(error))


def _says_taken(error: CliniaError) -> bool:
    if isinstance(error, TaskFailed):
        types = [receipt.error and receipt.error.type for receipt in error.failed_receipts]
        return types == [ErrorType.ALREADY_EXISTS]
    return isinstance(error, AlreadyExists)
