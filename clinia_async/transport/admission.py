"""The way through the gate: first come, first served, on the clock of the running loop.

There is no task per request: whoever waits holds a future, and one timer wakes the first of them.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable

from clinia_async.calls import Request
from clinia_async.errors import (
    ApiError,
    Outcome,
    PermissionDenied,
    RequestError,
    RequestTimeout,
    Unauthenticated,
    copy_for_raise,
)
from clinia_async.transport.adaptive_limit import AdaptiveLimit, ConcurrencyLimits, LoadSignal, Permit
from clinia_async.transport.retry import is_throttled

Attempt = Callable[[Request, float], Awaitable[bytes]]

_REFUSED = frozenset({401, 403})
_GATEWAY_TIMEOUT = 504


class Admission:
    """One a session. `gate` may be read for what a report shows."""

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self.gate = AdaptiveLimit(limits)
        self._waiting: deque[tuple[int, asyncio.Future[Permit]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: RequestError | None = None

    async def send(self, attempt: Attempt, request: Request, deadline: float) -> bytes:
        """One attempt, once the gate lets it in. The time until then is added to `deadline`.

        After the key was refused once, raises that error again, with the outcome NOT_SENT.
        """
        arrived = _now()
        permit = await self._enter(len(request.body or b""))
        waited = permit.at - arrived
        verdict, hint = LoadSignal.NEITHER, None
        try:
            answer = await attempt(request, deadline + waited)
            verdict = LoadSignal.GOOD
        except RequestError as error:
            verdict, hint = load_signal_of(error), error.retry_after
            if verdict is LoadSignal.REFUSED and self._refusal is None:
                self._refusal = copy_for_raise(error)
            error.waited = waited
            raise
        finally:
            self._leave(permit, verdict, hint)
        return answer

    async def _enter(self, size: int) -> Permit:
        now = _now()
        if not self._waiting and self.gate.opens_at(size) <= now:
            return self.gate.enter(size, now)
        place: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, place))
        self._admit()
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._admit()  # it may have been the one that held up the others
            elif place.exception() is None:
                self._leave(place.result(), LoadSignal.NEITHER, None)
            raise

    def _leave(self, permit: Permit, verdict: LoadSignal, retry_after: float | None) -> None:
        self.gate.leave(permit, verdict, _now(), retry_after=retry_after)
        self._admit()

    def _admit(self) -> None:
        """Lets in whoever may enter by now, and sets the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = _now()
        while self._waiting:
            size, place = self._waiting[0]
            if place.done():
                pass  # cancelled
            elif self._refusal is not None:
                place.set_exception(_not_sent(self._refusal))
            elif (at := self.gate.opens_at(size)) <= now:
                place.set_result(self.gate.enter(size, now))
            else:
                if at < math.inf:
                    self._timer = asyncio.get_running_loop().call_at(at, self._admit)
                return
            self._waiting.popleft()


def load_signal_of(error: RequestError) -> LoadSignal:
    status = error.status if isinstance(error, ApiError) else None
    if status in _REFUSED or isinstance(error, Unauthenticated | PermissionDenied):
        return LoadSignal.REFUSED
    if not error.is_transient:
        # a "no" is an answer too, and says that the service keeps up
        return LoadSignal.NEITHER if status is None else LoadSignal.GOOD
    is_timeout = isinstance(error, RequestTimeout) or status == _GATEWAY_TIMEOUT
    is_held = is_throttled(error) or is_timeout or error.retry_after
    return LoadSignal.THROTTLED if is_held else LoadSignal.NEITHER


def _not_sent(refusal: RequestError) -> RequestError:
    error = copy_for_raise(refusal)
    error.outcome = Outcome.NOT_SENT
    return error


def _now() -> float:
    return asyncio.get_running_loop().time()
