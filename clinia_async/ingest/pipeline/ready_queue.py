"""Where records wait that may fly: each holds its key, and none is behind a write that may still be late."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator

from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome, Settlement
from clinia_async.ingest.pipeline.key_locks import KeysInFlight, LateKeys
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import AT_ONCE, Stretch

AHEAD = 256
"""Records that are read before a lane asks for them, at most."""


class Runway:
    """The reader puts records here, and lanes take them: first the chunks that a former run has left.

    It opens once the part of the input is read again that former runs have read. Where the job can go on
    later (`holds_unknown`), nothing more of a record flies after it was told as unknown: the next run will
    settle that first, and so no write overtakes another.
    """

    def __init__(self, fence: float, *, is_open: bool, holds_unknown: bool) -> None:
        self.keys = KeysInFlight()
        self.late = LateKeys(fence)
        self.is_open = is_open
        self._holds_unknown = holds_unknown
        self._ready: deque[Stretch] = deque()
        self._waiting = 0
        """Records that are ready."""
        self._left: deque[Chunk] = deque()
        self._fenced: dict[Record, asyncio.TimerHandle] = {}
        self._hungry: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._ended = False
        self._stopped = False

    # For the reader

    @property
    def is_full(self) -> bool:
        return self._waiting + AT_ONCE > AHEAD or self.keys.is_crowded

    async def wait_for_room(self) -> None:
        while self.is_open and not self._ended and self.is_full:
            self._room.clear()
            self._wake()
            await self._room.wait()

    def add(self, stretch: Stretch) -> None:
        """Its records hold their keys, and nothing else is known of them."""
        if self.late:
            for record in stretch:
                self.let_go(record)
            return
        self._offer(stretch)

    def let_go(self, record: Record, *, first: bool = False) -> None:
        """It holds its key; but an earlier write of it may still be on its way."""
        until = self.late.until(record, now())
        if until is None or self._stopped:
            self._offer(Stretch.of(record), first=first)
        else:
            self._fenced[record] = asyncio.get_running_loop().call_at(until, self._unfence, record)

    def open(self, left: Iterable[Chunk]) -> None:
        self.is_open = True
        self._left.extend(left)
        self._wake_all()

    def end(self) -> None:
        """Nothing more will come. What was read for nothing is not sent."""
        self._ended = True
        self._stopped = self._stopped or not self.is_open
        self._wake_all()

    # For lanes

    def left(self) -> Chunk | None:
        """A chunk of a former run."""
        if not self._left or self._stopped:
            return None
        chunk = self._left.popleft()
        if self._is_over():
            self._wake_all()
        return chunk

    def take(self, most: int) -> Stretch | None:
        """Records that may fly, if there are any now: at `most` so many."""
        if not self._ready or self._stopped or not self.is_open:
            return None
        stretch = self._ready.popleft()
        if len(stretch) > most:
            self._ready.appendleft(stretch.cut(most, len(stretch)))
            stretch = stretch.cut(0, most)
        self._waiting -= len(stretch)
        if self._waiting + AT_ONCE <= AHEAD:
            self._room.set()
        if self._is_over():
            self._wake_all()  # they were the last: those who wait for others wait in vain
        elif self._ready:
            self._wake()  # many may come at once, and were told of once
        return stretch

    def give_back(self, stretch: Stretch) -> None:
        """They were taken and are still to fly, before all others."""
        self._ready.appendleft(stretch)
        self._waiting += len(stretch)
        self._wake()

    async def news(self, until: float | None) -> bool:
        """Waits for something to take; False if there will be nothing more, or not before `until`.

        For whoever holds keys (`until` is given) also False while too many records wait for a key: he
        would wait for himself.
        """
        if self._is_over() or (until is not None and self.keys.is_crowded):
            return False
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._hungry.append(waiter)
        self._room.set()
        timer = None if until is None else loop.call_at(until, _resolve, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            with contextlib.suppress(ValueError):
                self._hungry.remove(waiter)
        return bool(self._ready or self._left) or not (self._is_over() or until is not None)

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
        if (is_unknown or outcome.doubtful) and record.key is not None:
            self.late.add(record.key, record.action, now())
        if following is not None:
            self.let_go(following, first=True)
            self._room.set()

    def released_all(self, settlement: Settlement) -> None:
        """`released` of them all."""
        if settlement.has_unknown:
            for outcome in settlement:
                self.released(outcome)
            return
        keys = settlement.records.keys()
        followed = self.keys.release_all(keys)
        if settlement.is_doubtful:
            for key, record in zip(keys, settlement.records, strict=True):
                if key is not None:
                    self.late.add(key, record.action, now())
        for following in followed:
            self.let_go(following, first=True)
        self._room.set()

    def stop(self) -> None:
        """Gives nothing more out."""
        self._ended = self._stopped = True
        for timer in self._fenced.values():
            timer.cancel()
        self._room.set()
        self._wake_all()

    def untaken(self) -> Iterator[Record]:
        """What was never given out."""
        for stretch in self._ready:
            yield from stretch
        yield from self._fenced
        for chunk in self._left:
            yield from chunk.records
        yield from self.keys.parked()

    def _unfence(self, record: Record) -> None:
        del self._fenced[record]
        self._offer(Stretch.of(record), first=True)

    def _is_over(self) -> bool:
        return self._stopped or (self._ended and not (self._ready or self._left or self._fenced))

    def _offer(self, stretch: Stretch, *, first: bool = False) -> None:
        ready = self._ready
        self._waiting += len(stretch)
        if first:
            ready.appendleft(stretch)
        # one that is being read by the record grows, so that there are not as many stretches as records
        elif not (ready and len(ready[-1]) < AT_ONCE and ready[-1].takes_in(stretch)):
            ready.append(stretch)
        if self.is_open and self._hungry:
            self._wake()

    def _wake(self) -> None:
        while self._hungry:
            waiter = self._hungry.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        for waiter in self._hungry:
            _resolve(waiter)


def now() -> float:
    return asyncio.get_running_loop().time()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
