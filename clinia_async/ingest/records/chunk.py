"""A chunk: records that go in one request, with what the journal knows of it."""

from collections.abc import Sequence
from enum import StrEnum

from attrs import define, field, frozen

from clinia_async.errors.settings import Number, named_options
from clinia_async.ingest.records.position_ranges import Range
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models import TaskStatus
from clinia_async.models.task_id import TaskId


class ChunkState(StrEnum):
    """How far a chunk has come, as the journal has it."""

    PLANNED = "PLANNED"
    SENDING = "SENDING"
    """It may have been sent: `attempts` says how often."""
    ACCEPTED = "ACCEPTED"
    """The service has taken it, and its task says the rest."""
    COMPLETED = "COMPLETED"
    """Each of its records has an outcome."""
    REJECTED = "REJECTED"
    """The service refused the request: nothing of it was stored."""
    UNKNOWN = "UNKNOWN"
    """It was given up without a proof of what became of it."""


@named_options
@frozen
class ChunkLimits:
    """How large a chunk may become, and how old.

    A chunk is sent once it holds `operations` records or `bytes` bytes, or is `linger` seconds old. So a
    slow source does not wait for a full chunk.

    Raises:
        ConfigError: a number is outside its range.
    """

    operations: int = field(default=1000, validator=Number(least=1, whole=True))
    bytes: int = field(default=8 * 1024 * 1024, validator=Number(least=1, whole=True))
    linger: float = field(default=1.0, validator=Number(least=0))


@define(eq=False)
class Chunk:
    """The records of one request.

    `number` is its row in the journal. `maybe_applied` says that an answer to it was lost. `attempts` counts
    the times that it was put on its way, in all runs, and `requests` the requests that were sent then.
    """

    records: RecordBatches
    number: int = 0
    state: ChunkState = ChunkState.PLANNED
    attempts: int = 0
    requests: int = 0
    maybe_applied: bool = False
    task: TaskId | None = None
    has_ended: bool = False
    """Its task ended and its receipts were read. One that did not stays ACCEPTED, for the next run."""
    status: TaskStatus | None = None
    """What its task ended with."""
    reported_before: bool = False
    """A previous run of the job may have reported its records as unknown."""
    was_sent: bool = False
    """This run has put it on the wire, and it may have arrived."""
    ranges: Sequence[Range] = ()
    """The positions that a previous run planned, where some of its records now wait for their keys."""
    began: float = 0.0
    """When it was put on its way, on the clock of the event loop."""
    resent: bool = False
    """This run has sent it again though a second record of each may have been made."""
