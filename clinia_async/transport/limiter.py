"""How many requests of a session are in flight, on the clock of the running loop.

There is no task per request: each that waits holds a future, and one timer wakes the first of them.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clinia_async import transport
from clinia_async.calls import Request
from clinia_async.calls.error_answers import statement_without_answer
from clinia_async.errors import (
    ApiError,
    ConnectionFailed,
    Outcome,
    PermissionDenied,
    RequestError,
    RequestTimeout,
    Unauthenticated,
    copy_for_raise,
)
from clinia_async.transport.permits import UNMETERED, LoadSignal, Permit
from clinia_async.transport.retry import RETRY_AFTER_JITTER, PatienceClock, is_throttled

T = TypeVar("T")

Attempt = Callable[[Request, float], Awaitable[T]]

_POLLS_IN_A_ROW = 3
"""How many polls go first before one other request does, if any waits."""

_GATEWAY_TIMEOUT = 504


class _Waiter:
    def __init__(self, size: int, permit: asyncio.Future[Permit]) -> None:
        self.size = size
        self.permit = permit


class Limiter:
    """Admits as many requests as there are connections, and fewer while an `AdaptiveLimit` says so.

    First come, first served, but polls go first: a poll is over soon, and ends the wait of a caller. Behind
    a backlog of writes its answer would be old when it came.
    """

    def __init__(self, connections: float) -> None:
        self.adaptive: transport.AdaptiveLimit | None = None
        self.patience_clock = PatienceClock()
        self._users = 0
        self._free = connections
        self._polls: deque[_Waiter] = deque()
        self._others: deque[_Waiter] = deque()
        self._in_a_row = 0
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: RequestError | None = None
        self._is_closed = False

    async def send(self, attempt: Attempt[T], request: Request, deadline: float) -> T:
        """Return what `attempt` returns, made once the limit admits the request.

        `deadline` is a time of the event loop's clock. While there is an adaptive limit, the wait for
        it moves the deadline.

        Raises:
            RequestError: the attempt failed, or with the outcome NOT_SENT: it was not admitted in time, or
                the key was refused before while there was an adaptive limit.
        """
        size, waited = len(request.body or b""), 0.0
        permit = self._try_acquire(size)
        if permit is None:
            arrived, is_adaptive = _now(), self.adaptive is not None
            permit = await self._acquire(request, size, math.inf if is_adaptive else deadline)
            waited = _now() - arrived if is_adaptive else 0.0
        signal, retry_after, sent_at = LoadSignal.NEITHER, None, _now()
        try:
            answer = await attempt(request, deadline + waited)
            signal = LoadSignal.GOOD
        except RequestError as error:
            signal, retry_after = load_signal_of(error), error.retry_after
            if signal is LoadSignal.REFUSED and permit is not UNMETERED and self._refusal is None:
                self._refusal = copy_for_raise(error)
            if signal is LoadSignal.THROTTLED and self.adaptive is not None:
                self.adaptive.last_throttle = _throttle_in_words(error)
            error.waited = waited
            raise
        finally:
            self._release(permit, signal, retry_after)
            if retry_after and signal is LoadSignal.THROTTLED:
                self._leave_out(sent_at, retry_after)
        return answer

    def limit(
        self, limits: "transport.ConcurrencyLimits", *, background: bool = False
    ) -> "transport.AdaptiveLimit":
        """Start an adaptive limit, or share the one that there is. `unlimit` gives it up.

        Raises:
            ConfigError: the file of a limit that is shared cannot be used.
        """
        if self.adaptive is None and limits.shared is not None:
            self.adaptive = transport.SharedLimit(limits, path=limits.shared, background=background)
        elif self.adaptive is None:
            self.adaptive = transport.AdaptiveLimit(limits)
        self._users += 1
        return self.adaptive

    def unlimit(self) -> None:
        """Give the adaptive limit up, once for each `limit`; it ends with its last user."""
        assert self._users > 0
        self._users -= 1
        if not self._users and self.adaptive is not None:
            self.adaptive.close()
            self.adaptive = self._refusal = None
            self._admit()

    def close(self) -> None:
        """Fail all that wait, and all that come later, with `ConnectionFailed` and the outcome NOT_SENT."""
        self._is_closed = True
        if self.adaptive is not None:
            self.adaptive.close()
        if self._timer is not None:
            self._timer.cancel()
        for waiter in (*self._polls, *self._others):
            if not waiter.permit.done():
                waiter.permit.set_exception(ConnectionAbortedError())
        self._polls.clear()
        self._others.clear()

    def _try_acquire(self, size: int) -> Permit | None:
        if self._free < 1 or self._polls or self._others or self._is_closed:
            return None
        permit = self._permit(size, _now())
        return permit if isinstance(permit, Permit) else None

    def _permit(self, size: int, now: float) -> Permit | float:
        """Admit a request, or return when to ask again; infinity if another one has to end first."""
        if self._free < 1:
            return math.inf
        permit = UNMETERED if self.adaptive is None else self.adaptive.admit(size, now)
        if isinstance(permit, Permit):
            self._free -= 1
        return permit

    async def _acquire(self, request: Request, size: int, deadline: float) -> Permit:
        where = f"{request.method} {request.route}"
        try:
            async with asyncio.timeout_at(None if deadline == math.inf else deadline):
                return await self._wait(size, is_poll=request.is_poll)
        except TimeoutError:
            failure: RequestError = RequestTimeout(
                f"{where}: no free connection in time", outcome=Outcome.NOT_SENT
            )
            failure.advice = "send less at once, or allow more time: timeout=... or CLINIA_TIMEOUT"
        except ConnectionAbortedError:
            failure = ConnectionFailed(f"{where}: the session is closed", outcome=Outcome.NOT_SENT)
            failure.advice = "open another one"
        raise failure

    async def _wait(self, size: int, *, is_poll: bool) -> Permit:
        if self._is_closed:
            raise ConnectionAbortedError
        permit: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        (self._polls if is_poll else self._others).append(_Waiter(size, permit))
        self._admit()
        try:
            return await permit
        except asyncio.CancelledError:
            if permit.cancelled():
                self._admit()  # it may have been the one that held up the others
            elif permit.exception() is None:
                self._release(permit.result(), LoadSignal.NEITHER, None)
            raise

    def _release(self, permit: Permit, signal: LoadSignal, retry_after: float | None) -> None:
        self._free += 1
        if permit is not UNMETERED:
            permit.leave(signal, _now(), retry_after=retry_after)
        if self._polls or self._others:
            self._admit()

    def _admit(self) -> None:
        """Admit those that may go by now, and set the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = _now()
        while (queue := self._next_queue()) is not None:
            waiter = queue[0]
            if not waiter.permit.done() and self._refusal is None:
                permit = self._permit(waiter.size, now)
                if not isinstance(permit, Permit):
                    if permit < math.inf:
                        self._timer = asyncio.get_running_loop().call_at(permit, self._admit)
                    return
                self._in_a_row = self._in_a_row + 1 if queue is self._polls else 0
                waiter.permit.set_result(permit)
            elif not waiter.permit.done() and self._refusal is not None:
                waiter.permit.set_exception(_not_sent(self._refusal))
            queue.popleft()

    def _leave_out(self, sent_at: float, retry_after: float) -> None:
        """Leave out what an answer asked to wait, and what the adaptive limit adds."""
        until = _now() + retry_after * (1 + RETRY_AFTER_JITTER)
        if self.adaptive is not None:
            until = max(until, self.adaptive.next_at)
        self.patience_clock.leave_out(sent_at, until)

    def _next_queue(self) -> deque[_Waiter] | None:
        if self._polls and (self._in_a_row < _POLLS_IN_A_ROW or not self._others):
            return self._polls
        return self._others or None


def load_signal_of(error: RequestError) -> LoadSignal:
    """Return what a failed request says about the load of the service."""
    status = error.status if isinstance(error, ApiError) else None
    if isinstance(error, Unauthenticated | PermissionDenied):
        return LoadSignal.REFUSED
    if not error.is_transient:
        # a refusal is an answer too, and says that the service keeps up
        return LoadSignal.NEITHER if status is None else LoadSignal.GOOD
    is_timeout = isinstance(error, RequestTimeout) or status == _GATEWAY_TIMEOUT
    is_held = is_throttled(error) or is_timeout or error.retry_after
    return LoadSignal.THROTTLED if is_held else LoadSignal.NEITHER


def _throttle_in_words(error: RequestError) -> str:
    return str(error.status) if isinstance(error, ApiError) else "no answer in time"


def _not_sent(refusal: RequestError) -> RequestError:
    return statement_without_answer(sent=False).on(refusal)


def _now() -> float:
    return asyncio.get_running_loop().time()
