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
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial

from attrs import define, field, frozen

from clinia_async.calls import (
    CreateRelationship,
    CreateResource,
    EncodedBulk,
    Read,
    Repeat,
    UpsertResource,
)
from clinia_async.delivery import Delivered
from clinia_async.errors import ApiError, CliniaError, Outcome, SessionClosed, fresh
from clinia_async.models import (
    TargetType,
    TaskSubmission,
)
from clinia_async.one_of_many import KeyedWrite, OfOne, Record, SharedReceipts
from clinia_async.receipts import Key
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
_FEW_TURNS = 1000
_OF_THE_SESSION = frozenset({401, 403, 429})
"""Statuses of a refusal that each write would meet alone, too."""

Group = tuple[str, TargetType]
Name = tuple[str, Key]
"""What a write is about: its source and its key."""


Handle = Callable[[KeyedWrite, Conclude[Record]], Task[Record]]
"""Makes the task of one write of a bulk that was delivered."""


@frozen(eq=False, repr=False)
class Service:
    """What is needed of a session."""

    deliver: Callable[[EncodedBulk], Awaitable[Delivered[TaskSubmission]]]
    alone: Callable[[KeyedWrite], Awaitable[Task[Record]]]
    handle_of: Callable[[Delivered[TaskSubmission], str], Handle]
    read: Read


@define(eq=False, repr=False)
class _Place:
    """One write on its way; `arrival` is for its caller, or for `in_doubt` once that one is cancelled."""

    write: KeyedWrite
    key: Key
    operation: bytes
    arrival: "asyncio.Future[Task[Record]]"
    task: Task[Record] | None = None

    @property
    def name(self) -> "Name":
        return self.write.source, self.key

    def arrive(self, task: Task[Record]) -> None:
        self.task = task
        if not self.arrival.done():
            self.arrival.set_result(task)

    def fail(self, error: CliniaError) -> None:
        if not self.arrival.done():
            self.arrival.set_exception(error)


@define(eq=False, repr=False)
class _Batch:
    group: Group
    timer: asyncio.TimerHandle
    places: list[_Place] = field(factory=list)
    size: int = 0


@define(eq=False, repr=False)
class _Turn:
    """Whose turn it is to write one record, and who waits for theirs."""

    waiting: deque[_Place] | None = None
    task: Task[Record] | None = None
    """Of the one whose turn it is, once that was answered."""
    until: float = 0.0

    def is_over(self) -> bool:
        if self.task is None or self.waiting:
            return False
        return self.task.done() or asyncio.get_running_loop().time() >= self.until


class Coalescer:
    def __init__(self, service: Service, submissions: Submissions) -> None:
        self._service = service
        self._submissions = submissions
        self._gathering: dict[Group, _Batch] = {}
        self._turns: dict[Name, _Turn] = {}
        self._sweep_at = _FEW_TURNS
        self._carriers: set[asyncio.Task[None]] = set()
        self._is_closing = False

    @staticmethod
    def takes(write: object) -> bool:
        """Whether the key is known before sending, so that a receipt can be matched to the write."""
        if isinstance(write, CreateResource):
            return write.id is not None
        return isinstance(write, CreateRelationship) or isinstance(write, UpsertResource)  # noqa: SIM101

    async def submit(self, write: KeyedWrite) -> Task[Record]:
        key = write.target, write.type, write.id or ""
        place = _Place(write, key, write.operation(), asyncio.get_running_loop().create_future())
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
        turn = self._turns.get(place.name)
        if turn is None or turn.is_over():
            self._turns[place.name] = _Turn()
            self._gather(place)
            return
        turn.waiting = turn.waiting or deque()
        turn.waiting.append(place)
        if turn.task is not None and len(turn.waiting) == 1:
            self._own(self._let_next_go_after(turn.task, place.name))

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
        self._own(self._carry(batch), then=partial(self._carried, batch))
        if len(self._turns) > self._sweep_at:
            self._turns = {name: turn for name, turn in self._turns.items() if not turn.is_over()}
            self._sweep_at = 2 * len(self._turns) + _FEW_TURNS

    def _own(
        self, work: Coroutine[object, object, None], then: Callable[[asyncio.Task[None]], None] | None = None
    ) -> None:
        """Runs `work` in a task of the session, and `then` once it has ended in whatever way."""
        carrier = asyncio.get_running_loop().create_task(work, name="clinia-bulk")
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)
        if then is not None:
            carrier.add_done_callback(then)

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
            self._hand_out(batch, delivered)
            return
        if _may_be_of_one(failure):
            await asyncio.gather(*map(self._alone, batch.places))
        for place in batch.places:
            place.fail(fresh(failure))

    def _hand_out(self, batch: _Batch, delivered: Delivered[TaskSubmission]) -> None:
        handle, read = self._service.handle_of(delivered, batch.group[0]), self._service.read
        receipts = SharedReceipts([place.key for place in batch.places])
        for place in batch.places:
            place.arrive(handle(place.write, OfOne(place.write, place.key, receipts, read)))

    async def _alone(self, place: _Place) -> None:
        try:
            place.arrive(await self._service.alone(place.write))
        except CliniaError as error:
            place.fail(error)

    def _carried(self, batch: _Batch, carrier: "asyncio.Task[None]") -> None:
        for place in batch.places:
            if not place.arrival.done():
                place.fail(_closed(Outcome.UNKNOWN))
            turn = self._turns[place.name]
            if place.task is None:
                self._let_next_go(place.name)
            elif turn.waiting and not self._is_closing:
                self._own(self._let_next_go_after(place.task, place.name))
            elif turn.waiting:
                self._let_next_go(place.name)
            elif place.task.done():
                del self._turns[place.name]
            else:
                turn.task, turn.until = place.task, asyncio.get_running_loop().time() + HOLD
        if not carrier.cancelled():
            carrier.result()  # a fault of ours: the loop's exception handler gets to see it

    async def _let_next_go_after(self, task: Task[Record], name: Name) -> None:
        try:
            with suppress(CliniaError):
                await task.wait(timeout=HOLD)
        finally:
            self._let_next_go(name)

    def _let_next_go(self, name: Name) -> None:
        turn = self._turns.pop(name)
        if self._is_closing:
            for place in turn.waiting or ():
                place.fail(_closed(Outcome.NOT_SENT))
        elif turn.waiting:
            place = turn.waiting.popleft()
            self._turns[name] = _Turn(turn.waiting)
            self._gather(place)


def _may_be_of_one(failure: CliniaError) -> bool:
    """Whether one write may have spoilt the others, or there are no bulks where the service is."""
    if not isinstance(failure, ApiError) or failure.outcome is not Outcome.REJECTED:
        return False
    return failure.status not in _OF_THE_SESSION


def _closed(outcome: Outcome) -> SessionClosed:
    return SessionClosed("the session was closed before the answer came", outcome=outcome)
