"""A task is an id that can be awaited: again, by many, and from another process.

A handle knows no session. It is given four functions: one looks at the task (one GET), one reads its
receipts, one asks for it to be watched while somebody waits, one turns a finished task into the result.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Generic, Protocol, TypeVar

from clinia_async.errors import (
    CliniaError,
    Outcome,
    SessionClosed,
    TaskCancelled,
    TaskDropped,
    TaskError,
    TaskFailed,
    TaskTimeout,
    WriteConflict,
    copy_for_raise,
)
from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.models.secret import fingerprint
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.tasks.task_state import TaskState, TaskStats, differ, token_of

R = TypeVar("R")
E = TypeVar("E", bound=TaskError)
T = TypeVar("T")

_DONE = TaskStatus.SUCCESS
_FINAL = (TaskFailed, TaskCancelled, TaskDropped, WriteConflict)


class ResultResolver(Protocol[R]):
    """Turns a task that ended into its result, or raises what became of it."""

    async def __call__(self, task: "Task[R]", snapshot: TaskSnapshot) -> R: ...


WatchOfDone = Callable[[TaskId | None, str | None, float], TaskState]
"""Makes the watch of a task that was done at birth, from its id, its source and that moment."""


class Task(Generic[R]):
    """A write that the service has taken: `await` it for the result, now, later or elsewhere.

    Cancelling an `await`, or letting it time out, ends only that wait: the service has no call that
    stops a task. Awaiting again costs nothing once the task has ended.
    """

    __slots__ = (
        "_born_at",
        "_conclude",
        "_error",
        "_found",
        "_known",
        "_lock",
        "_result",
        "_watch_of_done",
        "attempts",
        "id",
        "maybe_applied",
        "reconciled",
        "source_key",
    )

    def __init__(
        self, watch: TaskState, conclude: ResultResolver[R], *, maybe_applied: bool = False, attempts: int = 0
    ) -> None:
        self.id = watch.id
        """None for a write that was done at once and has no task."""
        self.source_key = watch.source
        self._born_at: float
        self._found: TaskState | None = watch
        self._watch_of_done: WatchOfDone
        self._conclude = conclude
        self._known = False
        self._result: R
        self._error: CliniaError | None = None
        self._lock: asyncio.Lock | None = None
        self.maybe_applied = maybe_applied
        """An answer to this write was lost and it was sent again, so it may have arrived twice."""
        self.attempts = attempts
        """How many times this write was sent here; 0 for a task that was picked up by its id or token."""
        self.reconciled = False
        """The result was settled by reading the record back and comparing it with what was sent."""

    @classmethod
    def resolved(
        cls, result: R, id: TaskId | None, source: str | None, *, born_at: float, watch_of_done: WatchOfDone
    ) -> "Task[R]":
        """The handle of what is done already: no watch is made until somebody asks for one."""
        task = cls.__new__(cls)
        task.id = id
        task.source_key = source
        task._born_at = born_at
        task._found = None
        task._watch_of_done = watch_of_done
        task._known = True
        task._result = result
        task._error = task._lock = None
        task.attempts = 0
        task.maybe_applied = task.reconciled = False
        return task

    @property
    def _watch(self) -> TaskState:
        if self._found is None:
            self._found = self._watch_of_done(self.id, self.source_key, self._born_at)
        return self._found

    @property
    def known_id(self) -> TaskId:
        """The id of a task that has one. Raises `ConfigError` for a write that was done without."""
        return self._watch.known_id

    @property
    def kind(self) -> TaskKind:
        return self._watch.kind

    @property
    def state(self) -> TaskStatus:
        """The last known state; asks nobody."""
        return _DONE if self._found is None else self._found.snapshot.status

    @property
    def stats(self) -> TaskStats:
        return self._watch.stats

    def done(self) -> bool:
        return self.state.is_terminal

    def __await__(self) -> Generator[object, None, R]:
        if not self._known and self._error is None:
            while not self._watch.has_ended:
                yield self._watch.end()  # here: a coroutine in between is memory for each wait
            self._settle_at_once()
        if self._known:
            return self._result
        return (yield from self.result().__await__())

    async def result(self, *, timeout: float | None = None) -> R:
        """The result. Raises `TaskFailed`, `TaskCancelled`, `TaskDropped`, `TaskTimeout` or `TaskPollError`.

        `timeout` is in seconds; None waits as long as it takes, which may be as long as a person's review.
        A `RequestError` with the outcome DONE says that the task succeeded and reading the result back
        failed: awaiting again tries that once more.
        """
        if not self._known and self._error is None:
            await (self._settle() if timeout is None else self._within(timeout, self._settle()))
        if self._error is not None:
            raise copy_for_raise(self._error)
        return self._result

    async def wait(self, *, timeout: float | None = None) -> TaskSnapshot:
        """The last look at the ended task: FAILURE and CANCELLED are answers here, not errors."""
        ended = self._watch.ended()
        return await (ended if timeout is None else self._within(timeout, ended))

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
            if seen is None or differ(seen, snapshot):
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

    def _settle_at_once(self) -> None:
        """The result of a task that ended, where it is known without asking anybody."""

    async def _settle(self) -> None:
        snapshot = await self._watch.ended()
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:  # one waiter reads the result for all
            if self._known or self._error is not None:
                return
            try:
                self._result = await self._conclude(self, snapshot)
                self._known = True
            except _FINAL as error:
                self._error = copy_for_raise(error)
                return
            except SessionClosed as error:
                closed = error
            else:
                return
        raise SessionClosed(str(closed), outcome=Outcome.UNKNOWN, token=self.token())

    async def _within(self, timeout: float | None, work: Awaitable[T]) -> T:
        if timeout is None:
            return await work
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
