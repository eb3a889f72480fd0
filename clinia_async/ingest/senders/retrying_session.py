"""A session with the retry policy of a job: it retries for as long as the job is patient."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from clinia_async.calls import Call, RetrySafety, Write
from clinia_async.calls.reconciliation import READ_BACK_FOR, statement_of_failure
from clinia_async.errors import (
    CHECK_KEY,
    CliniaError,
    CredentialsFailed,
    DecodeError,
    Outcome,
    PermissionDenied,
    ProtocolError,
    RequestError,
    SessionClosed,
    TaskPollError,
    Unauthenticated,
    reason_of,
)
from clinia_async.models import Receipt
from clinia_async.models.task_id import TaskId
from clinia_async.session.session import Session
from clinia_async.tasks.task import Task
from clinia_async.transport.retry import Moment, RetryPolicy, RetryWaits, may_be_repeated

R = TypeVar("R")

_ACCESS = frozenset({401, 403})
_REFUSED_KEY = "the service refused the key"
_RECEIPTS = RetryPolicy(attempts=None, patience=READ_BACK_FOR, base=1.0)


class JobStopped(CliniaError):
    """The job cannot go on. What is in flight may or may not have landed."""

    attempts: int = 0
    """Requests that carried the write that ended the job."""


class AccessRefused(JobStopped):
    """The service refused the key, or there is none: no further record is sent with it."""

    advice = CHECK_KEY


class NetworkGivenUp(JobStopped):
    """No good answer came from the service for as long as the job is patient."""


class RetryingSession:
    """Retries what the session gave up on, until a call brings nothing but failures for `patience` seconds.

    The time counts from when the first attempt of the call that failed began, or from the last good answer to
    any other call since; for the wait for a task, which may be long and go well, from its first failure.
    A write that a retry could store twice is sent again only where it provably did not arrive, or with
    `resend`. An answer that was lost is remembered: a key that is then found taken is read back.
    The time that a Retry-After asks for, of this request or another one of the session, does not count, up to
    a day in a row.
    """

    def __init__(self, session: Session, patience: float, *, resend: bool = False) -> None:
        self._session = session
        # the session has waited by its own policy before: these waits come on top of that
        self._policy = RetryPolicy(attempts=None, patience=patience, base=1.0, cap=5.0, budget=None)
        self._resend = resend
        self._clock = session.patience_clock
        self._last_success = self._clock.moment()
        self.telemetry = session.telemetry

    async def submit(
        self, write: Write[R], *, maybe_applied: bool, before_repeat: Callable[[], None] = lambda: None
    ) -> Task[R]:
        """Send a write. `before_repeat` is called before each attempt that may store it a second time.

        Raises:
            JobStopped: the key was refused, or no good answer came.
            RequestError: the service refused the write.
            SessionClosed: the session was closed.
        """
        sent = 0

        async def attempt(lost: bool) -> Task[R]:
            nonlocal sent
            if (lost or maybe_applied) and write.retry_safety is RetrySafety.ONCE:
                before_repeat()
            try:
                task = await self._session.submit(write, maybe_applied=lost or maybe_applied, read_back=False)
            except RequestError as error:
                sent += error.attempts
                error.attempts = sent
                raise
            task.attempts += sent
            return task

        keyed = self._resend or write.retry_safety is not RetrySafety.ONCE
        return await self._retry(attempt, keyed=keyed, is_write=True)

    def resume(self, write: Write[R], id: TaskId, *, maybe_applied: bool) -> Task[R]:
        """Return the handle of a write that was accepted in a previous run."""
        return self._session.resume(write, id, maybe_applied=maybe_applied, read_back=False)

    async def read(self, call: Call[R], /) -> R:
        """Send a call that reads. Raises as `submit` does."""
        return await self._retry(lambda _: self._session.send(call))

    async def receipts(self, task: Task[R]) -> Sequence[Receipt]:
        """Return the receipts of a task that has ended.

        A refusal is asked about again for a while: the receipts are the only proof of what was stored.

        Raises:
            JobStopped: the key was refused, or no good answer came.
            RequestError: the service refuses them still.
        """
        waits, began, attempts = RetryWaits(_RECEIPTS), self._clock.moment(), 0
        while True:
            try:
                return await self._retry(lambda _: _receipts_of(task))
            except RequestError as error:
                attempts += 1
                if not _RECEIPTS.allows(attempts, failing_for=self._clock.since(began)):
                    raise
                wait = waits.after(error)
            await asyncio.sleep(wait)

    async def wait_for(self, wait: Callable[[], Awaitable[R]]) -> R:
        """Wait for a task, and for what is read when it has ended. Raises as `submit` does."""
        return await self._retry(lambda _: _checking_access(wait), is_wait=True)

    async def _retry(
        self,
        attempt: Callable[[bool], Awaitable[R]],
        *,
        keyed: bool = True,
        is_write: bool = False,
        is_wait: bool = False,
    ) -> R:
        # that a read was refused says nothing of the write that it is about
        maybe_applied, attempts, began = not is_write, 0, self._clock.moment()
        waits: RetryWaits | None = None
        while True:
            try:
                result = await attempt(maybe_applied)
            except SessionClosed as error:
                if not maybe_applied:
                    raise
                raise SessionClosed(reason_of(error), outcome=Outcome.UNKNOWN, token=error.token) from None
            except RequestError as error:
                _check_access(error, maybe_applied=maybe_applied)
                if not may_be_repeated(error, keyed=keyed):
                    if not error.is_transient:
                        self._note_success()  # a refusal is an answer too
                    raise
                attempts += 1
                maybe_applied = maybe_applied or error.outcome is Outcome.UNKNOWN
                if is_wait and attempts == 1:
                    began = self._clock.moment()
                self._check_patience(error, attempts, began, maybe_applied=maybe_applied)
                waits = waits or RetryWaits(self._policy)
                wait = waits.after(error)
            else:
                self._note_success()
                return result
            await asyncio.sleep(wait)

    def _note_success(self) -> None:
        self._last_success = self._clock.moment()

    def _check_patience(
        self, error: RequestError, attempts: int, began: Moment, *, maybe_applied: bool
    ) -> None:
        since = max(began, self._last_success, key=lambda moment: moment.loop)
        if not self._policy.allows(attempts, failing_for=self._clock.since(since)):
            now = self._clock.moment()
            asked = round((now.loop - since.loop) - (now.patience - since.patience))
            waits = f", {asked} s of them as the service asked" if asked else ""
            lasted = f"{now.loop - since.loop:.0f} s{waits}"
            given_up = NetworkGivenUp(f"no good answer for {lasted} ({reason_of(error)})")
            given_up.advice = error.advice
            raise _stopped(given_up, error, maybe_applied=maybe_applied) from None


def _check_access(error: RequestError, *, maybe_applied: bool) -> None:
    """Raise `AccessRefused` where no further request can have a key that is taken."""
    if isinstance(error, CredentialsFailed) and not error.is_transient:
        stop = AccessRefused(reason_of(error))
        stop.advice = error.advice
    elif isinstance(error, Unauthenticated | PermissionDenied):
        stop = AccessRefused(_REFUSED_KEY)
    else:
        return
    raise _stopped(stop, error, maybe_applied=maybe_applied) from None


async def _receipts_of(task: Task[R]) -> Sequence[Receipt]:
    """Return the receipts. An answer that is well-formed and lacks them is about this task alone."""
    try:
        return await task.receipts()
    except DecodeError:
        raise
    except ProtocolError as error:
        error.transient = False
        raise


async def _checking_access(wait: Callable[[], Awaitable[R]]) -> R:
    try:
        return await wait()
    except TaskPollError as error:
        if error.status not in _ACCESS:
            raise
    raise AccessRefused(_REFUSED_KEY)


def _stopped(stop: JobStopped, error: RequestError, *, maybe_applied: bool) -> JobStopped:
    stop = statement_of_failure(error, maybe_applied=maybe_applied).on(stop)
    stop.attempts = error.attempts
    return stop
