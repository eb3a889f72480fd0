"""Single writes that are awaited together go out as one bulk, and each caller gets what is its own.

What a caller gets is as if the write had been sent alone: a task with its own result, settled by its own
receipt, and its own errors. Two writes of one record are never under way together and keep their order.
This differs:

* The answer is always ACCEPTED, so results come a look later. Where bulks end that soon, the first look
  comes before the tasks, which then bring their results: a caller that is woken twice costs half as much
  again. The task is the bulk's: its id, state, receipts and token are those of all writes in it.
* A result holds what was sent. What the service adds, such as the times in `meta`, is not in it: the
  receipt proves that the record is stored, and reading each one back would cost what the bulk saves.
  It is what went out, whatever became of the caller's objects since. Where a pipeline or a lost answer
  leaves a doubt, the record is read back.

A write goes alone if no other came in time, if it has a `timeout` of its own or is `maybe_applied`, if the
service makes its id, and if the service refuses the bulk as a whole.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TypeGuard

from attrs import define, field, frozen

from clinia_async.calls import (
    CreateRelationship,
    CreateResource,
    EncodedBulk,
    RetrySafety,
    UpsertResource,
)
from clinia_async.errors import ApiError, CliniaError, Outcome, SessionClosed, copy_for_raise
from clinia_async.models import (
    TargetType,
    TaskSubmission,
)
from clinia_async.session.coalescing.bulk_member import KeyedWrite, Record, SharedBulk
from clinia_async.session.coalescing.pending_write import Name, PendingWrite, handed_over
from clinia_async.session.submissions import Submissions
from clinia_async.tasks.early_poll import EarlyPollBackoff
from clinia_async.tasks.task import Task
from clinia_async.tasks.waiters import wake_together
from clinia_async.transport.sender import Delivery

MOST = 1000
"""Operations of a bulk."""
LARGEST = 1024 * 1024
"""Bytes of a bulk's operations."""
PATIENCE = 0.002
"""Seconds that the first write of a bulk waits for others."""
GLANCE = 0.05
"""Seconds that the look at a bulk may take for which its tasks wait."""
HOLD = 30.0
"""Seconds that a write waits for the end of an earlier one of the same record; then it goes, as alone."""
_FEW_TURNS = 1000
_OF_THE_SESSION = frozenset({401, 403, 429})
"""Statuses of a refusal that each write would meet alone, too."""

Group = tuple[str, TargetType]


@frozen(eq=False, repr=False)
class Service:
    """What is needed of a session."""

    deliver: Callable[[EncodedBulk], Awaitable[Delivery[TaskSubmission]]]
    alone: Callable[[KeyedWrite], Awaitable[Task[Record]]]
    sent: Callable[[Delivery[TaskSubmission], str], SharedBulk]


@define(eq=False, repr=False)
class _Turn:
    """Whose turn it is to write some records: those of one request. It may be shared by many."""

    task: Task[Record] | None = None
    """What became of the request, once that was answered."""
    until: float = 0.0

    def answered(self, task: Task[Record]) -> None:
        self.task = task
        self.until = asyncio.get_running_loop().time() + HOLD

    def is_over(self) -> bool:
        if self.task is None:
            return False
        return self.task.done() or asyncio.get_running_loop().time() >= self.until


@define(eq=False, repr=False)
class _Batch:
    group: Group
    timer: asyncio.TimerHandle
    turn: _Turn = field(factory=_Turn)
    places: list[PendingWrite] = field(factory=list)
    size: int = 0


