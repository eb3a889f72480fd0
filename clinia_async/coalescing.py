"""Single writes that are awaited together go out as one bulk, and each caller gets what is its own.

What a caller gets is as if the write had been sent alone: a task with its own result, settled by its own
receipt, and its own errors. Two writes of one record are never under way together and keep their order.
This differs:

* The answer is always ACCEPTED, so results come a look later. The task is the bulk's: its id, state,
  receipts and token are those of all writes in it.
* A result holds what was sent. What the service adds, such as the times in `meta`, is not in it: the
  receipt proves that the record is stored, and reading each one back would cost what the bulk saves.
  Where a pipeline or a lost answer leaves a doubt, the record is read back.

A write goes alone if no other came in time, if it has a `timeout` of its own or is `doubtful`, if the
service makes its id, and if the service refuses the bulk as a whole.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import cast

from attrs import define, field, frozen

from clinia_async.calls import (
    CreateRelationship,
    CreateResource,
    EncodedBulk,
    Read,
    Repeat,
    UpsertResource,
)
from clinia_async.conclusions import OfRecord, RecordWrite
from clinia_async.delivery import Delivered
from clinia_async.errors import ApiError, CliniaError, Outcome, ProtocolError, SessionClosed, fresh
from clinia_async.models import (
    Receipt,
    Relationship,
    Resource,
    TargetType,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.receipts import Key, match_receipts
from clinia_async.submission import Submissions
from clinia_async.tasks import Conclude, Task

MOST = 1000
"""Operations of a bulk."""
LARGEST = 1024 * 1024
"""Bytes of a bulk's operations."""
PATIENCE = 0.002
"""Seconds that the first write of a bulk waits for others."""
HOLD = 30.0
"""Seconds that a write waits for the end of an earlier one of the same record; then it goes, as alone."""
_OF_THE_SESSION = frozenset({401, 403, 429})
"""Statuses of a refusal that each write would meet alone, too."""

KeyedWrite = CreateRelationship | CreateResource | UpsertResource
Record = Relationship | Resource
Group = tuple[str, TargetType]


@frozen
class Service:
    """What is needed of a session."""

    deliver: Callable[[EncodedBulk], Awaitable[Delivered[TaskSubmission]]]
    alone: Callable[[KeyedWrite], Awaitable[Task[Record]]]
    handle: Callable[[Delivered[TaskSubmission], KeyedWrite, Conclude[Record]], Task[Record]]
    read: Read


@define(eq=False)
class _Place:
    """One write on its way; `arrival` is for its caller, or for `in_doubt` once that one is cancelled."""

    write: KeyedWrite
    operation: bytes
    arrival: "asyncio.Future[Task[Record]]"

    @property
    def key(self) -> tuple[str, Key]:
        return self.write.source, _key(self.write)

    def arrive(self, task: Task[Record]) -> None:
        if not self.arrival.done():
            self.arrival.set_result(task)

    def fail(self, error: CliniaError) -> None:
        if not self.arrival.done():
            self.arrival.set_exception(error)


def _key(write: KeyedWrite) -> Key:
    return write.target, write.type, write.id or ""


@define(eq=False)
class _Batch:
    group: Group
    timer: asyncio.TimerHandle
    places: list[_Place] = field(factory=list)
    size: int = 0
    _receipts: Mapping[Key, Receipt] | None = None
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    async def receipt_of(self, write: KeyedWrite, task: Task[Record]) -> Receipt:
        if self._receipts is None:
            async with self._lock:  # one reads them for all
                if self._receipts is None:
                    keys = [_key(place.write) for place in self.places]
                    self._receipts = match_receipts(keys, await task.receipts()).of
        receipt = self._receipts.get(_key(write))
        if receipt is None or not receipt.status.is_terminal:
            raise ProtocolError("the write is without a receipt to rely on")
        return receipt


@frozen
class _OfOne:
    """What its receipt says of one write of a batch."""

    write: KeyedWrite
    batch: _Batch
    read: Read

    async def __call__(self, task: Task[Record], snapshot: TaskSnapshot) -> Record:
        receipt = await self.batch.receipt_of(self.write, task)
        if receipt.status == TaskStatus.SUCCESS and receipt.pipeline_execution is None:
            return self.write.as_sent()  # without a pipeline there was no review that could have dropped it
        conclude = OfRecord(cast("RecordWrite[Record]", self.write), self.read)
        return await conclude(task, TaskSnapshot(receipt.status, task.id, (receipt,)))


