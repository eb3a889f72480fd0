"""A task is an id that can be awaited: again, by many, and from another process.

A handle knows no session. It is given four functions: one looks at the task (one GET), one reads its
receipts, one asks for it to be watched while somebody waits, one turns a finished task into the result.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Generic, Protocol, TypeVar

from attrs import define

from clinia_async.errors import (
    CliniaError,
    ConfigError,
    Outcome,
    ProtocolError,
    SessionClosed,
    TaskCancelled,
    TaskDropped,
    TaskError,
    TaskFailed,
    TaskTimeout,
    WriteConflict,
    fresh,
)
from clinia_async.keys import is_key
from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.secret import fingerprint
from clinia_async.task_id import TaskId, TaskKind

R = TypeVar("R")
E = TypeVar("E", bound=TaskError)
T = TypeVar("T")

_FINAL = (TaskFailed, TaskCancelled, TaskDropped, WriteConflict)


@define
class TaskStats:
    """Times are seconds on the event loop's clock."""

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


class Watch:
    """What is known of one task id, shared by all its handles. Terminal is final."""

    __slots__ = (
        "__weakref__",
        "_begin",
        "_changed",
        "_ended",
        "_look",
        "_read",
        "id",
        "kept",
        "snapshot",
        "source",
        "stats",
    )

    def __init__(
        self,
        id: TaskId | None,
        source: str | None,
        *,
        look: Callable[["Watch", bool], Awaitable[TaskSnapshot]],
        read: Callable[["Watch"], Awaitable[TaskSnapshot]],
        begin: Callable[["Watch"], None],
        snapshot: TaskSnapshot,
        stats: TaskStats,
    ) -> None:
        self.id = id
        self.source = source
        self.snapshot = snapshot
        self.stats = stats
        self.kept: Sequence[Receipt] | None = None
        self._look = look
        self._read = read
        self._begin = begin
        self._changed: list[asyncio.Future[None]] = []
        self._ended: list[asyncio.Future[None]] = []

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
        return bool(self._changed or self._ended)

    @property
    def followed(self) -> bool:
        """Whether somebody wants each change, and so the receipts; a purge has none."""
        return bool(self._changed) and self.kind is not TaskKind.PURGE

    async def ended(self) -> TaskSnapshot:
        while not self.snapshot.status.is_terminal:
            await self._one_of(self._ended)
        return self.snapshot

    async def changed(self) -> None:
        await self._one_of(self._changed)

    def ending(self) -> asyncio.Future[None]:
        """A future of the caller's own that resolves when the task ends; cancelling it stops the wait."""
        future = self._waiter(self._ended)
        if self.snapshot.status.is_terminal:
            self._wake(self._ended)
        return future

    async def look(self, *, receipts: bool) -> TaskSnapshot:
        """One GET, whatever is known already."""
        if self.id is None:
            return self.snapshot
        snapshot = await self._look(self, receipts)
        self.observe(snapshot)
        return snapshot

    async def receipts(self) -> Sequence[Receipt]:
        if self.kept is None and self.id is not None:
            snapshot = await self._read(self)
            if snapshot.receipts is None:
                raise ProtocolError("the receipts that were asked for are not in the answer")
            if self.snapshot.status.is_terminal and not snapshot.status.is_terminal:
                raise ProtocolError("the receipts are from before the end of the task")
            self.observe(snapshot)
            return snapshot.receipts
        return self.kept or ()

    def observe(self, snapshot: TaskSnapshot) -> None:
        now = asyncio.get_running_loop().time()
        if snapshot.status.is_terminal:
            self.stats.done_at = self.stats.done_at or now
            if snapshot.receipts is not None and self.kept is None:
                self.kept = snapshot.receipts
        else:
            self.stats.seen_pending_at = now
        if self.snapshot.status.is_terminal:
            return
        before, self.snapshot = self.snapshot, snapshot
        if _differ(before, snapshot):
            self._wake(self._changed)
        if snapshot.status.is_terminal:
            self._wake(self._ended)

    def lose(self, error: CliniaError) -> None:
        """Ends every wait with `error`. The task itself goes on, and may be waited for again."""
        for future in (*self._changed, *self._ended):
            if not future.done():
                future.set_exception(fresh(error))

    async def _one_of(self, waiters: list[asyncio.Future[None]]) -> None:
        await self._waiter(waiters)

    def _waiter(self, waiters: list[asyncio.Future[None]]) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        waiters.append(future)
        future.add_done_callback(waiters.remove)
        if not self.snapshot.status.is_terminal:
            self._begin(self)
        return future

    @staticmethod
    def _wake(waiters: list[asyncio.Future[None]]) -> None:
        for future in waiters:
            if not future.done():
                future.set_result(None)


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


def _differ(before: TaskSnapshot, after: TaskSnapshot) -> bool:
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


class Conclude(Protocol[R]):
    """Turns a task that ended into its result, or raises what became of it."""

    async def __call__(self, task: "Task[R]", snapshot: TaskSnapshot) -> R: ...


