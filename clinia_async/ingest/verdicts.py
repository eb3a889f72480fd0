"""What an error says about the record that met it."""

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
from clinia_async.ingest.existing import DIFFERENT
from clinia_async.ingest.outcomes import Disposition
from clinia_async.models import Receipt


def verdict(error: CliniaError) -> tuple[Disposition, str]:
    """The disposition and the reason. Whatever is not proven is UNKNOWN."""
    match error:
        case InvalidWrite():
            row = Disposition.INVALID, str(error)
        case WriteConflict():
            row = Disposition.FAILED, DIFFERENT
        case TaskDropped():
            row = Disposition.DROPPED, "a reviewer rejected it"
        case TaskCancelled(outcome=Outcome.REJECTED):
            row = Disposition.CANCELLED, "cancelled by a concurrent operation"
        case TaskFailed(outcome=Outcome.REJECTED):
            row = Disposition.FAILED, _of_receipts(error)
        case ApiError(outcome=Outcome.REJECTED):
            row = Disposition.FAILED, str(error.type or f"status {error.status}")
        case RequestError(outcome=Outcome.NOT_SENT):
            row = Disposition.UNSENT, type(error).__name__
        case _:
            row = Disposition.UNKNOWN, type(error).__name__
    return row


def reason_of(receipt: Receipt) -> str:
    if receipt.error is None or receipt.error.type is None:
        return "no reason given"
    return str(receipt.error.type)


def _of_receipts(error: TaskFailed) -> str:
    return " ".join(sorted(set(map(reason_of, error.failed_receipts)))) or "no reason given"
