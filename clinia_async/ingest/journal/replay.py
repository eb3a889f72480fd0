"""The part of the input that former runs of a job have read: each record again finds its place in it."""

import contextlib
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

from clinia_async.errors import InvalidWrite
from clinia_async.ingest.journal.file import JournalMismatch
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import Failure, Unfinished
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.ingest.records.record_batch import RecordBatch, RecordBatches

CHANGED = "the input is not the same as in the run before"

Place = Disposition | Failure | Unfinished | None
"""Landed, told as a failure, in a chunk that is to be finished, or never sent."""


class Replay:
    """Asked for every record in order. Without a journal there is nothing to replay."""

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._failures: deque[Failure] = deque()
        self._asked_to = 0
        self._digest = blake2b(digest_size=16)
        self.is_over = journal is None or journal.history.read_to == 0

    @property
    def digest(self) -> bytes:
        """Of all records that were read so far."""
        return self._digest.digest()

    async def place_of(self, record: Record | BadRecord) -> Place:
        """Where former runs left it. Raises `JournalMismatch` if it is not what they read."""
        if self._journal is None:
            return None
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

    def pass_by(self, batch: RecordBatch) -> None:
        """Records that no former run has read."""
        if self._journal is not None:
            self._digest.update(b"".join(map(_framed, map(batch.kind.operation, batch.payloads))))

    def is_late(self, record: Record) -> bool:
        """Whether it was sent twice in a former run, and told of."""
        return self._journal is not None and record.position in self._journal.history.late

    def check_ended(self) -> None:
        """At the end of the input, which may not come sooner than in the run before."""
        if not self.is_over:
            raise JournalMismatch(CHANGED)

    def chunks(self) -> Sequence[Chunk]:
        """What former runs left to be finished, once all of it was read again."""
        if self._journal is None:
            return ()
        return [_chunk(each) for each in self._journal.history.unfinished if each.records]

    async def _failure(self, position: int) -> Failure | None:
        assert self._journal is not None
        while self._failures and self._failures[0].position < position:
            self._failures.popleft()
        if not self._failures and position > self._asked_to:
            self._failures.extend(await self._journal.failures(position))
            # an empty page tells that there are none up to the end
            self._asked_to = self._failures[-1].position if self._failures else self._journal.history.read_to
        found = self._failures and self._failures[0].position == position
        return self._failures.popleft() if found else None


def _content(record: Record | BadRecord) -> bytes:
    text = record.text if isinstance(record, BadRecord) else None
    if isinstance(record, Record):
        with contextlib.suppress(InvalidWrite):  # it is told as such in its turn
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
        maybe_applied=left.answer_lost,
        task=left.task,
        reported_before=left.attempts > 0,
    )
