"""Writes that run on when their caller is cancelled, so that no task id is lost."""

import asyncio
from collections.abc import Coroutine
from typing import Generic, TypeVar

from attrs import define, field

from clinia_async.calls import Call
from clinia_async.errors import CliniaError, Outcome, SessionClosed
from clinia_async.tasks.task import Task

R = TypeVar("R")


@define(eq=False)
class InDoubt(Generic[R]):
    """A write whose caller was cancelled before the answer.

    `task` is the handle that came too late for the caller, `error` the failure; with neither, the
    write is still under way, or the session was closed before its answer came. A write that is
    then proven not to have happened leaves the list.
    """

    call: Call[object]
    task: Task[R] | None = None
    error: CliniaError | None = None


@define(eq=False, repr=False)
class Submissions:
    """The writes in flight of one session, each in a task of the session."""

    running: "set[asyncio.Task[Task[object]]]" = field(factory=set)
    in_doubt: list[InDoubt[object]] = field(factory=list)
    """Writes whose caller was cancelled, the oldest first."""

    async def run(self, call: Call[object], work: Coroutine[object, object, Task[R]]) -> Task[R]:
        """Run `work` in a task of the session, which a cancel of the caller leaves running.

        Raises:
            SessionClosed: the session was closed before the answer came.
        """
        write = asyncio.get_running_loop().create_task(work, name="clinia-write")
        self.running.add(write)  # type: ignore[arg-type]
        write.add_done_callback(self.running.discard)
        try:
            return await asyncio.shield(write)
        except asyncio.CancelledError:
            if not write.cancelled() or _is_cancelled_too():
                self.add_in_doubt(call, write)
                raise
        raise SessionClosed("the session was closed before the answer came", outcome=Outcome.UNKNOWN)

    def add_in_doubt(self, call: Call[object], answer: "asyncio.Future[Task[R]]") -> None:
        """Keep `call`, whose caller is gone, in `in_doubt`, and put its answer there once it comes."""
        entry: InDoubt[R] = InDoubt(call)
        self.in_doubt.append(entry)  # type: ignore[arg-type]
        answer.add_done_callback(lambda done: self._complete(entry, done))

    def _complete(self, entry: InDoubt[R], answer: "asyncio.Future[Task[R]]") -> None:
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
        """Wait up to `grace` seconds for the writes in flight, then cancel what is left of them."""
        if self.running:
            await asyncio.wait(self.running, timeout=grace)
        for write in self.running:
            write.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


def _is_cancelled_too() -> bool:
    """Whether the task that runs this was itself asked to cancel."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
