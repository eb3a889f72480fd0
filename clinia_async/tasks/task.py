"""The handle of a task: an id that can be awaited, again, by many, and from another process.

A handle knows no session. Its `TaskState` polls, and its `ResultResolver` turns a task that ended into the
result.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

from clinia_async.calls.call import R
from clinia_async.calls.conflicts import Existing
from clinia_async.calls.reconciliation import UNPROVEN, Statement, statement_of_answer
from clinia_async.errors import (
    CliniaError,
    ConfigError,
    Evidence,
    Outcome,
    SessionClosed,
    TaskCancelled,
    TaskDropped,
    TaskError,
    TaskFailed,
    TaskTimeout,
    WriteConflict,
    copy_for_raise,
    reason_of,
)
from clinia_async.errors.settings import check_call_options
from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.models.secret import fingerprint
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.tasks.resume_token import token_of
from clinia_async.tasks.task_state import TaskState, TaskStats, differ

E = TypeVar("E", bound=TaskError)
T = TypeVar("T")

log = logging.getLogger("clinia_async.tasks")

_DONE = TaskStatus.SUCCESS
_OF_AN_ANSWER = statement_of_answer(reconciled=False).evidence
_FINAL = (TaskFailed, TaskCancelled, TaskDropped, WriteConflict)


class ResultResolver(Protocol[R]):
    """Turns a task that ended into its result, or raises what became of it."""

    async def __call__(self, task: "Task[R]", snapshot: TaskSnapshot) -> R: ...


StateOfDone = Callable[[TaskId | None, str | None, float], TaskState]
"""Makes the state of a task that was done from the start, from its id, its source and that time."""


class Task(Generic[R]):
    """A write that the service has accepted: `await` it for the result, now, later or in another process.

    Cancelling an `await`, or letting it time out, ends only that wait: the service has no call that
    stops a task. Awaiting again costs nothing once the task has ended.

    `maybe_applied` is True where an answer to the write was lost, and `attempts` is how often
    it was sent here.
    """

    __slots__ = (
        "__weakref__",
        "_created_at",
        "_error",
        "_known",
        "_known_state",
        "_lock",
        "_resolve",
        "_result",
        "_state_of_done",
        "attempts",
        "evidence",
        "existing",
        "id",
        "maybe_applied",
        "reconciled",
        "request_id",
        "source_key",
    )

    def __init__(
        self, state: TaskState, resolve: ResultResolver[R], *, maybe_applied: bool = False, attempts: int = 0
    ) -> None:
        self.id = state.id
        """None for a write that was carried out at once and has no task."""
        self.source_key = state.source
        self._created_at: float
        self._known_state: TaskState | None = state
        self._state_of_done: StateOfDone
        self._resolve = resolve
        self._known = False
        self._result: R
        self._error: CliniaError | None = None
        self._lock: asyncio.Lock | None = None
        state.maybe_applied = state.maybe_applied or maybe_applied
        self.maybe_applied = maybe_applied
        """An answer to this write was lost and it was sent again, so it may have been carried out twice."""
        self.attempts = attempts
        """How many times this write was sent here; 0 for a task that was picked up by its id or token."""
        self.request_id: str | None = None
        """The id of the request that made the task, as its answer gives it; None where it gives none."""
        self.reconciled = False
        """After a lost answer, the result was found out by reading the record back and comparing it."""
        self.evidence: Evidence = Evidence.NONE
        """What proves the result; `Evidence.NONE` until there is one."""
        self.existing: Existing | None = None
        """The record that the create found under its key, with `on_existing`; None where there was none."""

    @classmethod
    def resolved(
        cls, result: R, id: TaskId | None, source: str | None, *, at: float, state_of_done: StateOfDone
    ) -> "Task[R]":
        """Make the handle of a write that is carried out already; its state is made when it is asked for.

        `at` is the time of the answer, on the clock of the loop; `state_of_done` makes the state.
        """
        task = cls.__new__(cls)
        task.id = id
        task.source_key = source
        task._created_at = at
        task._known_state = None
        task._state_of_done = state_of_done
        task._known = True
        task._result = result
        task._error = task._lock = None
        task.attempts = 0
        task.maybe_applied = task.reconciled = False
        task.evidence = _OF_AN_ANSWER
        task.existing = task.request_id = None
        return task

    @property
    def _state(self) -> TaskState:
        if self._known_state is None:
            self._known_state = self._state_of_done(self.id, self.source_key, self._created_at)
        return self._known_state

    @property
    def known_id(self) -> TaskId:
        """The id of a task that has one.

        Raises:
            ConfigError: the write was carried out at once and has no task.
        """
        return self._state.known_id

    @property
    def kind(self) -> TaskKind:
        """The kind of the task, such as a bulk or a purge."""
        return self._state.kind

    @property
    def state(self) -> TaskStatus:
        """The last known status; sends nothing."""
        return _DONE if self._known_state is None else self._known_state.snapshot.status

    @property
    def said_later(self) -> TaskStatus | None:
        """What the service said of the task after its end, where that is not how it ended; sends nothing."""
        return None if self._known_state is None else self._known_state.said_later

    @property
    def stats(self) -> TaskStats:
        """How often the task was polled, and when."""
        return self._state.stats

    def done(self) -> bool:
        """Whether the task is known to have ended; sends nothing."""
        return self.state.is_terminal

    def __await__(self) -> Generator[object, None, R]:
        if not self._known and self._error is None and not self._state.is_observed:
            while not self._state.has_ended:
                yield from self._state.end()  # here: a coroutine in between is memory for each wait
            self._state.retrieved = True
            self._resolve_at_once()
        if self._known:
            return self._result
        return (yield from self.result().__await__())

    async def result(self, *, timeout: float | None = None) -> R:
        """Wait for the result.

        `timeout` is in seconds; None waits as long as it takes, which may be as long as a person's review.
        May be called again: where reading the result failed, that is tried once more.

        Raises:
            TaskFailed: at least one operation failed.
            TaskCancelled: the service cancelled every operation.
            TaskDropped: a reviewer refused the write.
            TaskUnconfirmed: nothing proves whether the write was carried out or dropped.
            TaskTimeout: the task had not ended after `timeout` seconds.
            TaskPollError: the service no longer says how the task stands.
            RequestError: with the outcome DONE, the task succeeded and reading its result back failed.
            WriteConflict: after a lost answer, another record holds the key of the write.
            SessionClosed: the session was closed; `token` resumes the task.
        """
        if not self._known and self._error is None:
            finish = self._observed_finish() if self._state.is_observed else self._finish()
            await (finish if timeout is None else self._within(timeout, finish))
        if self._error is not None:
            raise copy_for_raise(self._error)
        return self._result

    async def wait(self, *, timeout: float | None = None) -> TaskSnapshot:
        """Wait for the end and return the last poll: FAILURE and CANCELLED are answers here, not errors.

        `timeout` is in seconds. May be called again, also after it raised.

        Raises:
            TaskTimeout: the task had not ended after `timeout` seconds.
            TaskPollError: the service no longer says how the task stands.
            SessionClosed: the session was closed; `token` resumes the task.
        """
        self._state.retrieved = True
        if timeout is not None:
            return await self._within(timeout, self._state.ended())
        while not self._state.has_ended:
            await self._state.end()  # here: a coroutine in between is memory for each wait
        return self._state.snapshot

    async def refresh(self, *, receipts: bool = False) -> TaskSnapshot:
        """Poll once: exactly one GET. With `receipts` the answer holds the receipt of each operation.

        Raises:
            RequestError: the poll brought no status.
        """
        return await self._state.poll(receipts=receipts)

    async def receipts(self) -> Sequence[Receipt]:
        """One receipt an operation, in no promised order: one GET, and none once they are known.

        Raises:
            RequestError: the receipts could not be read.
        """
        self._state.retrieved = True
        return await self._state.receipts()

    async def updates(self) -> AsyncIterator[TaskSnapshot]:
        """The snapshot now and then each change that was seen, to the last one.

        Polls ask for receipts, so a review shows: `snapshot.in_review`.

        Raises:
            TaskPollError: the service no longer says how the task stands.
            SessionClosed: the session was closed; `token` resumes the task.
        """
        seen: TaskSnapshot | None = None
        while True:
            snapshot = self._state.snapshot
            if seen is None or differ(seen, snapshot):
                seen = snapshot
                yield snapshot
            elif snapshot.status.is_terminal:
                return
            else:
                await self._state.changed()

    def ending(self) -> asyncio.Future[None]:
        """Return a future of the caller's own that is done when the task has ended, however it ended."""
        return self._state.ending()

    def token(self) -> str:
        """Text that `session.task(token)` resumes the task from; it holds no key and no record.

        Raises:
            ConfigError: the write was carried out at once and has no task.
        """
        id_ = self._state.known_id
        self._state.retrieved = True
        return token_of(id_, self.source_key, maybe_applied=self.maybe_applied)

    def error(self, kind: type[E], message: str, statement: Statement = UNPROVEN) -> E:
        """Make an error of this task: `kind` with its id, state and token, which says `statement`."""
        text = f"{self.kind} task {fingerprint(self.id)}: {message}"
        id_ = self._state.known_id
        token = token_of(id_, self.source_key, maybe_applied=self.maybe_applied)
        error = kind(text, id=id_, state=self.state, token=token)
        error.request_id = self.request_id
        return statement.on(error)

    def _resolve_at_once(self) -> None:
        """Set the result of a task that ended, where it is known without sending anything."""

    async def _observed_finish(self) -> None:
        with self._state.wait_span():
            await self._finish()

    async def _finish(self) -> None:
        snapshot = await self._state.ended()
        self._state.retrieved = True
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:  # one waiter reads the result for all
            if self._known or self._error is not None:
                return
            try:
                self._result = await self._resolve(self, snapshot)
                self._known = True
            except _FINAL as error:
                self._error = copy_for_raise(error)
                self._error.request_id = error.request_id or self.request_id
                return
            except SessionClosed as error:
                closed = error
            else:
                return
        raise SessionClosed(reason_of(closed), outcome=Outcome.UNKNOWN, token=self.token())

    async def _within(self, timeout: float | None, work: Coroutine[object, object, T]) -> T:
        if timeout is None:
            return await work
        try:
            check_call_options(timeout=timeout)
        except ConfigError as error:
            work.close()
            raise self._state.about_the_write(error) from None
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
        raise self.error(
            TaskTimeout,
            f"not done after {timeout} s; it goes on, and may still complete",
        )

    def __del__(self) -> None:
        # an attribute may be missing where __init__ failed
        state: TaskState | None = getattr(self, "_known_state", None)
        if state is None or state.retrieved or getattr(self, "_known", True):
            return
        state.retrieved = True
        if not state.has_ended:
            state.note_dropped()
        elif state.snapshot.status != _DONE:
            log.warning(
                "the result of %s task %s was never retrieved: %s",
                self.kind,
                fingerprint(self.id),
                state.snapshot.status,
            )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a task can be neither copied nor pickled: task.token() hands it over")

    def __repr__(self) -> str:
        name = "at once" if self.id is None else f"{self.kind} {fingerprint(self.id)}"
        return f"<Task {name} {self.state.shown}>"