class Coalescer:
    def __init__(self, service: Service, submissions: Submissions) -> None:
        self._service = service
        self._submissions = submissions
        self._gathering: dict[Group, _Batch] = {}
        self._hurry: defaultdict[Group, EarlyPollBackoff] = defaultdict(EarlyPollBackoff)
        self._turns: dict[Name, _Turn] = {}
        self._waiting: dict[Name, deque[PendingWrite]] = {}
        """Who waits for the turn to write a record."""
        self._sweep_at = _FEW_TURNS
        self._carriers: set[asyncio.Task[None]] = set()
        self._is_closing = False

    @staticmethod
    def takes(write: object) -> TypeGuard[KeyedWrite]:
        """Whether the key is known before sending, so that a receipt can be matched to the write."""
        if isinstance(write, CreateRelationship):
            return True
        return isinstance(write, UpsertResource) or (
            isinstance(write, CreateResource) and write.id is not None
        )

    def submit(self, write: KeyedWrite, loop: asyncio.AbstractEventLoop) -> Awaitable[Task[Record]]:
        place = PendingWrite(write, loop, self._submissions)
        waiting = self._waiting.get(place.name)
        if waiting is not None:
            waiting.append(place)
            return place
        turn = self._turns.get(place.name)
        if turn is None or turn.is_over():
            self._gather(place)
            return place
        self._waiting[place.name] = deque([place])
        if turn.task is not None:
            self._own(self._let_next_go_after(turn.task, place.name))
        return place

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

    def _gather(self, place: PendingWrite) -> None:
        group = (place.write.source, place.write.target)
        batch = self._gathering.get(group)
        if batch is None:
            timer = asyncio.get_running_loop().call_later(PATIENCE, self._send, group)
            batch = self._gathering[group] = _Batch(group, timer)
        self._turns[place.name] = batch.turn
        batch.places.append(place)
        batch.size += len(place.operation)
        if len(batch.places) >= MOST or batch.size >= LARGEST:
            self._send(group)

    def _send(self, group: Group) -> None:
        batch = self._gathering.pop(group)
        batch.timer.cancel()
        self._own(self._carry(batch), then=partial(self._carried, batch))
        if len(self._turns) > self._sweep_at:
            over = {turn for turn in set(self._turns.values()) if turn.is_over()}
            self._turns = {name: turn for name, turn in self._turns.items() if turn not in over}
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
        bulk = EncodedBulk(*batch.group, [place.operation for place in batch.places], RetrySafety.KEYED)
        try:
            delivered = await self._service.deliver(bulk)
        except CliniaError as error:
            failure = error
        else:
            await self._delivered(batch, self._service.sent(delivered, batch.group[0]))
            return
        if _may_be_of_one(failure):
            await asyncio.gather(*map(self._alone, batch.places))
            return
        for place in batch.places:
            place.fail(copy_for_raise(failure))

    async def _delivered(self, batch: _Batch, bulk: SharedBulk) -> None:
        try:
            await self._glance(bulk, self._hurry[batch.group])
        finally:
            self._hand_over(batch, bulk)

    async def _glance(self, bulk: SharedBulk, hurry: EarlyPollBackoff) -> None:
        """Where a bulk has ended by now, its results go to the callers with their tasks."""
        if bulk.watch.has_ended or not hurry.is_of_use():
            return
        with suppress(CliniaError, TimeoutError):
            async with asyncio.timeout(GLANCE):
                await bulk.watch.look(receipts=True)
        hurry.found(ended=bulk.watch.has_ended)

    def _hand_over(self, batch: _Batch, bulk: SharedBulk) -> None:
        places, batch.places = batch.places, []
        batch.turn.answered(Task(bulk.watch, bulk))  # waited for, and never asked for a result
        for name in [place.name for place in places if place.name in self._waiting]:
            self._pass_on(name, batch.turn.task)
        wake_together(handed_over(places, bulk), asyncio.get_running_loop())

    async def _alone(self, place: PendingWrite) -> None:
        try:
            place.arrive(await self._service.alone(place.write))
        except CliniaError as error:
            place.fail(error)

    def _carried(self, batch: _Batch, carrier: "asyncio.Task[None]") -> None:
        """What was not delivered as a bulk: each write has an end of its own."""
        for place in batch.places:
            if place.task is None and place.failure is None:
                place.fail(_closed(Outcome.UNKNOWN))
            if place.task is None or place.task.done():
                del self._turns[place.name]
            else:
                turn = self._turns[place.name] = _Turn()
                turn.answered(place.task)
            self._pass_on(place.name, place.task)
        if not carrier.cancelled():
            carrier.result()  # a fault of ours: the loop's exception handler gets to see it

    def _pass_on(self, name: Name, task: Task[Record] | None) -> None:
        """The write of a record was answered, or failed: who waits for the turn has it after that."""
        if task is None or self._is_closing:
            self._let_next_go(name)
        elif name in self._waiting:
            self._own(self._let_next_go_after(task, name))

    async def _let_next_go_after(self, task: Task[Record], name: Name) -> None:
        try:
            with suppress(CliniaError):
                await task.wait(timeout=HOLD)
        finally:
            self._let_next_go(name)

    def _let_next_go(self, name: Name) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is None:
            return
        if self._is_closing:
            for place in waiting:
                place.fail(_closed(Outcome.NOT_SENT))
            return
        place = waiting.popleft()
        if waiting:
            self._waiting[name] = waiting
        self._gather(place)


def _may_be_of_one(failure: CliniaError) -> bool:
    """Whether one write may have spoilt the others, or there are no bulks where the service is."""
    if not isinstance(failure, ApiError) or failure.outcome is not Outcome.REJECTED:
        return False
    return failure.status not in _OF_THE_SESSION


def _closed(outcome: Outcome) -> SessionClosed:
    return SessionClosed("the session was closed before the answer came", outcome=outcome)