class Task(Generic[R]):
    """A write that the service has taken: `await` it for the result, now, later or elsewhere.

    Cancelling an `await`, or letting it time out, ends only that wait: the service has no call that
    stops a task. Awaiting again costs nothing once the task has ended.
    """

    __slots__ = ("_conclude", "_error", "_known", "_lock", "_result", "_watch", "doubtful", "reconciled")

    def __init__(self, watch: Watch, conclude: Conclude[R], *, doubtful: bool = False) -> None:
        self._watch = watch
        self._conclude = conclude
        self._known = False
        self._result: R
        self._error: CliniaError | None = None
        self._lock: asyncio.Lock | None = None
        self.doubtful = doubtful
        """An answer to this write was lost and it was sent again, so it may have arrived twice."""
        self.reconciled = False
        """The result was settled by reading the record back and comparing it with what was sent."""

    @classmethod
    def resolved(
        cls,
        watch: Watch,
        result: R,
        conclude: Conclude[R],
        *,
        doubtful: bool = False,
        reconciled: bool = False,
    ) -> "Task[R]":
        task = cls(watch, conclude, doubtful=doubtful)
        task._result = result
        task._known = True
        task.reconciled = reconciled
        return task

    @property
    def id(self) -> TaskId | None:
        return self._watch.id

    @property
    def known_id(self) -> TaskId:
        """The id of a task that has one. Raises `ConfigError` for a write that was done without."""
        return self._watch.known_id

    @property
    def kind(self) -> TaskKind:
        return self._watch.kind

    @property
    def source_key(self) -> str | None:
        return self._watch.source

    @property
    def state(self) -> TaskStatus:
        """The last known state; asks nobody."""
        return self._watch.snapshot.status

    @property
    def stats(self) -> TaskStats:
        return self._watch.stats

    def done(self) -> bool:
        return self.state.is_terminal

    def __await__(self) -> Generator[object, None, R]:
        return self.result().__await__()

    async def result(self, *, timeout: float | None = None) -> R:
        """The result. Raises `TaskFailed`, `TaskCancelled`, `TaskDropped`, `TaskTimeout` or `TaskPollError`.

        `timeout` is in seconds; None waits as long as it takes, which may be as long as a person's review.
        A `RequestError` with the outcome DONE says that the task succeeded and reading the result back
        failed: awaiting again tries that once more.
        """
        if not self._known and self._error is None:
            await self._within(timeout, self._settle())
        if self._error is not None:
            raise fresh(self._error)
        return self._result

    async def wait(self, *, timeout: float | None = None) -> TaskSnapshot:
        """The last look at the ended task: FAILURE and CANCELLED are answers here, not errors."""
        return await self._within(timeout, self._watch.ended())

    async def refresh(self, *, receipts: bool = False) -> TaskSnapshot:
        """Looks once: exactly one GET. Raises `RequestError`."""
        return await self._watch.look(receipts=receipts)

    async def receipts(self) -> Sequence[Receipt]:
        """One receipt an operation, in no promised order: one GET, and none once the task has ended."""
        return await self._watch.receipts()

    async def updates(self) -> AsyncIterator[TaskSnapshot]:
        """The state now and then each change that was seen, to the last one.

        Receipts are asked for with each look, so a review shows: `snapshot.in_review`.
        """
        seen: TaskSnapshot | None = None
        while True:
            snapshot = self._watch.snapshot
            if seen is None or _differ(seen, snapshot):
                seen = snapshot
                yield snapshot
            elif snapshot.status.is_terminal:
                return
            else:
                await self._watch.changed()

    def ending(self) -> asyncio.Future[None]:
        """A future of the caller's own that resolves when the task ends, whatever its end."""
        return self._watch.ending()

    def token(self) -> str:
        """Text that `session.task(token)` picks the task up from; it holds no key and no record."""
        return token_of(self._watch.known_id, self.source_key)

    def error(self, kind: type[E], message: str, outcome: Outcome) -> E:
        """An error of this task: `kind` with its id, state and token."""
        text = f"{self.kind} task {fingerprint(self.id)}: {message}"
        return kind(text, id=self._watch.known_id, state=self.state, token=self.token(), outcome=outcome)

    async def _settle(self) -> None:
        snapshot = await self._watch.ended()
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:  # one waiter reads the result for all
            if self._known or self._error is not None:
                return
            try:
                self._result = await self._conclude(self, snapshot)
                self._known = True
            except _FINAL as error:
                self._error = fresh(error)
                return
            except SessionClosed as error:
                closed = error
            else:
                return
        raise SessionClosed(str(closed), outcome=Outcome.UNKNOWN, token=self.token())

    async def _within(self, timeout: float | None, work: Awaitable[T]) -> T:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
        raise self.error(
            TaskTimeout,
            f"not done after {timeout} s; it may still complete, and its token resumes the wait",
            Outcome.UNKNOWN,
        )

    def __repr__(self) -> str:
        name = "at once" if self.id is None else f"{self.kind} {fingerprint(self.id)}"
        return f"<Task {name} {self.state}>"
