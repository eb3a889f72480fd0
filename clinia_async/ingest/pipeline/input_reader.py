"""The end of the input that is read: what is wrong stays here, and what may be sent goes to the runway."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence

from clinia_async.calls import BatchWrite
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.journal.replay import Place, Replay
from clinia_async.ingest.journal.rows import Failure, Unfinished
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.ready_queue import READ_AHEAD, ReadyQueue, now
from clinia_async.ingest.records.batch_encoder import encode_batch
from clinia_async.ingest.records.iter_batches import iter_batches
from clinia_async.ingest.records.record import BadRecord, Blank, Record
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models.batch_result import Key

Item = BatchWrite | Record | BadRecord | Blank
Emit = Callable[[RecordOutcome], Awaitable[None]]


class InputReader:
    """Reads a little ahead of need. A record that former runs have read finds its place in what they did."""

    def __init__(
        self,
        source: str,
        items: Iterable[Item] | AsyncIterable[Item],
        ready_queue: ReadyQueue,
        report: Report,
        replay: Replay,
        *,
        may_have_arrived: bool,
    ) -> None:
        self._source = source
        self._blocks = _blocks(items)
        self._ready_queue = ready_queue
        self._report = report
        self._replay = replay
        self._may_have_arrived = may_have_arrived
        self._pause_at = READ_AHEAD
        self._gathered: list[Record] = []
        """Of chunks that a former run left, while they are not yet whole."""

    @property
    def read_to(self) -> int:
        return self._report.read

    @property
    def digest(self) -> bytes:
        return self._replay.digest

    async def read(self, emit: Emit) -> None:
        """Reads the input to its end, as fast as records are taken. Raises what the source raises."""
        try:
            async for items in self._blocks:
                await self._take_all_in(items, emit)
                if self._report.read >= self._pause_at:
                    self._pause_at = self._report.read + READ_AHEAD
                    await asyncio.sleep(0)  # an iterable that is not async would never let go of the loop
            self._replay.check_ended()
        finally:
            self._ready_queue.end()
            await self._close()

    @property
    def gathered(self) -> Sequence[Record]:
        """What was read of chunks that never became whole."""
        return self._gathered

    async def _take_all_in(self, items: Iterable[Item | RecordBatch], emit: Emit) -> None:
        if isinstance(items, list) and (batch := encode_batch(items, self._report.read + 1)) is not None:
            items = (batch,)
        for item in items:
            if not isinstance(item, RecordBatch):
                await self._take_in(item, emit)
            elif not self._take_batch(item):
                for record in item:
                    await self._take_in(record, emit)
            if self._ready_queue.is_full:
                await self._ready_queue.wait_for_room()

    def _take_batch(self, batch: RecordBatch) -> bool:
        """What no former run has read, and is all of the job's source, is taken in with no more than this."""
        if not self._replay.is_over or batch.kind.source != self._source:
            return False
        batch.stamp(self._report.read + 1, maybe_applied=self._may_have_arrived)
        self._report.read += len(batch)
        self._replay.pass_by(batch)
        keys = self._ready_queue.keys
        taken = keys.claim_all(batch.keys)
        for place in taken:
            keys.claim(batch.record(place))
        if len(taken) < len(batch):
            self._ready_queue.add(batch.without(taken) if taken else batch)
        return True

    async def _take_in(self, item: Item, emit: Emit) -> None:
        if isinstance(item, Blank):
            self._report.blank += 1
            return
        record = self._checked(item)
        record.position = self._report.read + 1
        before = self._replay.is_over
        place = await self._replay.place_of(record)
        if isinstance(record, Record) and record.key is not None and place is not None:
            self._note_late(record, record.key, place)
        self._report.read += 1
        if isinstance(record, BadRecord):
            reason = f"{record.path}: {record.reason}"
            await emit(RecordOutcome(record, Disposition.INVALID, reason))
        elif isinstance(place, Disposition):
            self._report.add_reported_before(place)
        elif isinstance(place, Failure):
            await emit(_reported(record, place))
        elif (refusal := _refusal(record)) is not None:
            await emit(RecordOutcome(record, Disposition.INVALID, refusal))
        else:
            self._claim(record, place)
        if self._replay.is_over and not before:
            self._gathered.clear()
            self._ready_queue.open(self._replay.chunks())

    def _claim(self, record: Record, chunk: Unfinished | None) -> None:
        if chunk is not None and (chunk.may_have_arrived or self._may_have_arrived):
            record.previous_attempt = chunk.task, chunk.attempts
        elif self._may_have_arrived:
            record.previous_attempt = None, 0
        if not self._ready_queue.keys.claim(record):
            return
        if chunk is not None:
            chunk.records.append(record)
            self._gathered.append(record)
        else:
            self._ready_queue.make_ready(record)

    def _note_late(self, record: Record, key: Key, place: Place) -> None:
        """A former run had the record: what does it mean for a later one of the same key?"""
        self._ready_queue.late.waited(record, now())
        if not isinstance(place, Unfinished) and self._replay.is_late(record):
            # with the run that sent it twice, the wait for the first of the two was forgotten
            self._ready_queue.late.add(key, record.action, now())

    def _checked(self, item: Item) -> Record | BadRecord:
        place = self._report.read + 1
        if isinstance(item, BatchWrite):
            item = Record(place, item)
        if isinstance(item, Record) and item.source != self._source:
            return BadRecord(item.line, "$.source", "must be the source of the job", item.text)
        if isinstance(item, Record | BadRecord):
            return item
        raise InvalidWrite(f"record {place}", "must be a write of a bulk or a record that was read")

    async def _close(self) -> None:
        closing = getattr(self._blocks, "aclose", None)
        if closing is not None:
            await closing()


def _refusal(record: Record) -> str | None:
    """Why it cannot be sent, if it cannot."""
    try:
        record.payload()
    except InvalidWrite as error:
        return str(error)
    return None


def _reported(record: Record, failure: Failure) -> RecordOutcome:
    return RecordOutcome(
        record,
        failure.disposition,
        failure.reason,
        failure.task,
        attempts=failure.attempts,
        reported_before=True,
    )


def _blocks(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Iterable[Item | RecordBatch]]:
    return items.blocks if isinstance(items, RecordStream) else iter_batches(items, MAX_BATCH)
