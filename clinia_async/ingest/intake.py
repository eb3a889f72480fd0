"""The shared end of the input: one reader pulls from it, a little ahead of need, and lanes take from here."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence

from clinia_async.calls import BatchWrite
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.chunks import Chunk
from clinia_async.ingest.journal_rows import Failure, Unfinished
from clinia_async.ingest.keys_in_flight import KeysInFlight, LateKeys
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.record_stream import RecordStream
from clinia_async.ingest.records import BadRecord, Blank, Record
from clinia_async.ingest.replay import Place, Replay
from clinia_async.ingest.report import Report
from clinia_async.models import Action
from clinia_async.receipts import Key
from clinia_async.task_id import TaskId

Item = BatchWrite | Record | BadRecord | Blank
Emit = Callable[[RecordOutcome], Awaitable[None]]

OVERTAKEN = "a later write of the same record was sent since, and this one would undo it"
AHEAD = 256
"""Records that are read before a lane asks for them."""


class Intake:
    """Gives out records whose key is free, and first the chunks that a former run has left.

    What is wrong or blank never leaves it. Whoever holds a record gives its follower back.
    """

    def __init__(
        self,
        source: str,
        items: Iterable[Item] | AsyncIterable[Item],
        keys: KeysInFlight,
        report: Report,
        replay: Replay,
        *,
        fence: float,
        may_have_arrived: bool,
    ) -> None:
        self._source = source
        self._blocks = _blocks(items)
        self._keys = keys
        self._report = report
        self._replay = replay
        self._may_have_arrived = may_have_arrived
        self._is_plain = replay.is_empty and not may_have_arrived
        self._ready: deque[Record] = deque()
        self._left: deque[Chunk] = deque()
        self._gathered: dict[Key | Record, tuple[Record, Unfinished]] = {}
        """Of chunks that a former run left, while they are not yet whole: by key, where they have one."""
        self._doubtful: dict[Record, Unfinished | None] = {}
        """With the chunk of a former run that may have brought it there."""
        self._fenced: dict[Record, asyncio.TimerHandle] = {}
        self._late = LateKeys(fence)
        self._hungry: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._ended = False
        self._stopped = False

    @property
    def read_to(self) -> int:
        return self._report.read

    @property
    def digest(self) -> bytes:
        return self._replay.digest

    async def read(self, emit: Emit) -> None:
        """Reads the input to its end, as fast as records are taken. Raises what the source raises."""
        report, ready, keys, takes_plainly = self._report, self._ready, self._keys, self._takes_plainly
        try:
            async for items in self._blocks:
                for item in items:
                    if not takes_plainly(item):
                        await self._take_in(item, emit)
                    if not report.read % AHEAD:
                        await asyncio.sleep(0)  # an iterable that is not async would never let go of the loop
                    if len(ready) >= AHEAD or keys.is_crowded:
                        await self._wait_for_room()
            self._replay.check_ended()
        finally:
            self._ended = True
            if not self._replay.is_over:
                # it is not proven to be the input of this job, and nothing of it is sent
                self._stopped = True
            self._wake_all()
            await self._close()

    def left(self) -> Chunk | None:
        """A chunk of a former run."""
        if not self._left or self._stopped:
            return None
        chunk = self._left.popleft()
        if self._is_over():
            self._wake_all()
        return chunk

    def stop(self) -> None:
        """Gives nothing more out."""
        self._ended = self._stopped = True
        for timer in self._fenced.values():
            timer.cancel()
        self._room.set()
        self._wake_all()

    def take(self, most: int) -> Sequence[Record]:
        """Records that may fly, if there are any now."""
        if not self._ready or self._stopped or not self._replay.is_over:
            return ()
        records = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        if len(self._ready) < AHEAD // 2:
            self._room.set()
        if self._is_over():
            self._wake_all()  # they were the last: those who wait for others wait in vain
        return records

    def give_back(self, records: Sequence[Record]) -> None:
        """They were taken and are still to fly, before all others."""
        self._ready.extendleft(reversed(records))
        for _ in records:
            self._wake()

    @property
    def has_doubtful(self) -> bool:
        return bool(self._doubtful)

    def is_doubtful(self, record: Record) -> bool:
        """Whether it may have arrived already, in a former run."""
        return record in self._doubtful

    def of_former_run(self, record: Record) -> tuple[TaskId | None, int]:
        """The task of a doubtful record, and how often it was sent."""
        left = self._doubtful[record]
        return (None, 0) if left is None else (left.task, left.attempts)

    async def news(self, until: float | None) -> bool:
        """Waits for something to take; False if there will be nothing more, or not before `until`.

        For whoever holds keys (`until` is given) also False while too many records wait for a key: he
        would wait for himself.
        """
        if self._is_over() or (until is not None and self._keys.is_crowded):
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

    def released(self, record: Record, *, doubtful: bool) -> None:
        """`record` is settled: what waited for its key may fly.

        If it may have arrived twice, and late, it could undo what follows it. Then that waits until this
        is past belief.
        """
        following = self._keys.release(record)
        self._doubtful.pop(record, None)
        if doubtful and record.key is not None:
            self._late.add(record.key, record.action, _now())
        if following is not None:
            self._let_go(following, first=True)
            self._room.set()

    def released_all(self, records: Sequence[Record], doubtful: Iterable[int]) -> None:
        """`released` of them all, with the places of what is doubtful."""
        followed = self._keys.release_all(records)
        if self._doubtful:
            for record in records:
                self._doubtful.pop(record, None)
        for place in doubtful:
            record = records[place]
            if record.key is not None:
                self._late.add(record.key, record.action, _now())
        for following in followed:
            self._let_go(following, first=True)
        self._room.set()

    def untaken(self) -> Iterator[Record]:
        """What was read and never given out."""
        yield from (record for record, _ in self._gathered.values())
        yield from self._ready
        yield from self._fenced
        for chunk in self._left:
            yield from chunk.records
        yield from self._keys.parked()

    def _let_go(self, record: Record, *, first: bool = False) -> None:
        """It holds its key; but an earlier write of it may still be on its way."""
        until = self._late.until(record, _now())
        if until is None or self._stopped:
            self._offer(record, first=first)
        else:
            self._fenced[record] = asyncio.get_running_loop().call_at(until, self._unfence, record)

    def _unfence(self, record: Record) -> None:
        del self._fenced[record]
        self._offer(record, first=True)

    async def _wait_for_room(self) -> None:
        while not self._may_read_on():
            self._room.clear()
            self._wake()
            await self._room.wait()

    def _may_read_on(self) -> bool:
        if self._ended or not self._replay.is_over:
            return True
        return len(self._ready) < AHEAD and not self._keys.is_crowded

    def _is_over(self) -> bool:
        return self._stopped or (self._ended and not (self._ready or self._left or self._fenced))

    def _takes_plainly(self, item: Item) -> bool:
        """Most items are records that nothing is known of, and are taken in with no more than this."""
        if not self._is_plain:
            return False
        place = self._report.read + 1
        if type(item) is Record:
            record = item
        elif isinstance(item, BatchWrite):
            record = Record(place, item)
        else:
            return False
        if record.kind.source != self._source:
            return False
        self._report.read = record.position = place
        if self._keys.claim(record):
            if self._late:
                self._let_go(record)
            else:
                self._ready.append(record)
                if self._hungry:
                    self._wake()
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
            await self._look_back(record, record.key, place, emit)
        self._report.read += 1
        if isinstance(record, BadRecord):
            reason = f"{record.path}: {record.reason}"
            await emit(RecordOutcome(record, Disposition.INVALID, reason))
        elif isinstance(place, Disposition):
            self._report.add_former(place)
        elif isinstance(place, Failure):
            await emit(_told(record, place))
        else:
            self._claim(record, place)
        if self._replay.is_over and not before:
            self._left.extend(self._replay.chunks())
            self._gathered.clear()
            self._wake_all()

    def _claim(self, record: Record, chunk: Unfinished | None) -> None:
        if self._may_have_arrived or (chunk is not None and chunk.may_have_arrived):
            self._doubtful[record] = chunk
        if not self._keys.claim(record):
            return
        if chunk is not None:
            chunk.records.append(record)
            self._gathered[record.key or record] = record, chunk
        else:
            self._let_go(record)

    async def _look_back(self, record: Record, key: Key, place: Place, emit: Emit) -> None:
        """A former run had the record: what does it mean for an earlier one of the same key?"""
        earlier, left = self._gathered.get(key, (None, None))
        if earlier is not None and left is not None and _is_past(earlier, record, place):
            # whatever became of it, sending it now would undo what has followed
            del self._gathered[key]
            left.records.remove(earlier)
            self._doubtful.pop(earlier, None)
            if (following := self._keys.release(earlier)) is not None:
                self._let_go(following)
            disposition = Disposition.UNKNOWN if left.may_have_arrived else Disposition.UNSENT
            self._late.add(key, earlier.action, _now())
            await emit(
                RecordOutcome(earlier, disposition, OVERTAKEN, left.task, attempts=left.attempts, former=True)
            )
        elif earlier is None:
            self._late.waited(record, _now())
        if not isinstance(place, Unfinished) and self._replay.is_late(record):
            # with the run that sent it twice, the wait for the first of the two was forgotten
            self._late.add(key, record.action, _now())

    def _offer(self, record: Record, *, first: bool = False) -> None:
        if first:
            self._ready.appendleft(record)
        else:
            self._ready.append(record)
        if self._replay.is_over:
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


def _is_past(earlier: Record, record: Record, place: Place) -> bool:
    """Whether `earlier`, which a former run left, must not be sent any more, because `record` was."""
    if isinstance(place, Unfinished):
        return place.may_have_arrived
    if isinstance(place, Failure) and not place.attempts:
        return False
    # a create that is sent again can undo no other create
    return not earlier.action is record.action is Action.CREATE


def _now() -> float:
    return asyncio.get_running_loop().time()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _told(record: Record, failure: Failure) -> RecordOutcome:
    return RecordOutcome(
        record, failure.disposition, failure.reason, failure.task, attempts=failure.attempts, former=True
    )


def _blocks(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Iterable[Item]]:
    if isinstance(items, RecordStream):
        return items.blocks
    return _one_by_one(items) if isinstance(items, AsyncIterable) else _at_once(items)


async def _at_once(items: Iterable[Item]) -> AsyncIterator[Iterable[Item]]:
    yield items


async def _one_by_one(items: AsyncIterable[Item]) -> AsyncIterator[Iterable[Item]]:
    iterator = aiter(items)
    try:
        async for item in iterator:
            yield (item,)
    finally:
        closing = getattr(iterator, "aclose", None)
        if closing is not None:
            await closing()
