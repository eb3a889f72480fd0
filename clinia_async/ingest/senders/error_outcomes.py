"""What an error says about the records that met it."""

from clinia_async.errors import (
    ApiError,
    CliniaError,
    InvalidWrite,
    Outcome,
    RequestError,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
    WriteConflict,
)
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding, RecordOutcome
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.senders.conflicts import DIFFERENT
from clinia_async.models import Receipt

TOO_LARGE = "it is too large for the service"
CANCELLED = "cancelled by a concurrent operation"
DROPPED = "a reviewer rejected it"


def disposition_of(error: CliniaError) -> tuple[Disposition, str]:
    """The disposition and the reason. Whatever is not proven is UNKNOWN."""
    match error:
        case InvalidWrite():
            row = Disposition.INVALID, str(error)
        case WriteConflict():
            row = Disposition.FAILED, DIFFERENT
        case TaskDropped():
            row = Disposition.DROPPED, DROPPED
        case TaskCancelled(outcome=Outcome.REJECTED):
            row = Disposition.CANCELLED, CANCELLED
        case TaskFailed(outcome=Outcome.REJECTED):
            row = Disposition.FAILED, _of_receipts(error)
        case ApiError(outcome=Outcome.REJECTED):
            row = Disposition.REJECTED, str(error.type or f"status {error.status}")
        case RequestError(outcome=Outcome.NOT_SENT):
            row = Disposition.UNSENT, type(error).__name__
        case _:
            row = Disposition.UNKNOWN, type(error).__name__
    return row


def same_outcome(chunk: Chunk, disposition: Disposition, reason: str | None) -> ChunkOutcomes:
    """The same for every record of a chunk."""
    return ChunkOutcomes(chunk, [(disposition, reason)] * len(chunk.records))


def outcome_of(record: Record, chunk: Chunk, finding: Finding, *, reconciled: bool = False) -> RecordOutcome:
    return RecordOutcome(
        record,
        *finding,
        chunk.task,
        reconciled=reconciled,
        attempts=chunk.requests,
        maybe_applied=chunk.maybe_applied,
    )


def reason_of(receipt: Receipt) -> str:
    if receipt.error is None or receipt.error.type is None:
        return "no reason given"
    return str(receipt.error.type)


def _of_receipts(error: TaskFailed) -> str:
    return " ".join(sorted(set(map(reason_of, error.failed_receipts)))) or "no reason given"
