"""What is known of one task id, and whoever waits for it to change."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen

from clinia_async.errors import CliniaError, ConfigError, ProtocolError, copy_for_raise
from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.models.identifiers import is_key
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.tasks.waiters import Waiter, drained, wake_together


@frozen(eq=False, repr=False)
class BadAnswerStreak:
    """A run of odd answers about one task; times are seconds."""

    count: int
    since: float

    @property
    def pause(self) -> float:
        return float(min(0.25 * 2 ** min(self.count, 10), 15.0))


@frozen
class TaskStats:
    """How a task was watched so far. Times are seconds on the event loop's clock."""

    submitted_at: float
    """When it was accepted; for a task picked up by its id or token, when it was picked up."""
    resumed: bool = False
    polls: int = 0
    seen_pending_at: float | None = None
    done_at: float | None = None

    @property
    def detection_gap(self) -> float | None:
        """How long the task may have been done before we noticed: at most this many seconds."""
        if self.done_at is None:
            return None
        since = self.submitted_at if self.seen_pending_at is None else self.seen_pending_at
        return self.done_at - since


@frozen(eq=False, repr=False)
class StateReader:
    """What a watch asks its session for; one for all watches, as there may be a hundred thousand."""

    look: Callable[["TaskState", bool], Awaitable[TaskSnapshot]]
    """One GET, with receipts or without."""
    read: Callable[["TaskState"], Awaitable[TaskSnapshot]]
    """Receipts, with repeats."""
    begin: Callable[["TaskState"], None]
    """Somebody waits for this task from now on."""


Waiting = asyncio.Future[None] | Waiter
Waiters = Waiting | list[Waiting] | None
"""Who waits: mostly nobody or one, so there is a list only for more. What is done waits no more."""


