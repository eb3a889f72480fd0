"""Writes that run on when their caller is cancelled, so that no task id is lost."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from inspect import CORO_CREATED, getcoroutinestate
from typing import Generic, TypeVar

from attrs import define, field

from clinia_async.calls import Call
from clinia_async.calls.call import R
from clinia_async.errors import CliniaError, Outcome, RequestError, SessionClosed
from clinia_async.models.value import EqualByFields
from clinia_async.tasks.detached import ends_loop, raise_fault
from clinia_async.tasks.task import Task

T = TypeVar("T")


class Submission(Coroutine[object, object, Task[R]], Generic[R]):
    """A write that is sent when it is awaited: `await it` for its task, `await it.result()` for its result.

    It is a coroutine, so it can be given to `asyncio.create_task` and the like.
    """

    __slots__ = ("_keep", "_steps")

    def __init__(self, steps: Coroutine[object, object, Task[R]], keep: "Callable[[Task[R]], None]") -> None:
        self._steps = steps
        self._keep = keep

    async def result(self, *, timeout: float | None = None) -> R:
        """Send the write, wait for its task to end, and return what it made.

        `timeout` is in seconds and bounds the wait for the task; None waits as long as it takes. Where the
        wait is cancelled, the task is in `session.in_doubt`: nobody else has it.

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
            TaskError: the task failed, or did not end in time; `error.token` resumes the wait.
        """
        _, result = await self.task_and_result(timeout=timeout)
        return result

    async def task_and_result(self, *, timeout: float | None = None) -> tuple[Task[R], R]:
        """Do as `result` does, and return the task, too: it says what proves the result.

        `timeout` is in seconds and bounds the wait for the task.

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
            TaskError: the task failed, or did not end in time; `error.token` resumes the wait.
        """
        task = await self._steps
        try:
            return task, await task.result(timeout=timeout)
        except asyncio.CancelledError:
            self._keep(task)
            raise

    def __await__(self) -> Generator[object, object, Task[R]]:
        return self._steps.__await__()

    def send(self, value: object) -> object:
        """Continue the coroutine, as an `await` does."""
        return self._steps.send(value)

    def throw(self, *error: object) -> object:
        """Raise an error in the coroutine, as a cancel does."""
        return self._steps.throw(*error)  # type: ignore[call-overload]

    def close(self) -> None:
        """End the coroutine; one that was never awaited sends nothing."""
        self._steps.close()


@define(eq=False, repr=False)
class InDoubt(Generic[R]):
    """A write whose caller was cancelled before it had the task.

    `task` is the handle that came too late for the caller, or that only `result()` had, and `error` the
    failure; with neither, the write is still under way, or the session was closed or the program interrupted
    before its answer came.
    A write that is then proven not to have happened leaves the list.
    """

    __repr__ = EqualByFields.__repr__

    call: Call[object]
    task: Task[R] | None = None
    error: CliniaError | None = None
    answered_at: float | None = field(default=None, repr=False)
    """When the answer came, on the event loop's clock."""


class _RunningWrite(Generic[R]):
    """A write in flight, and where its caller waits for the answer."""

    __slots__ = ("answer", "task")

    task: "asyncio.Task[None]"

    def __init__(self, answer: "asyncio.Future[Task[R]]") -> None:
        self.answer = answer


