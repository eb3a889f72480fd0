"""What became of one record."""

from enum import StrEnum

from attrs import field, frozen

from clinia_async.ingest.records import BadRecord, Record
from clinia_async.task_id import TaskId


class Disposition(StrEnum):
    PERSISTED = "persisted"
    """It is stored, by this job."""
    EXISTING = "existing"
    """It was there already, and equal."""
    KEPT = "kept"
    """Another record was there under its key, and was left as it is because `on_existing` is `keep`."""
    INVALID = "invalid"
    """It was refused here; nothing was sent."""
    FAILED = "failed"
    """The service refused it, or another record holds its key."""
    CANCELLED = "cancelled"
    """The service cancelled it, because of a concurrent write of the same record."""
    DROPPED = "dropped"
    """A reviewer rejected it."""
    UNKNOWN = "unknown"
    """It may or may not be stored."""
    UNSENT = "unsent"
    """The job ended before it was sent."""

    @property
    def has_landed(self) -> bool:
        """Whether nothing needs to be done about it."""
        return self in {Disposition.PERSISTED, Disposition.EXISTING, Disposition.KEPT}


@frozen
class RecordOutcome:
    """`reason` names a rule or a type of error, and never quotes the record."""

    record: Record | BadRecord = field(repr=False)
    disposition: Disposition
    reason: str | None = None
    task_id: TaskId | None = None
    reconciled: bool = False
    """It is stored, and settled by reading it back after an answer was lost."""

    @property
    def line(self) -> int:
        return self.record.line
