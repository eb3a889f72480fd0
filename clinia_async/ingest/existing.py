"""What to do about a record whose key is taken."""

from enum import StrEnum

from clinia_async.calls import Read
from clinia_async.errors import NotFound
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.records import Record
from clinia_async.models import ErrorType
from clinia_async.settling import settle
from clinia_async.task_id import TaskId

DIFFERENT = "another record is there, with different data"
UNSEEN = "an answer was lost, its repeat was refused, and nothing is there"
VANISHED = "its key was taken, and nothing is there to be read"


class OnExisting(StrEnum):
    COMPARE = "compare"
    """Read it back: equal is fine, different is a failure."""
    KEEP = "keep"
    """Read it back: what is there stays and is no failure; the report says if it differs."""
    FAIL = "fail"
    """A failure, without looking."""


async def settle_existing(
    record: Record, policy: OnExisting, read: Read, task_id: TaskId | None
) -> RecordOutcome:
    """For a record that was sent once and found its key taken."""
    if policy is OnExisting.FAIL:
        return RecordOutcome(record, Disposition.FAILED, str(ErrorType.ALREADY_EXISTS), task_id)
    try:
        found = await read(record.write.readback())
    except NotFound:
        return RecordOutcome(record, Disposition.UNKNOWN, VANISHED, task_id)
    if record.write.equals(found):
        return RecordOutcome(record, Disposition.EXISTING, None, task_id)
    kept = policy is OnExisting.KEEP
    return RecordOutcome(record, Disposition.KEPT if kept else Disposition.FAILED, DIFFERENT, task_id)


async def settle_doubtful(
    record: Record, read: Read, deadline: float, task_id: TaskId | None
) -> RecordOutcome:
    """For a record that may have been sent twice and was then refused: what is there tells.

    Until `deadline` on the loop's clock it is waited for: the first of two may still be carried out.
    """
    try:
        stored = await settle(record.write, read, deadline)
    except NotFound:
        return RecordOutcome(record, Disposition.UNKNOWN, UNSEEN, task_id)
    if stored is None:
        return RecordOutcome(record, Disposition.FAILED, DIFFERENT, task_id)
    return RecordOutcome(record, Disposition.PERSISTED, None, task_id, reconciled=True)
