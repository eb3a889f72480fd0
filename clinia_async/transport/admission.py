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
    fresh,
)
from clinia_async.transport.adaptive_limit import Gate, GateLimits, Passage, Verdict
from clinia_async.transport.retry import is_throttled

Attempt = Callable[[Request, float], Awaitable[bytes]]

_REFUSED = frozenset({401, 403})
_GATEWAY_TIMEOUT = 504


class Admission:
    """One a session. `gate` may be read for what a report shows."""

    def __init__(self, limits: GateLimits) -> None:
        self.gate = Gate(limits)
        self._waiting: deque[tuple[int, asyncio.Future[Passage]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: RequestError | None = None

    async def send(self, attempt: Attempt, request: Request, deadline: float) -> bytes:
        """One attempt, once the gate lets it in. The time until then is added to `deadline`.

        After the key was refused once, raises that error again, with the outcome NOT_SENT.
        """
        arrived = _now()
        passage = await self._enter(len(request.body or b""))
        waited = passage.at - arrived
        verdict, hint = Verdict.NEITHER, None
        try:
            answer = await attempt(request, deadline + waited)
            verdict = Verdict.GOOD
        except RequestError as error:
            verdict, hint = verdict_of(error), error.retry_after
            if verdict is Verdict.REFUSED and self._refusal is None:
                self._refusal = fresh(error)
            error.waited = waited
            raise
        finally:
            self._leave(passage, verdict, hint)
        return answer

    async def _enter(self, size: int) -> Passage:
        now = _now()
        if not self._waiting and self.gate.opens_at(size) <= now:
            return self.gate.enter(size, now)
        place: asyncio.Future[Passage] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, place))
        self._admit()
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._admit()  # it may have been the one that held up the others
            elif place.exception() is None:
                self._leave(place.result(), Verdict.NEITHER, None)
            raise

    def _leave(self, passage: Passage, verdict: Verdict, retry_after: float | None) -> None:
        self.gate.leave(passage, verdict, _now(), retry_after=retry_after)
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


def verdict_of(error: RequestError) -> Verdict:
    status = error.status if isinstance(error, ApiError) else None
    if status in _REFUSED or isinstance(error, Unauthenticated | PermissionDenied):
        return Verdict.REFUSED
    if not error.is_transient:
        # a "no" is an answer too, and says that the service keeps up
        return Verdict.NEITHER if status is None else Verdict.GOOD
    is_timeout = isinstance(error, RequestTimeout) or status == _GATEWAY_TIMEOUT
    is_held = is_throttled(error) or is_timeout or error.retry_after
    return Verdict.THROTTLED if is_held else Verdict.NEITHER


def _not_sent(refusal: RequestError) -> RequestError:
    error = fresh(refusal)
    error.outcome = Outcome.NOT_SENT
    return error


def _now() -> float:
    return asyncio.get_running_loop().time()
