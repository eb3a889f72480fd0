"""Single writes that are awaited together go out as one bulk, and each caller gets what is its own.

What a caller gets is as if the write had been sent alone: a task with its own result, proven by its own
receipt, and its own errors, at the same `await`. Two writes of one record are never in flight together and
keep their order. This differs:

* A bulk is always ACCEPTED. Where single writes of its type are stored at once, or nothing is known of
  that, the callers get their tasks when the bulk has ended, with their results, or the error that the
  receipt names. Where single writes are queued, they get their tasks at once. The task is the bulk's: its
  id, state, receipts and token are those of all writes in it.
* A result holds what was sent. What the service adds, such as the times in `meta`, is not in it: the
  receipt proves that the record is stored, and reading each one back would cost what the bulk saves.
  It is what went out, whatever became of the caller's objects since. Where a pipeline or a lost answer
  leaves it open whether the write was carried out, the record is read back.

A write goes alone if no other came in time, if it has a `timeout` of its own or may have been applied before,
if the service makes its id, and if the service refuses the bulk as a whole.
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
from clinia_async.errors import (
    AlreadyExists,
    ApiError,
    CliniaError,
    Outcome,
    SessionClosed,
    TaskFailed,
    WriteConflict,
    copy_for_raise,
)
from clinia_async.models import TargetType, TaskSubmission
from clinia_async.session.coalescing.bulk_member import KeyedWrite, Record, SharedBulk, refusal_of
from clinia_async.session.coalescing.pending_write import Name, PendingWrite, handed_over
from clinia_async.session.coalescing.waiters import wake_together
from clinia_async.session.submissions import Submissions, failure_for_caller
from clinia_async.tasks.detached import OwnTasks, create_detached, raise_fault
from clinia_async.tasks.early_poll import EarlyPollBackoff, early_poll
from clinia_async.tasks.task import Task
from clinia_async.transport.sender import Delivery

MOST = 1000
"""Operations of a bulk."""
LARGEST = 1024 * 1024
"""Bytes of a bulk's operations."""
GATHER_FOR = 0.002
"""Seconds that the first write of a bulk waits for others."""
EARLY_POLL_WITHIN = 0.05
"""Seconds that the early poll of a bulk may take for which its tasks wait."""
END_WITHIN = 30.0
"""Seconds that callers wait for the end of a bulk whose writes, sent alone, are stored at once."""
END_WITHIN_IF_UNKNOWN = 1.0
"""The same where it is not known whether the service stores such writes at once or queues them."""
TURN_FOR = 30.0
"""Seconds that a write waits for the end of an earlier one of the same record; then it is sent."""
_FEW_TURNS = 1000
_OF_THE_SESSION = frozenset({401, 403, 429})
"""Statuses of a refusal that each write would meet alone, too."""

Collection = tuple[str, TargetType, str]
"""Source, target and type of a write."""
Group = tuple[str, TargetType, bool]
"""Source, target, and whether single writes of its types are queued."""


@frozen(eq=False, repr=False)
class Service:
    """What is needed of a session."""

    deliver: Callable[[EncodedBulk], Awaitable[Delivery[TaskSubmission]]]
    send_alone: Callable[[KeyedWrite, bool], Awaitable[Task[Record]]]
    bulk_of: Callable[[Delivery[TaskSubmission], str, int], SharedBulk]


@define(eq=False, repr=False)
class _Turn:
    """Whose turn it is to write some records: those of one request. Many records may share it."""

    task: Task[Record] | None = None
    """The task of the request, once that was answered."""
    until: float = 0.0

    def answered(self, task: Task[Record]) -> None:
        self.task = task
        self.until = asyncio.get_running_loop().time() + TURN_FOR

    def is_over(self) -> bool:
        if self.task is None:
            return False
        return self.task.done() or asyncio.get_running_loop().time() >= self.until


@define(eq=False, repr=False)
class _Batch:
    group: Group
    timer: asyncio.Handle
    expected: int
    """Writes of the batch before it: when as many are there again, no more are waited for."""
    turn: _Turn = field(factory=_Turn)
    writes: list[PendingWrite] = field(factory=list)
    size: int = 0


