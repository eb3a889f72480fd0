"""The part of the input that previous runs of a job have read: each record finds its place in it again."""

import contextlib
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

from clinia_async.errors import InvalidWrite
from clinia_async.ingest import journal as journals
from clinia_async.ingest.journal.errors import JournalMismatch
from clinia_async.ingest.journal.rows import Failure, Unfinished
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.ingest.records.record_batch import RecordBatch, RecordBatches

CHANGED = "the input is not the same as in the run before"

Place = Disposition | Failure | Unfinished | None
"""Landed, reported as a failure, in a chunk that is to be finished, or never sent."""


class Replay:
    """Says of every record, in the order of the input, where previous runs left it.

    Without a journal there is nothing to replay. `compares` is for an input without an id: its content is
    compared while it is read.
    """

    def __init__(self, journal: "journals.Journal | None", *, compares: bool = True) -> None:
        self._journal = journal
        self._compares = compares
        self._failures: deque[Failure] = deque()
        self._asked_to = 0
        self._digest = blake2b(digest_size=16)
        self.is_over = journal is None or journal.history.read_to == 0

    @property
    def digest(self) -> bytes:
        """The digest of all records that were read so far; empty where they are not compared."""
        return self._digest.digest() if self._compares else b""

    async def place_of(self, record: Record | BadRecord) -> Place:
        """Return where previous runs left a record.

        Raises:
            JournalMismatch: it is not what they read.
        """
        if self._journal is None:
            return None
        if self._compares:
            self._digest.update(_content(record))
        if self.is_over:
            return None
        history = self._journal.history
        if record.position == history.read_to:
            if self.digest != history.digest:
                raise JournalMismatch(CHANGED)
            self.is_over = True
        if isinstance(record, BadRecord):
            return None
        landed = history.landed_as(record.position)
        return landed or history.chunk_of(record.position) or await self._failure(record.position)

    def landed(self, first: int, last: int) -> Disposition | None:
        """Return how all records of these positions landed; None where each has its own place.

        That is so where their content is compared, or where one of them is to be finished or fenced.
        """
        if self._journal is None or self._compares:
            return None
        history = self._journal.history
        if last > history.read_to or len(history.late):
            return None
        landed = history.all_landed_as(first, last)
        self.is_over = self.is_over or (landed is not None and last == history.read_to)
        return landed

    def pass_by(self, batch: RecordBatch) -> None:
        """Take note of records that no previous run has read."""
        if self._journal is not None and self._compares:
            self._digest.update(b"".join(map(_framed, map(batch.kind.operation, batch.payloads))))

    def is_late(self, record: Record) -> bool:
        """Whether a record was sent twice in a previous run, and has an outcome."""
        return self._journal is not None and record.position in self._journal.history.late

    def check_ended(self) -> None:
        """Raise `JournalMismatch` for an input that ends sooner than in the run before."""
        if not self.is_over:
            raise JournalMismatch(CHANGED)

    def chunks(self) -> Sequence[Chunk]:
        """The chunks that previous runs left to be finished, once all of their records were read again."""
        if self._journal is None:
            return ()
        return [_chunk(each) for each in self._journal.history.unfinished if each.records]

    async def _failure(self, position: int) -> Failure | None:
        assert self._journal is not None
        while self._failures and self._failures[0].position < position:
            self._failures.popleft()
        if not self._failures and position > self._asked_to:
            self._failures.extend(await self._journal.failures(position))
            # an empty page says that there are none up to the end
            self._asked_to = self._failures[-1].position if self._failures else self._journal.history.read_to
        found = self._failures and self._failures[0].position == position
        return self._failures.popleft() if found else None


def _content(record: Record | BadRecord) -> bytes:
    text = record.text if isinstance(record, BadRecord) else None
    if isinstance(record, Record):
        with contextlib.suppress(InvalidWrite):  # it is reported as such in its turn
            text = record.operation()
    return _framed(text or b"")


def _framed(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def _chunk(left: Unfinished) -> Chunk:
    return Chunk(
        RecordBatches.of(left.records),
        number=left.number,
        state=left.state,
        attempts=left.attempts,
        requests=left.attempts,
        maybe_applied=left.lost_an_answer,
        task=left.task,
        reported_before=left.attempts > 0,
        ranges=left.positions.ranges(),
    )
