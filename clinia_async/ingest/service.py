"""The session as a job uses it: as patient as a long job is, and stopped by what no patience mends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from clinia_async.calls import Call, Write
from clinia_async.errors import (
    CliniaError,
    Outcome,
    PermissionDenied,
    RequestError,
    TaskPollError,
    Unauthenticated,
)
from clinia_async.models import Receipt
from clinia_async.retry import is_passing
from clinia_async.session import Session
from clinia_async.tasks import Task

R = TypeVar("R")


class JobStopped(CliniaError):
    """The job cannot go on. What is in flight may or may not have landed."""


class AccessRefused(JobStopped):
    """The service refused the key: no further record is sent with it."""


class NetworkGivenUp(JobStopped):
    """The service brought no good answer for as long as the job is patient."""


class PatientSession:
    """Repeats what the session gave up on, until nothing has succeeded for `patience` seconds.

    Every write of a job is keyed, so a repeat can do no harm; that an answer was lost is remembered,
    and a key that is then found taken is settled by reading it back.
    """

    def __init__(self, session: Session, patience: float) -> None:
        self._session = session
        self._patience = patience
        self._last_good = asyncio.get_running_loop().time()

    async def submit(self, write: Write[R]) -> Task[R]:
        return await self._patiently(lambda doubtful: self._session.submit(write, doubtful=doubtful))

    async def read(self, call: Call[R], /) -> R:
        return await self._patiently(lambda _: self._session.send(call))

    async def receipts(self, task: Task[R]) -> Sequence[Receipt]:
        return await self._patiently(lambda _: task.receipts())

    async def watched(self, wait: Callable[[], Awaitable[R]]) -> R:
        """The wait for a task, and for what is read when it has ended."""
        return await self._patiently(lambda _: _until_done(wait))

    async def _patiently(self, attempt: Callable[[bool], Awaitable[R]]) -> R:
        doubtful, pause = False, 0.5
        while True:
            try:
                result = await attempt(doubtful)
            except (Unauthenticated, PermissionDenied) as error:
                raise _stopped(
                    AccessRefused("the service refused the key"), error, doubtful=doubtful
                ) from None
            except RequestError as error:
                if not is_passing(error):
                    self._last_good = asyncio.get_running_loop().time()  # a "no" is an answer too
                    raise
                doubtful = doubtful or error.outcome is Outcome.UNKNOWN
                self._check_patience(error, doubtful=doubtful)
            else:
                self._last_good = asyncio.get_running_loop().time()
                return result
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _check_patience(self, error: RequestError, *, doubtful: bool) -> None:
        waited = asyncio.get_running_loop().time() - self._last_good
        if waited > self._patience:
            given_up = NetworkGivenUp(f"no good answer for {waited:.0f} s ({error})")
            raise _stopped(given_up, error, doubtful=doubtful) from None


_LONGEST_PAUSE = 5.0
_ACCESS = frozenset({401, 403})


async def _until_done(wait: Callable[[], Awaitable[R]]) -> R:
    try:
        return await wait()
    except TaskPollError as error:
        if error.status not in _ACCESS:
            raise
    raise AccessRefused("the service refused the key")


def _stopped(stop: JobStopped, error: RequestError, *, doubtful: bool) -> JobStopped:
    stop.outcome = Outcome.UNKNOWN if doubtful else error.outcome
    return stop
