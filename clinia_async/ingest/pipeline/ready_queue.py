"""Where records wait that may fly: each holds its key, and none is behind a write that may still be late."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator

from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, RecordOutcome
from clinia_async.ingest.pipeline.key_locks import KeyFences, KeyLocks
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatch

READ_AHEAD = 256
"""Records that are read before a lane asks for them, at most."""


class ReadyQueue:
    """The reader puts records here, and lanes take them: first the chunks that a former run has left.

    It opens once the part of the input is read again that former runs have read. Where the job can go on
    later (`holds_unknown`), nothing more of a record flies after it was told as unknown: the next run will
    settle that first, and so no write overtakes another.
    """

    def __init__(self, fence: float, *, is_open: bool, holds_unknown: bool) -> None:
        self.keys = KeyLocks()
        self.late = KeyFences(fence)
        self.is_open = is_open
        self._holds_unknown = holds_unknown
        self._ready: deque[RecordBatch] = deque()
        self._waiting = 0
        """Records that are ready."""
        self._unfinished: deque[Chunk] = deque()
        self._fenced: dict[Record, asyncio.TimerHandle] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._ended = False
        self._stopped = False

    # For the reader

    @property
    def is_full(self) -> bool:
        return self._waiting + MAX_BATCH > READ_AHEAD or self.keys.is_crowded

    async def wait_for_room(self) -> None:
        while self.is_open and not self._ended and self.is_full:
            self._room.clear()
            self._wake()
            await self._room.wait()

    def add(self, batch: RecordBatch) -> None:
        """Its records hold their keys, and nothing else is known of them."""
        if self.late:
            for record in batch:
                self.make_ready(record)
            return
        self._offer(batch)

    def make_ready(self, record: Record, *, first: bool = False) -> None:
        """It holds its key; but an earlier write of it may still be on its way."""
        until = self.late.until(record, now())
        if until is None or self._stopped:
            self._offer(RecordBatch.of(record), first=first)
        else:
            self._fenced[record] = asyncio.get_running_loop().call_at(until, self._unfence, record)

    def open(self, unfinished: Iterable[Chunk]) -> None:
        self.is_open = True
        self._unfinished.extend(unfinished)
        self._wake_all()

    def end(self) -> None:
        """Nothing more will come. What was read for nothing is not sent."""
        self._ended = True
        self._stopped = self._stopped or not self.is_open
        self._wake_all()

    # For lanes

    def take_unfinished(self) -> Chunk | None:
        """A chunk of a former run."""
        if not self._unfinished or self._stopped:
            return None
        chunk = self._unfinished.popleft()
        if self._is_over():
            self._wake_all()
        return chunk

    def take(self, most: int) -> RecordBatch | None:
        """Records that may fly, if there are any now: at `most` so many."""
        if not self._ready or self._stopped or not self.is_open:
            return None
        batch = self._ready.popleft()
        if len(batch) > most:
            self._ready.appendleft(batch.cut(most, len(batch)))
            batch = batch.cut(0, most)
        self._waiting -= len(batch)
        if self._waiting + MAX_BATCH <= READ_AHEAD:
            self._room.set()
        if self._is_over():
            self._wake_all()  # they were the last: those who wait for others wait in vain
        elif self._ready:
            self._wake()  # many may come at once, and were told of once
        return batch

    def give_back(self, batch: RecordBatch) -> None:
        """They were taken and are still to fly, before all others."""
        self._ready.appendleft(batch)
        self._waiting += len(batch)
        self._wake()

    async def wait_for_records(self, until: float | None) -> bool:
        """Waits for something to take; False if there will be nothing more, or not before `until`.

        For whoever holds keys (`until` is given) also False while too many records wait for a key: he
        would wait for himself.
        """
        if self._is_over() or (until is not None and self.keys.is_crowded):
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

    def released(self, outcome: RecordOutcome) -> None:
        """Its record is settled: what waited for its key may fly.

        If it may have arrived twice, and late, it could undo what follows it. Then that waits until this
        is past belief.
        """
        record, is_unknown = outcome.sent, outcome.disposition is Disposition.UNKNOWN
        if is_unknown and self._holds_unknown:
            self.keys.hold(record)
            return
        following = self.keys.release(record)
        if (is_unknown or outcome.maybe_applied) and record.key is not None:
            self.late.add(record.key, record.action, now())
        if following is not None:
            self.make_ready(following, first=True)
            self._room.set()

    def released_all(self, outcomes: ChunkOutcomes) -> None:
        """`released` of them all."""
        if outcomes.has_unknown:
            for outcome in outcomes:
                self.released(outcome)
            return
        keys = outcomes.records.keys()
        followed = self.keys.release_all(keys)
        if outcomes.maybe_applied:
            for key, record in zip(keys, outcomes.records, strict=True):
                if key is not None:
                    self.late.add(key, record.action, now())
        for following in followed:
            self.make_ready(following, first=True)
        self._room.set()

    def stop(self) -> None:
        """Gives nothing more out."""
        self._ended = self._stopped = True
        for timer in self._fenced.values():
            timer.cancel()
        self._room.set()
        self._wake_all()

    def drain(self) -> Iterator[Record]:
        """What was never given out."""
        for batch in self._ready:
            yield from batch
        yield from self._fenced
        for chunk in self._unfinished:
            yield from chunk.records
        yield from self.keys.parked()

    def _unfence(self, record: Record) -> None:
        del self._fenced[record]
        self._offer(RecordBatch.of(record), first=True)

    def _is_over(self) -> bool:
        return self._stopped or (self._ended and not (self._ready or self._unfinished or self._fenced))

    def _offer(self, batch: RecordBatch, *, first: bool = False) -> None:
        ready = self._ready
        self._waiting += len(batch)
        if first:
            ready.appendleft(batch)
        # one that is being read by the record grows, so that there are not as many stretches as records
        elif not (ready and len(ready[-1]) < MAX_BATCH and ready[-1].try_extend(batch)):
            ready.append(batch)
        if self.is_open and self._idle:
            self._wake()

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
