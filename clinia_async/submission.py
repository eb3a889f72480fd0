"""A write that cannot lose its task id: it runs on when its caller is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

from attrs import define, field

from clinia_async.calls import Call
from clinia_async.errors import CliniaError, Outcome, SessionClosed
from clinia_async.tasks import Task

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


@define(eq=False)
class Submissions:
    """The writes in flight of one session. `in_doubt` keeps its order and is the user's to read."""

    _running: set[asyncio.Future[object]] = field(factory=set)
    in_doubt: list[InDoubt[object]] = field(factory=list)

    async def run(self, call: Call[object], send: Callable[[], Awaitable[Task[R]]]) -> Task[R]:
        """Runs `send` in a task of the session, so that a cancel of the caller does not reach it."""
        submission: asyncio.Task[Task[R]] = asyncio.ensure_future(send())
        running = cast("asyncio.Future[object]", submission)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(submission)
        except asyncio.CancelledError:
            if submission.cancelled() and not _is_cancelling():
                raise SessionClosed(
                    "the session was closed before the answer came", outcome=Outcome.UNKNOWN
                ) from None
            self._keep(call, submission)
            raise

    async def drain(self, grace: float) -> None:
        """Gives the writes in flight `grace` seconds for their answers, then lets them go as unknown."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for submission in self._running:
            submission.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _keep(self, call: Call[object], submission: "asyncio.Task[Task[R]]") -> None:
        entry: InDoubt[R] = InDoubt(call)
        self.in_doubt.append(entry)  # type: ignore[arg-type]
        submission.add_done_callback(lambda done: self._arrived(entry, done))

    def _arrived(self, entry: InDoubt[R], submission: "asyncio.Task[Task[R]]") -> None:
        if submission.cancelled():
            return
        error = submission.exception()
        if error is None:
            entry.task = submission.result()
        elif isinstance(error, CliniaError):
            entry.error = error
            if error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED}:
                self.in_doubt.remove(entry)  # type: ignore[arg-type]


def _is_cancelling() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
