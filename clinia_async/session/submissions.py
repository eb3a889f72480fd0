"""A write that cannot lose its task id: it runs on when its caller is cancelled.

It runs in the task of its caller, for a task of its own would cost every write what only a cancelled
one needs. When the caller is cancelled, what is left of the write moves to a task of the session.
"""

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Generic, TypeVar

from attrs import define, field

from clinia_async.calls import Call
from clinia_async.errors import CliniaError, Outcome, SessionClosed
from clinia_async.tasks.task import Task
from clinia_async.transport.interruptible import Interruptible, Waiting

R = TypeVar("R")


@define(eq=False)
class InDoubt(Generic[R]):
    """A write whose caller was cancelled before the answer.

    `task` is the handle that came too late for the caller, `error` the failure; with neither, the
    write is still on its way, or the session was closed before its answer came. A write that is
    then proven not to have happened leaves the list.
    """

    call: Call[object]
    task: Task[R] | None = None
    error: CliniaError | None = None


@define(eq=False, repr=False)
class Submissions:
    """The writes in flight of one session. `in_doubt` keeps its order and is the user's to read."""

    running: "set[Submission[object]]" = field(factory=set)
    in_doubt: list[InDoubt[object]] = field(factory=list)

    def run(self, call: Call[object], work: Coroutine[Waiting, None, Task[R]]) -> "Submission[R]":
        """Awaits `work`, which a cancel of the caller does not reach."""
        return Submission(call, work, self)

    def doubt(self, call: Call[object], answer: "asyncio.Future[Task[R]]") -> None:
        """The caller is gone, and `answer` is for whoever looks at `in_doubt`."""
        entry: InDoubt[R] = InDoubt(call)
        self.in_doubt.append(entry)  # type: ignore[arg-type]
        answer.add_done_callback(lambda done: self._tell(entry, done))

    def _tell(self, entry: InDoubt[R], answer: "asyncio.Future[Task[R]]") -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            entry.task = answer.result()
        elif isinstance(error, CliniaError):
            if not isinstance(error, SessionClosed):
                entry.error = error
            if error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED}:
                self.in_doubt.remove(entry)  # type: ignore[arg-type]

    async def drain(self, grace: float) -> None:
        """Gives the writes in flight `grace` seconds for their answers, then lets them go as unknown."""
        endings = [submission.ending() for submission in self.running]
        if endings:
            await asyncio.wait(endings, timeout=grace)
        for submission in tuple(self.running):
            submission.interrupt()
        await asyncio.gather(*endings)


class Submission(Interruptible[Task[R]], Generic[R]):
    """One write in flight: awaited by its caller and, if that one is cancelled, by the session."""

    __slots__ = ("_call", "_ending", "_left_caller", "_submissions")

    def __init__(
        self, call: Call[object], work: Coroutine[Waiting, None, Task[R]], submissions: Submissions
    ) -> None:
        super().__init__(work)
        self._call = call
        self._submissions = submissions
        self._left_caller = False
        self._ending: asyncio.Future[None] | None = None

    def ending(self) -> "asyncio.Future[None]":
        """A future that resolves when this write ends, whatever its end."""
        self._ending = self._ending or asyncio.get_running_loop().create_future()
        return self._ending

    def __await__(self) -> Generator[Waiting, None, Task[R]]:
        if self._left_caller:  # this is the session's task
            return (yield from self._from(self._waiting))
        self._submissions.running.add(self)  # type: ignore[arg-type]
        try:
            return (yield from self._for_caller())
        except asyncio.CancelledError:
            if self._left_caller:
                raise
        finally:
            if not self._left_caller:
                self._end()
        raise SessionClosed("the session was closed before the answer came", outcome=Outcome.UNKNOWN)

    def _for_caller(self) -> Generator[Waiting, None, Task[R]]:
        try:
            while True:
                waiting = self._step()
                try:
                    yield from _until_done(waiting)
                except asyncio.CancelledError:
                    self._leave_to_session()
                    raise
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _leave_to_session(self) -> None:
        self._left_caller = True

        async def rest() -> Task[R]:
            return await self

        task = asyncio.get_running_loop().create_task(rest(), name="clinia-write")
        self._submissions.doubt(self._call, task)
        task.add_done_callback(self._end)

    def _end(self, _: object = None) -> None:
        self._submissions.running.discard(self)
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(None)


def _until_done(waiting: Waiting) -> Generator[Waiting, None, None]:
    """Waits for `waiting` through a future of the caller's own: that one is cancelled in its place."""
    if waiting is None:
        yield None
        return
    done: asyncio.Future[object] = waiting.get_loop().create_future()
    waiting.add_done_callback(partial(_wake, done))
    yield from done


def _wake(done: asyncio.Future[object], _: asyncio.Future[object]) -> None:
    if not done.done():
        done.set_result(None)
