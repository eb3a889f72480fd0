"""A chunk: records that go in one request, with what the journal knows of it."""

from enum import StrEnum

from attrs import define, frozen

from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId


class ChunkState(StrEnum):
    PLANNED = "PLANNED"
    SENDING = "SENDING"
    """It may have left: `attempts` says how often it was put on its way."""
    ACCEPTED = "ACCEPTED"
    """The service has taken it, and its task tells the rest."""
    SETTLED = "SETTLED"
    REJECTED = "REJECTED"
    """The service refused the request: nothing of it was stored."""
    UNKNOWN = "UNKNOWN"
    """It was given up without a proof of what became of it."""


@frozen
class ChunkLimits:
    """A chunk is sent once it holds `operations` records or `bytes` bytes, or is `linger` seconds old.

    So a slow source does not wait for a full chunk.
    """

    operations: int = 5000
    bytes: int = 8 * 1024 * 1024
    linger: float = 1.0


@define(eq=False)
class Chunk:
    """`number` is its row in the journal; `doubtful` says that an answer to it was lost.

    `attempts` counts the times that it was put on its way, `requests` what was sent then.
    """

    records: RecordBatches
    number: int = 0
    state: ChunkState = ChunkState.PLANNED
    attempts: int = 0
    requests: int = 0
    maybe_applied: bool = False
    task: TaskId | None = None
    has_ended: bool = False
    """Its task was seen to end. One that is not watched to its end stays ACCEPTED, for the next run."""
    reported_before: bool = False
    """A former run of the job may have told that its records are unknown."""
    was_sent: bool = False
    """This run has put it on the wire, and it may have arrived."""
    resent: bool = False
    """This run has sent it again though a second record of each may have been made."""