class Coalescer:
    """Gathers the single writes of a session that are awaited together, and sends them as bulks."""

    def __init__(self, service: Service, submissions: Submissions) -> None:
        self._service = service
        self._submissions = submissions
        self._gathering: dict[Group, _Batch] = {}
        self._backoffs: defaultdict[Group, EarlyPollBackoff] = defaultdict(EarlyPollBackoff)
        self._sizes: dict[Group, int] = {}
        """Writes of the last batch of each group."""
        self._queued: dict[Collection, bool] = {}
        """Whether single writes are queued (ACCEPTED) or stored at once (PERSISTED), where that was seen."""
        self._turns: dict[Name, _Turn] = {}
        self._waiting: dict[Name, deque[PendingWrite]] = {}
        """Writes that wait for the turn to write a record."""
        self._sweep_at = _FEW_TURNS
        self._senders = OwnTasks()
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
        """Take a write, which goes out soon; await what is returned, once, for its task."""
        pending = PendingWrite(write, loop, self._submissions)
        waiting = self._waiting.get(pending.name)
        if waiting is not None:
            waiting.append(pending)
            return pending
        turn = self._turns.get(pending.name)
        if turn is None or turn.is_over():
            self._gather(pending)
            return pending
        self._waiting[pending.name] = deque([pending])
        if turn.task is not None:
            self._own(self._let_next_go_after(turn.task, pending.name))
        return pending

    def works_in(self, task: "asyncio.Task[object]") -> bool:
        """Return whether `task` sends what was gathered."""
        return task in self._senders

    async def drain(self, grace: float) -> None:
        """Send what is gathered, give it `grace` seconds for its answers, then let it go as unknown.

        What waits for another write of its record is not sent: that one is no longer polled.
        """
        self._is_closing = True
        for group in tuple(self._gathering):
            self._send(group)
        senders = tuple(self._senders.tasks)
        if senders:
            await asyncio.wait(senders, timeout=grace)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    def _gather(self, pending: PendingWrite) -> None:
        write = pending.write
        group = (write.source, write.target, self._queued.get(_collection(write), False))
        batch = self._gathering.get(group)
        if batch is None:
            loop, expected = asyncio.get_running_loop(), self._sizes.get(group, MOST)
            timer = loop.call_later(GATHER_FOR, self._send, group)
            batch = self._gathering[group] = _Batch(group, timer, expected)
        self._turns[pending.name] = batch.turn
        batch.writes.append(pending)
        batch.size += len(pending.operation)
        if len(batch.writes) >= MOST or batch.size >= LARGEST:
            self._send(group)
        elif len(batch.writes) == batch.expected:
            # all who came last time are there: whoever else is ready in this turn of the loop may come along
            batch.timer.cancel()
            batch.timer = asyncio.get_running_loop().call_soon(self._send, group)

    def _send(self, group: Group) -> None:
        batch = self._gathering.pop(group)
        batch.timer.cancel()
        self._sizes[group] = len(batch.writes)
        sending, is_shared = self._send_batch(batch), len(batch.writes) > 1
        self._own(sending, is_shared=is_shared, then=partial(self._end_turns, batch))
        if len(self._turns) > self._sweep_at:
            over = {turn for turn in set(self._turns.values()) if turn.is_over()}
            self._turns = {name: turn for name, turn in self._turns.items() if turn not in over}
            self._sweep_at = 2 * len(self._turns) + _FEW_TURNS

    def _own(
        self,
        work: Coroutine[object, object, None],
        *,
        is_shared: bool = True,
        then: Callable[[asyncio.Task[None]], None] | None = None,
    ) -> None:
        """Run `work` in a task of the session, and `then` once it has ended in whatever way."""
        start = create_detached if is_shared else asyncio.create_task
        sender = self._senders.make(partial(start, work, name="clinia-bulk"))
        sender.add_done_callback(self._senders.tasks.discard)
        if then is not None:
            sender.add_done_callback(then)

    async def _send_batch(self, batch: _Batch) -> None:
        if len(batch.writes) == 1:
            await self._send_alone(batch.writes[0])
            return
        source, target, _ = batch.group
        bulk = EncodedBulk(source, target, [each.operation for each in batch.writes], RetrySafety.KEYED)
        try:
            delivery = await self._service.deliver(bulk)
        except CliniaError as error:
            failure = error
        else:
            await self._await_end(batch, self._service.bulk_of(delivery, source, len(batch.writes)))
            return
        if _may_be_of_one(failure):
            maybe_applied = failure.outcome is not Outcome.REJECTED
            await asyncio.gather(
                *(self._send_alone(each, maybe_applied=maybe_applied) for each in batch.writes)
            )
            return
        for pending in batch.writes:
            pending.fail(copy_for_raise(failure))

    async def _await_end(self, batch: _Batch, bulk: SharedBulk) -> None:
        """Hand over the tasks of a bulk: at its end, unless that takes longer than for a write sent alone."""
        task: Task[Record] = Task(bulk.state, bulk)  # waited for, and never asked for a result
        batch.turn.answered(task)
        try:
            await early_poll(task, self._backoffs[batch.group], within=EARLY_POLL_WITHIN)
            if not task.done():
                await self._await_longer(batch, task)
        finally:
            self._pass_turns_on(batch, task)
            failed: list[PendingWrite] = []
            if task.done() and not batch.group[2]:
                failed = [each for each in batch.writes if not bulk.has_stored(each.write)]
            writes, batch.writes = batch.writes, failed
            if failed:
                writes = [each for each in writes if bulk.has_stored(each.write)]
            wake_together(handed_over(writes, bulk), asyncio.get_running_loop())
        if failed:
            await asyncio.gather(*(self._resolve_alike(each, bulk) for each in failed))

    async def _await_longer(self, batch: _Batch, task: Task[Record]) -> None:
        if batch.group[2]:
            return
        collections = {_collection(each.write) for each in batch.writes}
        is_known = all(self._queued.get(each) is False for each in collections)
        with suppress(CliniaError, TimeoutError):
            async with asyncio.timeout(END_WITHIN if is_known else END_WITHIN_IF_UNKNOWN):
                await task.ending()
        if not task.done() and not is_known:
            self._queued.update(dict.fromkeys(collections, True))

    async def _resolve_alike(self, pending: PendingWrite, bulk: SharedBulk) -> None:
        """Give the caller what it would have got for the write sent alone: its task, or its refusal."""
        task = bulk.task_of(pending.write, pending.operation)
        try:
            await task.result()
        except TaskFailed as error:
            refusal = refusal_of(error)
            if refusal is not None:
                pending.fail(refusal)
                return
        except WriteConflict as error:
            pending.fail(copy_for_raise(error))
            return
        except CliniaError:
            pass  # the caller meets it, or a better answer, when it awaits the task
        pending.resolve(task)

    def _pass_turns_on(self, batch: _Batch, task: Task[Record]) -> None:
        if not self._waiting:
            return
        for name in [each.name for each in batch.writes if each.name in self._waiting]:
            self._pass_on(name, task)

    async def _send_alone(self, pending: PendingWrite, *, maybe_applied: bool = False) -> None:
        try:
            task = await self._service.send_alone(pending.write, maybe_applied)
        except CliniaError as error:
            pending.fail(error)
        else:
            self._queued[_collection(pending.write)] = not task.done()
            pending.resolve(task)

    def _end_turns(self, batch: _Batch, sender: "asyncio.Task[None]") -> None:
        """End the turns of what was not handed over with its bulk: each such write has an end of its own."""
        error = None if sender.cancelled() else sender.exception()
        for pending in batch.writes:
            if not pending.is_answered():
                pending.fail(failure_for_caller(error or asyncio.CancelledError()))
            if pending.task is None or pending.task.done():
                self._turns.pop(pending.name, None)
            else:
                turn = self._turns[pending.name] = _Turn()
                turn.answered(pending.task)
            self._pass_on(pending.name, pending.task)
        raise_fault(sender)

    def _pass_on(self, name: Name, task: Task[Record] | None) -> None:
        """The write of a record was answered, or failed: the next one has its turn after that."""
        if task is None or self._is_closing:
            self._let_next_go(name)
        elif name in self._waiting:
            self._own(self._let_next_go_after(task, name))

    async def _let_next_go_after(self, task: Task[Record], name: Name) -> None:
        try:
            with suppress(CliniaError, TimeoutError):
                async with asyncio.timeout(TURN_FOR):
                    await task.ending()
        finally:
            self._let_next_go(name)

    def _let_next_go(self, name: Name) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is None:
            return
        if self._is_closing:
            for pending in waiting:
                pending.fail(SessionClosed("the session was closed before the write was sent"))
            return
        pending = waiting.popleft()
        if waiting:
            self._waiting[name] = waiting
        self._gather(pending)


def _collection(write: KeyedWrite) -> Collection:
    return write.source, write.target, write.type


def _may_be_of_one(failure: CliniaError) -> bool:
    """Whether it is of one write, so that the others succeed alone, or there are no bulks at the service."""
    if isinstance(failure, AlreadyExists):
        return True
    if not isinstance(failure, ApiError) or failure.outcome is not Outcome.REJECTED:
        return False
    return failure.status not in _OF_THE_SESSION
