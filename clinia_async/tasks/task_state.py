"""The state of one task id, shared by all its handles, and the futures that wait for it to change."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from typing import TypeVar

from attrs import frozen

from clinia_async import telemetry
from clinia_async.calls.reconciliation import statement_after
from clinia_async.errors import (
    CliniaError,
    ConfigError,
    ProtocolError,
    RequestError,
    copy_for_raise,
)
from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.models.secret import fingerprint
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.models.value import EqualByFields
from clinia_async.serialization.lazy_receipts import LazyReceipts
from clinia_async.tasks.bad_answers import BadAnswerStreak
from clinia_async.tasks.waiting_futures import Future, Waiters, any_waits, joined, listed, resolve
from clinia_async.telemetry import Telemetry

E = TypeVar("E", bound=CliniaError)


@frozen(eq=False, repr=False)
class TaskStats(EqualByFields):
    """How a task was polled so far. Times are seconds on the event loop's clock."""

    submitted_at: float
    """When it was accepted; for a task picked up by its id or token, when it was picked up."""
    resumed: bool = False
    polls: int = 0
    seen_pending_at: float | None = None
    done_at: float | None = None

    @property
    def detection_gap(self) -> float | None:
        """Seconds that the task may have been done before it was noticed, at most."""
        if self.done_at is None:
            return None
        since = self.submitted_at if self.seen_pending_at is None else self.seen_pending_at
        return self.done_at - since


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raise `ConfigError` if another event loop runs than that of a session."""
    if asyncio.get_running_loop() is not loop:
        raise ConfigError(
            "this session belongs to another event loop: make one for this loop; tokens hand tasks over"
        )


class StateReader:
    """What a task state asks its session for; one object for all states, as there may be 100,000."""

    def __init__(
        self,
        poll: Callable[["TaskState", bool], Awaitable[TaskSnapshot]],
        read_receipts: Callable[["TaskState"], Awaitable[TaskSnapshot]],
        start: Callable[["TaskState"], None],
        telemetry: Telemetry | None = None,
    ) -> None:
        self.poll = poll
        """One GET, with receipts or without."""
        self.read_receipts = read_receipts
        """Reads the receipts, with retries."""
        self.start = start
        """Start to poll this task: somebody waits for it."""
        self.telemetry = telemetry or Telemetry()
        self.loop = asyncio.get_running_loop()
        """The event loop of the session."""
        self.never_awaited = 0
        """Handles of accepted tasks that were dropped without anybody asking how they ended."""

    def waiter(self) -> "Future":
        """Return a future for one who waits, in the event loop of the session.

        Raises:
            ConfigError: another loop runs; what polls would wake nobody there.
        """
        check_loop(self.loop)
        return self.loop.create_future()


class TaskState:
    """What is known of one task id, shared by all its handles. A terminal status is final."""

    __slots__ = (
        "__weakref__",
        "_changed",
        "_ended",
        "_reader",
        "_seen",
        "bad_answers",
        "done_at",
        "id",
        "kept_receipts",
        "maybe_applied",
        "polls",
        "resumed",
        "retrieved",
        "said_later",
        "scheduled",
        "seen_pending_at",
        "source",
        "submitted_at",
        "wait_context",
        "wants_receipts",
    )

    def __init__(
        self,
        id: TaskId | None,
        source: str | None,
        *,
        reader: StateReader,
        snapshot: TaskSnapshot,
        stats: TaskStats,
    ) -> None:
        self.id = id
        self.source = source
        seen = (snapshot.status, snapshot.task_id, snapshot.receipts)
        self._seen = None if seen == (TaskStatus.PENDING, id, None) else snapshot
        self.submitted_at = stats.submitted_at
        self.resumed = stats.resumed
        self.polls = stats.polls
        self.seen_pending_at = stats.seen_pending_at
        self.done_at = stats.done_at
        self.kept_receipts: Sequence[Receipt] | None = None
        self.said_later: TaskStatus | None = None
        """The status that an answer after the end said, where it is not that of the end."""
        self.scheduled = False
        """Whether the poller has it; like `bad_answers`, a note of the poller's own."""
        self.bad_answers: BadAnswerStreak | None = None
        self.wants_receipts = False
        """Whether polls ask for receipts, so that the one that sees the end brings the proof with it."""
        self.maybe_applied = False
        """Whether an answer to the write was lost, as its handles say; tokens keep it."""
        self.retrieved = stats.resumed
        """Whether anybody asked how the task ended, or took its token."""
        self.wait_context: Context | None = None
        """The context of the last waiter, where spans are made: those of polls are below its own."""
        self._reader = reader
        self._changed: Waiters = None
        self._ended: Waiters = None

    @property
    def snapshot(self) -> TaskSnapshot:
        """What the last poll saw; where that is just PENDING none is kept, as there may be many tasks."""
        return TaskSnapshot(TaskStatus.PENDING, self.id) if self._seen is None else self._seen

    @property
    def stats(self) -> TaskStats:
        return TaskStats(self.submitted_at, self.resumed, self.polls, self.seen_pending_at, self.done_at)

    @property
    def has_ended(self) -> bool:
        return self._seen is not None and self._seen.status.is_terminal

    @property
    def kind(self) -> TaskKind:
        """The kind that the id says; a write that was carried out without a task is single."""
        return TaskKind.SINGLE if self.id is None else self.id.kind

    @property
    def known_id(self) -> TaskId:
        """The id of a task that has one.

        Raises:
            ConfigError: the write was carried out at once and has no task.
        """
        if self.id is None:
            refusal = ConfigError("this write was done at once and has no task to wait for or to resume")
            raise self.about_the_write(refusal)
        return self.id

    @property
    def is_awaited(self) -> bool:
        return any_waits(self._ended) or any_waits(self._changed)

    @property
    def polls_for_receipts(self) -> bool:
        """Whether the next poll asks for receipts.

        After a bad answer it does not: it may be only the receipts that are refused. A purge has none.
        """
        wanted = self.wants_receipts or any_waits(self._changed)
        return wanted and self.bad_answers is None and self.kind is not TaskKind.PURGE

    async def ended(self) -> TaskSnapshot:
        """Wait for the end. Returns at once, and as often as it is called, when the task has ended."""
        while not self.has_ended:
            await self.end()
        return self.snapshot

    def end(self) -> Future:
        """Return a future for one waiter, which resolves when the task ends; start to poll."""
        future = self._waiter()
        self.retrieved = True
        self._ended = joined(self._ended, future)
        if not self.scheduled:
            self._start()
        return future

    async def changed(self) -> None:
        """Wait until a poll sees something new."""
        future = self._waiter()
        self._changed = joined(self._changed, future)
        self._start()
        await future

    def ending(self) -> Future:
        """Return a future of the caller's own, done when the task has ended; cancelling it stops the wait."""
        if not self.has_ended:
            retrieved = self.retrieved
            future = self.end()
            self.retrieved = retrieved  # that it ended says nothing of how
            return future
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def poll(self, *, receipts: bool) -> TaskSnapshot:
        """One GET, whatever is known already.

        Raises:
            RequestError: the poll brought no status.
        """
        if self.id is None:
            return self.snapshot
        asked = asyncio.get_running_loop().time()
        try:
            snapshot = await self._reader.poll(self, receipts)
        except (ConfigError, RequestError) as error:
            failure = self.about_the_write(error)
        else:
            self.observe(snapshot, asked)
            return snapshot
        raise failure

    async def receipts(self) -> Sequence[Receipt]:
        """The receipts, read at most once after the end.

        Raises:
            RequestError: they could not be read, or are from before the end of the task.
        """
        if self.kept_receipts is None and self.id is not None:
            try:
                return await self._read_receipts()
            except (ConfigError, RequestError) as error:
                failure = self.about_the_write(error)
            raise failure
        return () if self.kept_receipts is None else self.kept_receipts

    async def _read_receipts(self) -> Sequence[Receipt]:
        asked = asyncio.get_running_loop().time()
        snapshot = await self._reader.read_receipts(self)
        self._compare_ends(snapshot)
        if snapshot.receipts is None:
            raise ProtocolError("the receipts that were asked for are not in the answer")
        if self.has_ended and not snapshot.status.is_terminal:
            raise ProtocolError("the receipts are from before the end of the task")
        self.observe(snapshot, asked)
        return snapshot.receipts

    def about_the_write(self, error: E) -> E:
        """A copy of the error of a read or a wait: that it was refused says nothing of the write."""
        return statement_after(self.snapshot.status if self.has_ended else None).on(error)

    def _compare_ends(self, snapshot: TaskSnapshot) -> None:
        if self.has_ended and snapshot.status != self.snapshot.status:
            self.said_later = snapshot.status

    def observe(self, snapshot: TaskSnapshot, asked: float) -> None:
        """Take in what a poll brought that was sent at `asked`: PENDING holds for that time and no later."""
        self._compare_ends(snapshot)
        if not snapshot.status.is_terminal:
            self.seen_pending_at = max(asked, self.seen_pending_at or asked)
        else:
            self.done_at = self.done_at or asyncio.get_running_loop().time()
            if snapshot.receipts is not None and self.kept_receipts is None:
                self.kept_receipts = snapshot.receipts
        is_plain = _is_just_pending(snapshot)
        if is_plain and self._seen is None:
            return
        before = self.snapshot
        if before.status.is_terminal or (snapshot.receipts is None and snapshot == before):
            return
        self._seen = None if is_plain else snapshot
        if differ(before, snapshot):
            waiters, self._changed = self._changed, None
            resolve(waiters)
        if snapshot.status.is_terminal:
            self._emit_ended(snapshot.status)
            waiters, self._ended = self._ended, None
            resolve(waiters)

    def _emit_ended(self, status: TaskStatus) -> None:
        if self._reader.telemetry.active and self.done_at is not None:
            ended = telemetry.TaskEnded(
                kind=self.kind,
                source=self.source or "",
                task=fingerprint(self.known_id),
                polls=self.polls,
                seconds=self.done_at - self.submitted_at,
                status=status,
            )
            self._reader.telemetry.emit(ended)

    def fail_waiters(self, error: CliniaError) -> None:
        """End every wait with `error`. The task itself goes on, and may be waited for again."""
        waiters = (*listed(self._changed), *listed(self._ended))
        self._changed = self._ended = None
        for future in waiters:
            if not future.done() and not self._reader.loop.is_closed():
                future.set_exception(copy_for_raise(error))

    def _waiter(self) -> Future:
        try:
            future = self._reader.waiter()
        except ConfigError as error:
            raise self.about_the_write(error) from None
        if self.is_observed:
            self.wait_context = copy_context()
        return future

    def wait_span(self) -> AbstractContextManager[object]:
        """A span around a wait for the end."""
        return self._reader.telemetry.span("wait", clinia__task__kind=self.kind)

    @property
    def is_observed(self) -> bool:
        """Whether waits are to have spans."""
        return self._reader.telemetry.tracer is not None

    def note_dropped(self) -> None:
        """Count a handle that was dropped before anybody asked how its task ended."""
        self._reader.never_awaited += 1

    def _start(self) -> None:
        if not self.has_ended:
            try:
                self._reader.start(self)
            except ConfigError as error:  # of what `Polling.pace` gave
                raise self.about_the_write(error) from None


def differ(before: TaskSnapshot, after: TaskSnapshot) -> bool:
    """Whether `after` says something new. A poll without receipts takes back nothing that they showed."""
    if before.status != after.status:
        return True
    return after.receipts is not None and _operation_states(before) != _operation_states(after)


def _is_just_pending(snapshot: TaskSnapshot) -> bool:
    """Whether a snapshot says no more than that the task is pending, as do its receipts, so none is kept."""
    if snapshot.status is not TaskStatus.PENDING or snapshot.unknown_fields:
        return False
    receipts = snapshot.receipts
    is_plain = isinstance(receipts, LazyReceipts) and receipts.plain_status is TaskStatus.PENDING
    return not receipts or is_plain


def _operation_states(snapshot: TaskSnapshot) -> set[object]:
    """What the receipts say beyond that an operation is pending, which the task says already."""
    return {
        (receipt.target_type, receipt.type, receipt.id, receipt.status, receipt.pipeline_execution)
        for receipt in snapshot.receipts or ()
        if receipt.status != TaskStatus.PENDING or receipt.pipeline_execution is not None
    }
