"""Reads the input: what is wrong gets its outcome here, and what may be sent goes to the ready queue."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from itertools import starmap

from clinia_async.calls import BatchWrite
from clinia_async.errors import CliniaError, Evidence, InvalidWrite, Outcome
from clinia_async.ingest.journal.replay import Place, Replay
from clinia_async.ingest.journal.rows import Failure, Unfinished
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.ready_queue import ReadyQueue, now
from clinia_async.ingest.readers.compression import READ_POSITION
from clinia_async.ingest.readers.ndjson import LineReader, UnreadLines
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.records.batch_encoder import encode_batch
from clinia_async.ingest.records.iter_batches import iter_batches
from clinia_async.ingest.records.record import RELATIONSHIP_WRITES, BadRecord, Barrier, Blank, Record
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.ingest.records.taken import Taken, size_of, take
from clinia_async.models import Json
from clinia_async.serialization import exact_json
from clinia_async.serialization.strict_json import one_may_be_deep

Item = BatchWrite | Record | BadRecord | Blank | Json
"""A write, a record that was read, or a dict as a line of NDJSON holds it."""
_COMPLETION_CHECK = 0.02
"""Seconds between two checks whether all records are completed, at a barrier."""
Publish = Callable[[ChunkOutcomes], Awaitable[None]]


class SourceCancelled(CliniaError, RuntimeError):
    """The iterable of a job raised `asyncio.CancelledError`, and nobody had cancelled the job."""

    advice = "correct the iterable of records, and run the job again"
    outcome = Outcome.NOT_SENT


class InputReader:
    """Reads a little ahead of need, and finds the place of a record that previous runs have read."""

    def __init__(
        self,
        source: str,
        items: Iterable[Item] | AsyncIterable[Item],
        queue: ReadyQueue,
        report: Report,
        replay: Replay,
        *,
        may_have_arrived: bool,
    ) -> None:
        self._source = source
        self._lines = LineReader(Rules(source))
        self._blocks = items.blocks if isinstance(items, RecordStream) else self._taken(items)
        self._queue = queue
        self._report = report
        self._replay = replay
        self._may_have_arrived = may_have_arrived
        self._collected: list[Record] = []

    @property
    def read_to(self) -> int:
        """The position of the record that was read last."""
        return self._report.read

    @property
    def digest(self) -> bytes:
        return self._replay.digest

    @property
    def collected(self) -> Sequence[Record]:
        """Records of chunks that a previous run left and that never became whole."""
        return self._collected

    async def read(self, publish: Publish) -> None:
        """Read the input to its end, as fast as records are taken.

        Raises:
            SourceCancelled: the source was cancelled by other code than the job.
            JournalMismatch: the input is not the one that previous runs have read.
            Exception: whatever the source raises.
        """
        try:
            await self._read(publish)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise SourceCancelled("the iterable of the job was cancelled, and not by the job") from error
        finally:
            self._queue.end()
            await self._close()

    async def _read(self, publish: Publish) -> None:
        if self._queue.is_stopped:
            return
        position = READ_POSITION.get()
        async for items in self._blocks:
            await self._add_all(items, publish)
            if self._queue.is_stopped:
                return
            if position is not None:
                position.take(self._report.read)
            await asyncio.sleep(0)  # a source that never waits would never let go of the loop
        if position is not None:
            position.take(self._report.read)
        self._replay.check_ended()

    async def _add_all(self, items: Iterable[Item | RecordBatch | Barrier], publish: Publish) -> None:
        if isinstance(items, UnreadLines) and self._pass_over_lines(items):
            return
        for item in items:
            if isinstance(item, Barrier):
                await self._wait_until_completed()
            elif not isinstance(item, RecordBatch):
                await self._add(item, publish)
            elif not self._add_batch(item):
                for record in item:
                    await self._add(record, publish)
            if self._queue.is_full:
                await self._queue.wait_for_room()
            if self._queue.is_stopped:
                return

    async def _taken(
        self, items: Iterable[Item] | AsyncIterable[Item]
    ) -> AsyncGenerator[Iterable[Item | RecordBatch], None]:
        async with aclosing(iter_batches(items, MAX_BATCH, take=take, weigh=size_of)) as batches:
            async for taken in batches:
                yield self._in_batches(taken)

    def _in_batches(self, taken: Sequence[Taken]) -> Iterable[Item | RecordBatch]:
        """Return items in batches, if they are all of one kind and nothing is wrong with them."""
        first, (items, texts) = self._report.read + 1, zip(*taken, strict=True)
        if set(map(type, texts)) == {bytes} and set(map(type, items)) == {dict}:
            numbers = range(first, first + len(texts))
            if one_may_be_deep(texts) or not exact_json.are_written_so(items, texts):
                return self._lines.read_all(numbers, texts)
            return self._lines.read_values(numbers, items, texts)
        batch = encode_batch(items, texts, first)
        return starmap(self._item, taken) if batch is None else (batch,)

    def _item(self, item: object, text: bytes | InvalidWrite | None) -> Item:
        """Return the next record of the input, of an item that was taken."""
        place = self._report.read + 1
        if isinstance(text, InvalidWrite):
            if isinstance(item, Record):
                return BadRecord(item.line, text.path, text.rule, item.text, file=item.file)
            return BadRecord(place, text.path, text.rule)
        if isinstance(item, Mapping):
            return self._lines.read_strictly(place, text)
        if isinstance(item, BatchWrite):
            record = Record(place, item)
            if text is None:
                return record
            write = None if isinstance(item, RELATIONSHIP_WRITES) else item  # of those it is made again
            return Record.encoded(place, record.kind, record.key, text, write=write)
        return item  # type: ignore[return-value]  # whatever it is, it is checked

    async def _wait_until_completed(self) -> None:
        """Wait until every record that was read is completed.

        Not where a previous run has read on: then it has waited here, or will send what is left first.
        """
        while self._replay.is_over and self._report.completed < self._report.read:
            if self._queue.is_stopped:
                return
            await asyncio.sleep(_COMPLETION_CHECK)

    def _add_batch(self, batch: RecordBatch) -> bool:
        """Add records if they are all of the job's source, and new or all landed before; return whether."""
        if batch.kind.source != self._source:
            return False
        if not self._replay.is_over:
            return self._pass_over(len(batch))
        batch.stamp(self._report.read + 1, maybe_applied=self._may_have_arrived)
        self._report.read += len(batch)
        self._replay.pass_by(batch)
        self._make_ready(batch)
        return True

    def _pass_over_lines(self, lines: UnreadLines) -> bool:
        """Do as `_pass_over` for lines, unread, if none has to be read."""
        if self._replay.is_over:
            return False
        records, blank = lines.count()
        if not records or not self._pass_over(records):
            return False
        self._report.blank += blank
        return True

    def _pass_over(self, count: int) -> bool:
        """Count records together that landed in a previous run; return whether all did."""
        landed = self._replay.landed(self._report.read + 1, self._report.read + count)
        if landed is None:
            return False
        self._report.read += count
        self._report.add_reported_before(landed, count)
        self._end_replay()
        return True

    def _end_replay(self) -> None:
        """Send what previous runs left, if all that they read was read again just now."""
        if self._replay.is_over:
            self._collected.clear()
            self._queue.open(self._replay.chunks())

    def _make_ready(self, batch: RecordBatch) -> None:
        """Queue the records of a batch whose keys are free; the others wait for them."""
        waiting = self._queue.keys.acquire(batch)
        if len(waiting) < len(batch):
            self._queue.add(batch.without(waiting) if waiting else batch)

    async def _add(self, item: Item, publish: Publish) -> None:
        if isinstance(item, Blank):
            self._report.blank += 1
            return
        record = self._checked(item)
        record.position = self._report.read + 1
        was_over = self._replay.is_over
        place = await self._replay.place_of(record)
        if isinstance(record, Record) and place is not None:
            self._restore_fence(record, place)
        self._report.read += 1
        if isinstance(place, Disposition):
            self._report.add_reported_before(place)
        elif isinstance(place, Failure):
            await publish(_reported(record, place))
        elif isinstance(record, BadRecord):
            await publish(_invalid(record, f"{record.path}: {record.reason}"))
        elif (refusal := _refusal(record)) is not None:
            await publish(_invalid(record, refusal))
        else:
            self._queue_one(record, place)
        if not was_over:
            self._end_replay()

    def _queue_one(self, record: Record, chunk: Unfinished | None) -> None:
        if chunk is not None and (chunk.may_have_arrived or self._may_have_arrived):
            record.previous_attempt = chunk.task, chunk.attempts
        elif self._may_have_arrived:
            record.previous_attempt = None, 0
        batch = RecordBatch.of(record)
        if chunk is None:
            self._make_ready(batch)
        elif not self._queue.keys.acquire(batch):
            chunk.records.append(record)
            self._collected.append(record)

    def _restore_fence(self, record: Record, place: Place) -> None:
        """Fence the key of a record that a previous run sent twice, or lift the fence that it waited for."""
        self._queue.fences.lift(record, now())
        if not isinstance(place, Unfinished) and self._replay.is_late(record):
            # with the run that sent it twice, the wait for the first of the two was forgotten
            self._queue.fences.add([(record.key, record.action)], now())

    def _checked(self, item: object) -> Record | BadRecord:
        if isinstance(item, Record) and item.source != self._source:
            return BadRecord(
                item.line, "$.source", "must be the source of the job", item.text, file=item.file
            )
        if isinstance(item, Record | BadRecord):
            return item
        place = f"record {self._report.read + 1}"
        raise InvalidWrite(place, "must be a write of a bulk, a dict, or a record that was read")

    async def _close(self) -> None:
        closing = getattr(self._blocks, "aclose", None)
        if closing is not None:
            await closing()


def _refusal(record: Record) -> str | None:
    """Return why a record cannot be sent, if it cannot."""
    try:
        record.payload()
    except InvalidWrite as error:
        return str(error)
    return None


def _invalid(record: Record | BadRecord, reason: str) -> ChunkOutcomes:
    return ChunkOutcomes([record], [(Disposition.INVALID, reason, Evidence.NOT_SENT)])


def _reported(record: Record | BadRecord, failure: Failure) -> ChunkOutcomes:
    return ChunkOutcomes(
        [record],
        [(failure.disposition, failure.reason, failure.evidence)],
        task=failure.task,
        attempts=failure.attempts,
        maybe_applied=failure.maybe_applied,
        reported_before=True,
    )