class Coalescer:
    def __init__(self, service: Service, submissions: Submissions) -> None:
        self._service = service
        self._submissions = submissions
        self._gathering: dict[Group, _Batch] = {}
        self._under_way: dict[tuple[str, Key], deque[_Place]] = {}
        """By key, who waits until the write before is done."""
        self._carriers: set[asyncio.Task[None]] = set()
        self._is_closing = False

    @staticmethod
    def takes(write: object) -> bool:
        """Whether the key is known before sending, so that a receipt can be matched to the write."""
        return isinstance(write, KeyedWrite) and write.id is not None

    async def submit(self, write: KeyedWrite) -> Task[Record]:
        place = _Place(write, write.operation(), asyncio.get_running_loop().create_future())
        self._admit(place)
        try:
            return await place.arrival
        except asyncio.CancelledError:
            if place.arrival.cancelled():  # the write stays where it is, and its answer goes elsewhere
                place.arrival = asyncio.get_running_loop().create_future()
            self._submissions.doubt(write, place.arrival)
            raise

    async def drain(self, grace: float) -> None:
        """Sends what is gathered, gives it `grace` seconds for its answers, then lets it go as unknown.

        What waits for another write of its record is not sent: that one is no longer watched.
        """
        self._is_closing = True
        for group in tuple(self._gathering):
            self._send(group)
        carriers = tuple(self._carriers)
        if carriers:
            await asyncio.wait(carriers, timeout=grace)
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)

    def _admit(self, place: _Place) -> None:
        if place.key in self._under_way:
            self._under_way[place.key].append(place)
        else:
            self._under_way[place.key] = deque()
            self._gather(place)

    def _gather(self, place: _Place) -> None:
        group = (place.write.source, place.write.target)
        batch = self._gathering.get(group)
        if batch is None:
            timer = asyncio.get_running_loop().call_later(PATIENCE, self._send, group)
            batch = self._gathering[group] = _Batch(group, timer)
        batch.places.append(place)
        batch.size += len(place.operation)
        if len(batch.places) >= MOST or batch.size >= LARGEST:
            self._send(group)

    def _send(self, group: Group) -> None:
        batch = self._gathering.pop(group)
        batch.timer.cancel()
        carrier = asyncio.get_running_loop().create_task(self._carry(batch), name="clinia-bulk")
        self._carriers.add(carrier)
        carrier.add_done_callback(partial(self._carried, batch))

    async def _carry(self, batch: _Batch) -> None:
        if len(batch.places) == 1:
            await self._alone(batch.places[0])
            return
        bulk = EncodedBulk(*batch.group, [place.operation for place in batch.places], Repeat.KEYED)
        try:
            delivered = await self._service.deliver(bulk)
        except CliniaError as error:
            failure = error
        else:
            await self._hand_out(batch, delivered)
            return
        if _may_be_of_one(failure):
            await asyncio.gather(*map(self._alone, batch.places))
        for place in batch.places:
            place.fail(fresh(failure))

    async def _hand_out(self, batch: _Batch, delivered: Delivered[TaskSubmission]) -> None:
        handle, read = self._service.handle, self._service.read
        tasks = [handle(delivered, place.write, _OfOne(place.write, batch, read)) for place in batch.places]
        for place, task in zip(batch.places, tasks, strict=True):
            place.arrive(task)
        await _end_of(tasks[0])

    async def _alone(self, place: _Place) -> None:
        try:
            task = await self._service.alone(place.write)
        except CliniaError as error:
            place.fail(error)
        else:
            place.arrive(task)
            await _end_of(task)

    def _carried(self, batch: _Batch, carrier: "asyncio.Task[None]") -> None:
        self._carriers.discard(carrier)
        for place in batch.places:
            place.fail(_closed(Outcome.UNKNOWN))  # unless it was told what became of it
            self._let_next_go(place.key)
        if not carrier.cancelled():
            carrier.result()  # a fault of ours: the loop's exception handler gets to see it

    def _let_next_go(self, key: tuple[str, Key]) -> None:
        waiting = self._under_way[key]
        if self._is_closing:
            for place in waiting:
                place.fail(_closed(Outcome.NOT_SENT))
            waiting.clear()
        if waiting:
            self._gather(waiting.popleft())
        else:
            del self._under_way[key]


async def _end_of(task: Task[Record]) -> None:
    """The next write of a record waits until this one is done, but not as long as a review may take."""
    if task.done():
        return
    with suppress(CliniaError):
        await task.wait(timeout=HOLD)


def _may_be_of_one(failure: CliniaError) -> bool:
    """Whether one write may have spoilt the others, or there are no bulks where the service is."""
    if not isinstance(failure, ApiError) or failure.outcome is not Outcome.REJECTED:
        return False
    return failure.status not in _OF_THE_SESSION


def _closed(outcome: Outcome) -> SessionClosed:
    return SessionClosed("the session was closed before the answer came", outcome=outcome)