class TaskState:
    """What is known of one task id, shared by all its handles. Terminal is final."""

    __slots__ = (
        "__weakref__",
        "_changed",
        "_ended",
        "_keeper",
        "_seen",
        "done_at",
        "id",
        "kept",
        "odd",
        "polls",
        "resumed",
        "scheduled",
        "seen_pending_at",
        "source",
        "submitted_at",
        "wants_receipts",
    )

    def __init__(
        self,
        id: TaskId | None,
        source: str | None,
        *,
        keeper: StateReader,
        snapshot: TaskSnapshot,
        stats: TaskStats,
    ) -> None:
        self.id = id
        self.source = source
        self._seen = None if snapshot == TaskSnapshot(TaskStatus.PENDING, id) else snapshot
        self.submitted_at = stats.submitted_at
        self.resumed = stats.resumed
        self.polls = stats.polls
        self.seen_pending_at = stats.seen_pending_at
        self.done_at = stats.done_at
        self.kept: Sequence[Receipt] | None = None
        self.scheduled = False
        """Whether the scheduler has it; with `odd`, the scheduler's own note."""
        self.odd: BadAnswerStreak | None = None
        self.wants_receipts = False
        self._keeper = keeper
        self._changed: Waiters = None
        self._ended: Waiters = None

    @property
    def snapshot(self) -> TaskSnapshot:
        """What the last look saw; of a task that is just pending none is kept, as there may be many."""
        return TaskSnapshot(TaskStatus.PENDING, self.id) if self._seen is None else self._seen

    @property
    def stats(self) -> TaskStats:
        return TaskStats(self.submitted_at, self.resumed, self.polls, self.seen_pending_at, self.done_at)

    @property
    def has_ended(self) -> bool:
        return self._seen is not None and self._seen.status.is_terminal

    @property
    def kind(self) -> TaskKind:
        """What was done without an id is a single write."""
        return TaskKind.SINGLE if self.id is None else self.id.kind

    @property
    def known_id(self) -> TaskId:
        """The id of a task that has one; a write that was done at once is never watched or resumed."""
        if self.id is None:
            raise ConfigError("this write was done at once and has no task to watch or resume")
        return self.id

    @property
    def waited_for(self) -> bool:
        return _any_waits(self._ended) or _any_waits(self._changed)

    @property
    def followed(self) -> bool:
        """Whether somebody wants each change, or the receipts with the end; a purge has none."""
        return (self.wants_receipts or _any_waits(self._changed)) and self.kind is not TaskKind.PURGE

    async def ended(self) -> TaskSnapshot:
        while not self.has_ended:
            await self.end()
        return self.snapshot

    def end(self) -> Waiter:
        """What a coroutine waits for while the task has not ended."""
        waiter = Waiter(asyncio.get_running_loop())
        self._ended = _joined(self._ended, waiter)
        if not self.scheduled:
            self._begin()
        return waiter

    async def changed(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._changed = _joined(self._changed, future)
        self._begin()
        await future

    def ending(self) -> asyncio.Future[None]:
        """A future of the caller's own that resolves when the task ends; cancelling it stops the wait."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.has_ended:
            future.set_result(None)
        else:
            self._ended = _joined(self._ended, future)
            self._begin()
        return future

    async def look(self, *, receipts: bool) -> TaskSnapshot:
        """One GET, whatever is known already."""
        if self.id is None:
            return self.snapshot
        asked = asyncio.get_running_loop().time()
        snapshot = await self._keeper.look(self, receipts)
        self.observe(snapshot, asked)
        return snapshot

    async def receipts(self) -> Sequence[Receipt]:
        if self.kept is None and self.id is not None:
            asked = asyncio.get_running_loop().time()
            snapshot = await self._keeper.read(self)
            if snapshot.receipts is None:
                raise ProtocolError("the receipts that were asked for are not in the answer")
            if self.has_ended and not snapshot.status.is_terminal:
                raise ProtocolError("the receipts are from before the end of the task")
            self.observe(snapshot, asked)
            return snapshot.receipts
        return () if self.kept is None else self.kept

    def observe(self, snapshot: TaskSnapshot, asked: float) -> None:
        """What a look brought that was sent at `asked`: "pending" holds for that time, and no later one."""
        if not snapshot.status.is_terminal:
            self.seen_pending_at = max(asked, self.seen_pending_at or asked)
        else:
            self.done_at = self.done_at or asyncio.get_running_loop().time()
            if snapshot.receipts is not None and self.kept is None:
                self.kept = snapshot.receipts
        if self._seen is None and snapshot.receipts is None and snapshot.status is TaskStatus.PENDING:
            return
        before = self.snapshot
        if before.status.is_terminal or (snapshot.receipts is None and snapshot == before):
            return
        self._seen = snapshot
        if differ(before, snapshot):
            waiting, self._changed = self._changed, None
            _wake(waiting)
        if snapshot.status.is_terminal:
            waiting, self._ended = self._ended, None
            _wake(waiting)

    def lose(self, error: CliniaError) -> None:
        """Ends every wait with `error`. The task itself goes on, and may be waited for again."""
        lost = (*_listed(self._changed), *_listed(self._ended))
        self._changed = self._ended = None
        for waiting in lost:
            if isinstance(waiting, Waiter):
                waiting.wake(copy_for_raise(error))
            elif not waiting.done():
                waiting.set_exception(copy_for_raise(error))

    def _begin(self) -> None:
        if not self.has_ended:
            self._keeper.begin(self)


def _listed(waiters: Waiters) -> list[Waiting] | tuple[Waiting, ...]:
    if waiters is None:
        return ()
    return waiters if isinstance(waiters, list) else (waiters,)


def _any_waits(waiters: Waiters) -> bool:
    if isinstance(waiters, list):
        return any(not waiting.done() for waiting in waiters)
    return waiters is not None and not waiters.done()


def _joined(waiters: Waiters, waiting: Waiting) -> Waiters:
    if not isinstance(waiters, list):
        return [waiters, waiting] if waiters is not None and not waiters.done() else waiting
    if not len(waiters) & (len(waiters) - 1):  # now and then, so that waits given up do not add up
        waiters[:] = [each for each in waiters if not each.done()]
    waiters.append(waiting)
    return waiters


def _wake(waiters: Waiters) -> None:
    alone: list[Waiter] = []
    for waiting in _listed(waiters):
        if isinstance(waiting, Waiter):
            alone.append(waiting)
        elif not waiting.done():
            waiting.set_result(None)
    if alone:
        wake_together(drained(alone), asyncio.get_running_loop())


def token_of(id: TaskId, source: str | None) -> str:
    return json.dumps({"v": 1, "source": source, "task": str(id)}, separators=(",", ":"))


def parse_token(token: str) -> tuple[TaskId, str]:
    """The task id and the source key in a token. Raises `ConfigError` for text that is none."""
    try:
        members = json.loads(token)
        if members["v"] == 1 and is_key(members["source"]):
            return TaskId(members["task"]), members["source"]
    except (KeyError, RecursionError, TypeError, ValueError):
        pass
    raise ConfigError("this is not a token of a task that this version can read")


def differ(before: TaskSnapshot, after: TaskSnapshot) -> bool:
    """A look that did not ask for receipts does not take back what another one saw of them."""
    if before.status != after.status:
        return True
    return after.receipts is not None and _states(before) != _states(after)


def _states(snapshot: TaskSnapshot) -> set[object]:
    """What the receipts tell beyond that an operation is pending, which the task says already."""
    return {
        (receipt.target_type, receipt.type, receipt.id, receipt.status, receipt.pipeline_execution)
        for receipt in snapshot.receipts or ()
        if receipt.status != TaskStatus.PENDING or receipt.pipeline_execution is not None
    }
