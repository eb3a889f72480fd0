"""What an error means for the records of the request that met it."""

from clinia_async.calls.reconciliation import proves_content
from clinia_async.errors import (
    ApiError,
    CliniaError,
    Evidence,
    InvalidWrite,
    Outcome,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
)
from clinia_async.ingest.outcomes.outcome import Disposition, Finding
from clinia_async.models import Receipt

TOO_LARGE = "it is too large for the service"
CANCELLED = "cancelled by a concurrent operation"
DROPPED = "a reviewer rejected it"


def finding_of(error: CliniaError) -> Finding:
    """Return the disposition, the reason and the evidence of an error. What is not proven is UNKNOWN."""
    disposition: Disposition
    reason: str | None
    match error:
        case InvalidWrite():
            disposition, reason = Disposition.INVALID, str(error)
        case CliniaError() if proves_content(error):
            disposition, reason = Disposition.SUCCEEDED, None
        case TaskDropped(outcome=Outcome.REJECTED):
            disposition, reason = Disposition.DROPPED, DROPPED
        case TaskCancelled(outcome=Outcome.REJECTED):
            disposition, reason = Disposition.CANCELLED, CANCELLED
        case TaskFailed(outcome=Outcome.REJECTED):
            disposition, reason = Disposition.FAILED, _reason_of_task(error)
        case ApiError(outcome=Outcome.REJECTED):
            disposition = Disposition.REJECTED
            reason = f"status {error.status}" if error.type is None else error.type.shown
        case CliniaError(outcome=Outcome.NOT_SENT):
            disposition, reason = Disposition.UNSENT, type(error).__name__
        case _:
            return Disposition.UNKNOWN, type(error).__name__, Evidence.NONE
    return disposition, reason, error.evidence


def reason_of(receipt: Receipt) -> str:
    """Return the type of the error in a receipt."""
    if receipt.error is None or receipt.error.type is None:
        return "no reason given"
    return receipt.error.type.shown


def _reason_of_task(error: TaskFailed) -> str:
    return " ".join(sorted(set(map(reason_of, error.failed_receipts)))) or "no reason given"
