"""The session as a job uses it: as patient as a long job is, and stopped by what no patience mends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from clinia_async.calls import Call, RetrySafety, Write
from clinia_async.errors import (
    CliniaError,
    Outcome,
    PermissionDenied,
    RequestError,
    TaskPollError,
    Unauthenticated,
)
from clinia_async.models import Receipt
from clinia_async.models.task_id import TaskId
from clinia_async.session.session import Session
from clinia_async.tasks.task import Task
from clinia_async.transport.retry import may_be_repeated

R = TypeVar("R")


class JobStopped(CliniaError):
    """The job cannot go on. What is in flight may or may not have landed."""

    attempts: int = 0
    """Requests that carried the write that met the reason."""


class AccessRefused(JobStopped):
    """The service refused the key: no further record is sent with it."""


class NetworkGivenUp(JobStopped):
    """The service brought no good answer for as long as the job is patient."""


class RetryingSession:
    """Repeats what the session gave up on, until nothing has succeeded for `patience` seconds.

    What may make a second record is repeated only where it provably did not arrive, or if `resend` says
    so. That an answer was lost is remembered, and a key that is then found taken is settled by reading
    it back.
    """

    def __init__(self, session: Session, patience: float, *, resend: bool = False) -> None:
        self._session = session
        self._patience = patience
        self._resend = resend
        self._last_good = asyncio.get_running_loop().time()

    async def submit(
        self, write: Write[R], *, maybe_applied: bool, before_repeat: Callable[[], None] = lambda: None
    ) -> Task[R]:
        """Calls `before_repeat` before each attempt that may make a second record."""
        sent = 0

        async def attempt(doubt: bool) -> Task[R]:
            nonlocal sent
            if (doubt or maybe_applied) and write.retry_safety is RetrySafety.ONCE:
                before_repeat()
            try:
                task = await self._session.submit(write, maybe_applied=doubt or maybe_applied)
            except RequestError as error:
                sent += error.attempts
                error.attempts = sent
                raise
            task.attempts += sent
            return task

        keyed = self._resend or write.retry_safety is not RetrySafety.ONCE
        return await self._patiently(attempt, keyed=keyed, is_write=True)

    def resume(self, write: Write[R], id: TaskId, *, maybe_applied: bool) -> Task[R]:
        """The handle of a write that was accepted in a former run."""
        return self._session.resume(write, id, maybe_applied=maybe_applied)

    async def read(self, call: Call[R], /) -> R:
        return await self._patiently(lambda _: self._session.send(call))

    async def receipts(self, task: Task[R]) -> Sequence[Receipt]:
        return await self._patiently(lambda _: task.receipts())

    async def watched(self, wait: Callable[[], Awaitable[R]]) -> R:
        """The wait for a task, and for what is read when it has ended."""
        return await self._patiently(lambda _: _until_done(wait))

    async def _patiently(
        self, attempt: Callable[[bool], Awaitable[R]], *, keyed: bool = True, is_write: bool = False
    ) -> R:
        # that a look was refused says nothing of the write that it is about
        maybe_applied, pause = not is_write, 0.5
        while True:
            try:
                result = await attempt(maybe_applied)
            except (Unauthenticated, PermissionDenied) as error:
                raise _stopped(
                    AccessRefused("the service refused the key"), error, maybe_applied=maybe_applied
                ) from None
            except RequestError as error:
                if not may_be_repeated(error, keyed=keyed):
                    if not error.is_transient:
                        self._last_good = asyncio.get_running_loop().time()  # a "no" is an answer too
                    raise
                maybe_applied = maybe_applied or error.outcome is Outcome.UNKNOWN
                # what the service asks for is no silence of it
                self._last_good += error.retry_after or 0.0
                self._check_patience(error, maybe_applied=maybe_applied)
            else:
                self._last_good = asyncio.get_running_loop().time()
                return result
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _check_patience(self, error: RequestError, *, maybe_applied: bool) -> None:
        waited = asyncio.get_running_loop().time() - self._last_good
        if waited > self._patience:
            given_up = NetworkGivenUp(f"no good answer for {waited:.0f} s ({error})")
            raise _stopped(given_up, error, maybe_applied=maybe_applied) from None


_LONGEST_PAUSE = 5.0
_ACCESS = frozenset({401, 403})


async def _until_done(wait: Callable[[], Awaitable[R]]) -> R:
    try:
        return await wait()
    except TaskPollError as error:
        if error.status not in _ACCESS:
            raise
    raise AccessRefused("the service refused the key")


def _stopped(stop: JobStopped, error: RequestError, *, maybe_applied: bool) -> JobStopped:
    stop.outcome = Outcome.UNKNOWN if maybe_applied else error.outcome
    stop.attempts = error.attempts
    return stop
