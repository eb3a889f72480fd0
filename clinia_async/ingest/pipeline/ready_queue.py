"""Records that may be sent now: each holds its key, and no earlier write of it may still be carried out."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition
from clinia_async.ingest.pipeline.key_locks import KeyFences, KeyLocks
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatch, RecordBatches

READ_AHEAD = 256
"""Records that are read before a worker asks for them, at most."""
READ_AHEAD_BYTES = 4 * 1024 * 1024
"""Bytes of such records, at most, or one batch."""


class ReadyQueue:
    """The reader puts records in, and workers take them: first the chunks that a previous run has left.

    It is open once the part of the input is read again that previous runs have read. Where the job can be
    continued later (`blocks_unknown`), no further write of a record is sent after one was reported as
    unknown: the next run finds that out first, and so no write overtakes another.
    """

    def __init__(self, fence: float, *, is_open: bool, blocks_unknown: bool) -> None:
        self.keys = KeyLocks()
        self.fences = KeyFences(fence)
        self.is_open = is_open
        self._blocks_unknown = blocks_unknown
        self._ready: deque[RecordBatch] = deque()
        self._count = 0
        self._bytes = 0
        self._unfinished: deque[Chunk] = deque()
        self._fenced: dict[Record, asyncio.TimerHandle] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        """Workers that wait for records."""
        self._room = asyncio.Event()
        self._ended = False
        self.is_stopped = False

    # -------------------------------------------------------------------- for the reader

    @property
    def is_full(self) -> bool:
        return self._count + MAX_BATCH > READ_AHEAD or self._bytes > READ_AHEAD_BYTES or self.keys.is_crowded

    async def wait_for_room(self) -> None:
        while self.is_open and not self._ended and self.is_full:
            self._room.clear()
            self._wake()
            await self._room.wait()

    def add(self, batch: RecordBatch, *, first: bool = False) -> None:
        """Add records that hold their keys; those behind a fence come out when it opens."""
        if self.fences and not self.is_stopped:
            batch = self._without_fenced(batch)
        if len(batch):
            self._offer(batch, first=first)

    def open(self, unfinished: Iterable[Chunk]) -> None:
        """Give out records from now on, and before them the chunks that a previous run has left."""
        self.is_open = True
        self._unfinished.extend(unfinished)
        self._wake_all()

    def end(self) -> None:
        """Expect no further record. What was read before the queue opened is not sent."""
        self._ended = True
        self.is_stopped = self.is_stopped or not self.is_open
        self._wake_all()

    # -------------------------------------------------------------------- for workers

    def take_unfinished(self) -> Chunk | None:
        """Take a chunk of a previous run."""
        if not self._unfinished or self.is_stopped:
            return None
        chunk = self._unfinished.popleft()
        if self._is_over():
            self._wake_all()
        return chunk

    def take(self, most: int, workers: int = 1) -> RecordBatch | None:
        """Take up to `most` records, if there are any now.

        Others of the `workers` get their share where they wait for records, and of the last ones.
        """
        if not self._ready or self.is_stopped or not self.is_open:
            return None
        takers = workers if self._ended else min(workers, len(self._idle) + 1)
        most = min(most, max(1, self._count // takers))
        batch = self._ready.popleft()
        if len(batch) > most:
            self._ready.appendleft(batch.cut(most, len(batch)))
            batch = batch.cut(0, most)
        self._measure(batch, -1)
        if self._count + MAX_BATCH <= READ_AHEAD:
            self._room.set()
        if self._is_over():
            self._wake_all()  # they were the last: the workers that wait for others wait in vain
        elif self._ready:
            self._wake()  # many may come at once, and woke one worker
        return batch

    def give_back(self, batch: RecordBatch) -> None:
        """Put back records that were taken and not used, before all others."""
        self._ready.appendleft(batch)
        self._measure(batch, 1)
        self._wake()

    async def wait_for_records(self, until: float | None) -> bool:
        """Wait for something to take; False if there will be nothing more, or not before `until`.

        A worker that holds keys gives `until`. It gets False, too, where the input has ended, and while too
        many records wait for a key: it would wait for itself.
        """
        if self._is_over() or (until is not None and (self._is_empty() or self.keys.is_crowded)):
            return False
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._idle.append(waiter)
        self._room.set()
        timer = None if until is None else loop.call_at(until, _resolve, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            with contextlib.suppress(ValueError):
                self._idle.remove(waiter)
        return bool(self._ready or self._unfinished) or not (self._is_over() or until is not None)

    def release(self, outcomes: ChunkOutcomes) -> None:
        """Unlock the keys of records that have an outcome, and add the records that waited for them.

        A record that may have been applied twice, and late, could undo the one that follows it. So its key
        is fenced.
        """
        records = outcomes.records
        assert isinstance(records, RecordBatches)
        keys = records.keys()
        late: Sequence[int] = range(len(keys)) if outcomes.maybe_applied else ()
        if outcomes.has_unknown:
            late = late or outcomes.places_of(Disposition.UNKNOWN)
            if self._blocks_unknown:
                blocked = set(outcomes.open_places())
                self.keys.block(keys[place] for place in blocked)
                late = [place for place in late if place not in blocked]
                keys = [key for place, key in enumerate(keys) if place not in blocked]
        if late:
            self.fences.add(((records[place].key, records[place].action) for place in late), now())
        for batch in reversed(RecordBatches.of(self.keys.release(keys)).pieces):
            self.add(batch, first=True)
        self._room.set()
        if self._is_over():
            self._wake_all()  # nothing more can be released

    def stop(self) -> None:
        """Give nothing more out."""
        self._ended = self.is_stopped = True
        for timer in self._fenced.values():
            timer.cancel()
        self._room.set()
        self._wake_all()

    def drain(self) -> Iterator[Record]:
        """Yield the records that were never given out."""
        for batch in self._ready:
            yield from batch
        yield from self._fenced
        for chunk in self._unfinished:
            yield from chunk.records
        yield from self.keys.waiting()

    def _without_fenced(self, batch: RecordBatch) -> RecordBatch:
        loop, fenced = asyncio.get_running_loop(), []
        for place, record in enumerate(batch):
            opens_at = self.fences.opens_at(record, loop.time())
            if opens_at is not None:
                fenced.append(place)
                self._fenced[record] = loop.call_at(opens_at, self._unfence, record)
        return batch.without(fenced) if fenced else batch

    def _unfence(self, record: Record) -> None:
        del self._fenced[record]
        self._offer(RecordBatch.of(record), first=True)

    def _is_over(self) -> bool:
        return self.is_stopped or (self._is_empty() and not self.keys.has_followers)

    def _is_empty(self) -> bool:
        return self._ended and not (self._ready or self._unfinished or self._fenced)

    def _offer(self, batch: RecordBatch, *, first: bool = False) -> None:
        ready = self._ready
        self._measure(batch, 1)
        if first:
            ready.appendleft(batch)
        # records that are read one by one are joined, so that there are not as many batches as records
        elif not (ready and len(ready[-1]) < MAX_BATCH and ready[-1].try_extend(batch)):
            ready.append(batch)
        if self.is_open and self._idle:
            self._wake()

    def _measure(self, batch: RecordBatch, sign: int) -> None:
        self._count += sign * len(batch)
        self._bytes += sign * batch.size()

    def _wake(self) -> None:
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        for waiter in self._idle:
            _resolve(waiter)


def now() -> float:
    return asyncio.get_running_loop().time()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