class Submissions:
    """The writes in flight of one session, each in a task of the session.

    Writes whose caller was cancelled are kept, at most `limit` of them, and for `age` seconds after
    their answer.
    """

    def __init__(self, limit: int, age: float) -> None:
        self.limit = limit
        self.age = age
        self.running: set[_RunningWrite[object]] = set()
        self.dropped = 0
        """How many were let go of before anybody took them."""
        self._in_doubt: list[InDoubt[object]] = []
        self._time: Callable[[], float]
        """The clock of the loop that the answers came in: they may be asked for after it has ended."""

    async def run(self, call: Call[object], work: Coroutine[object, object, Task[R]]) -> Task[R]:
        """Run `work` in a task of the session, which a cancel of the caller leaves running.

        Raises:
            SessionClosed: the session was closed before the answer came.
        """
        loop = asyncio.get_running_loop()
        write: _RunningWrite[R] = _RunningWrite(loop.create_future())
        self.running.add(write)  # type: ignore[arg-type]
        write.task = loop.create_task(self._carry_out(write, work), name="clinia-write")
        try:
            return await write.answer
        except asyncio.CancelledError:
            if write.task.cancelling() and getcoroutinestate(work) == CORO_CREATED:
                work.close()  # as at the end of `asyncio.run`: nothing was sent
                self.running.discard(write)
                raise
            if write.answer.cancelled():
                write.answer = loop.create_future()
            self.add_in_doubt(call, write.answer)
            raise
        finally:
            del write  # this frame belongs to an error that the answer may be

    async def _carry_out(self, write: "_RunningWrite[R]", work: Coroutine[object, object, Task[R]]) -> None:
        """Put what comes of `work` into the answer, from where its caller or `in_doubt` takes it.

        `shield` would do the same two turns of the loop later.
        """
        current = asyncio.current_task()
        assert current is not None
        write.task = current  # an eager one is not known to its maker yet
        try:
            task = await work
        except BaseException as error:
            if not write.answer.get_loop().is_closed():  # or else nobody waits
                self._open_answer(write).set_exception(failure_for_caller(error))
            del write  # this frame belongs to the error
            if ends_loop(error):
                current.add_done_callback(raise_fault)  # the loop has told of it
                raise
        else:
            self._open_answer(write).set_result(task)

    def _open_answer(self, write: "_RunningWrite[R]") -> "asyncio.Future[Task[R]]":
        """Return the answer, or another one where its caller was just cancelled and did not run since."""
        self.running.discard(write)
        if write.answer.done():
            write.answer = write.answer.get_loop().create_future()
        return write.answer

    @property
    def in_doubt(self) -> tuple[InDoubt[object], ...]:
        """Writes whose caller was cancelled, the oldest first."""
        if self._in_doubt:
            self._drop_old()
        return tuple(self._in_doubt)

    def take_in_doubt(self) -> list[InDoubt[object]]:
        """Remove those that were answered, and return them."""
        if self._in_doubt:
            self._drop_old()
        answered = [entry for entry in self._in_doubt if entry.answered_at is not None]
        self._in_doubt = [entry for entry in self._in_doubt if entry.answered_at is None]
        return answered

    def add_in_doubt(self, call: Call[object], answer: "asyncio.Future[Task[R]]") -> None:
        """Keep `call`, whose caller is gone, in `in_doubt`, and put its answer there once it comes."""
        self._time = answer.get_loop().time
        self._drop_old(leave=self.limit - 1)
        entry: InDoubt[R] = InDoubt(call)
        self._in_doubt.append(entry)  # type: ignore[arg-type]
        answer.add_done_callback(lambda done: self._complete(entry, done))

    def keep(self, call: Call[object], task: Task[R]) -> None:
        """Keep a write whose task only a wait had that was cancelled."""
        self._time = asyncio.get_running_loop().time
        self._drop_old(leave=self.limit - 1)
        self._in_doubt.append(InDoubt(call, task, answered_at=self._time()))  # type: ignore[arg-type]

    def _drop_old(self, leave: int | None = None) -> None:
        """Drop what was answered too long ago, and the oldest beyond `leave`, answered ones first."""
        oldest = self._time() - self.age if self._has_answers() else 0.0
        kept = [entry for entry in self._in_doubt if entry.answered_at is None or entry.answered_at > oldest]
        while leave is not None and len(kept) > leave:
            first = next((entry for entry in kept if entry.answered_at is not None), kept[0])
            kept.remove(first)
        self.dropped += len(self._in_doubt) - len(kept)
        self._in_doubt = kept

    def _has_answers(self) -> bool:
        return any(entry.answered_at is not None for entry in self._in_doubt)

    def _complete(self, entry: InDoubt[R], answer: "asyncio.Future[Task[R]]") -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        entry.answered_at = answer.get_loop().time()
        if error is None:
            entry.task = answer.result()
        elif isinstance(error, CliniaError):
            if not isinstance(error, SessionClosed):
                entry.error = error
            if error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED}:
                self._in_doubt = [each for each in self._in_doubt if each is not entry]

    def works_in(self, task: "asyncio.Task[object]") -> bool:
        """Return whether `task` carries out a write."""
        return any(write.task is task for write in self.running)

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for the writes in flight, then cancel what is left of them."""
        if self.running:
            await asyncio.wait([write.task for write in self.running], timeout=grace)
        left = [write.task for write in self.running]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def failure_for_caller(error: BaseException) -> BaseException:
    """Return what the caller of a write gets whose task ended with `error`.

    That is `error` itself, and what a program raises in its own functions may be anything. A cancel is that
    of a session that closes. What ends the loop was raised by it: the caller, if the loop goes on, learns
    that the outcome is unknown, and the loop does not end once more for each of the callers.
    """
    if isinstance(error, asyncio.CancelledError):
        return SessionClosed("the session was closed before the answer came", outcome=Outcome.UNKNOWN)
    if ends_loop(error):
        return RequestError(f"{type(error).__name__} ended the event loop before the answer came")
    return error


async def run_to_end(work: "asyncio.Future[T]") -> T:
    """Wait for the end of `work` however often the caller is cancelled; then raise the cancel."""
    cancel: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancel = error
    if cancel is not None:
        raise cancel
    return work.result()
