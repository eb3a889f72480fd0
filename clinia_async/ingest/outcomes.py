"""What became of one record."""

from enum import StrEnum

from attrs import field, frozen

from clinia_async.ingest.records import BadRecord, Record
from clinia_async.task_id import TaskId


class Disposition(StrEnum):
    PERSISTED = "persisted"
    """It is stored: at once, or found so after an answer was lost (`reconciled`)."""
    SUCCEEDED = "succeeded"
    """It was queued, and its task stored it."""
    EXISTING = "existing"
    """It was there already, and equal."""
    KEPT = "kept"
    """Another record was there under its key, and was left as it is because `on_existing` is `keep`."""
    INVALID = "invalid"
    """It was refused here; nothing was sent."""
    FAILED = "failed"
    """Its task failed, or another record holds its key."""
    CANCELLED = "cancelled"
    """The service cancelled it, because of a concurrent write of the same record."""
    REJECTED = "rejected"
    """The service refused the request that carried it; nothing of it was stored."""
    DROPPED = "dropped"
    """A reviewer rejected it."""
    UNKNOWN = "unknown"
    """It may or may not be stored."""
    UNSENT = "unsent"
    """The job ended before it was sent."""

    @property
    def has_landed(self) -> bool:
        """Whether nothing needs to be done about it."""
        return self in _LANDED


_LANDED = frozenset({Disposition.PERSISTED, Disposition.SUCCEEDED, Disposition.EXISTING, Disposition.KEPT})


@frozen
class RecordOutcome:
    """`reason` names a rule or a type of error, and never quotes the record.

    `attempts` counts the requests that carried it; 0 if none did.
    """

    record: Record | BadRecord = field(repr=False)
    disposition: Disposition
    reason: str | None = None
    task_id: TaskId | None = None
    reconciled: bool = False
    """It is stored, and settled by reading it back after an answer was lost."""
    attempts: int = 0
    doubtful: bool = False
    """An answer was lost on the way, so it may have arrived more than once."""
    former: bool = False
    """A former run of the job told it already; this one has sent nothing for it."""

    @property
    def line(self) -> int:
        return self.record.line

    @property
    def sent(self) -> Record:
        """The record, where it is one that could be sent."""
        assert isinstance(self.record, Record)
        return self.record
