"""Which failures are worth a retry, after how long, and how many of them a session may afford.

The only module that imports `backoff`: its generators give the waits, and nothing else of it is
used. Its decorators time by the wall clock, jitter a Retry-After downwards and log values.
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from attrs import field, frozen

from clinia_async.errors import (
    ApiError,
    ConfigError,
    Outcome,
    RequestError,
)
from clinia_async.errors.settings import Number, named_options
from clinia_async.models.value import EqualByFields

TOO_MANY_REQUESTS = 429
_THROTTLED = frozenset({TOO_MANY_REQUESTS, 503})


@named_options
@frozen(eq=False, repr=False)
class RetryPolicy(EqualByFields):
    """How often, for how long and how soon a request is sent again; durations are in seconds.

    Args:
        attempts: how often a request is sent at most, the first time included; None sets no bound.
        patience: how long nothing but failures may come before a request is given up; None sets no bound.
            The time that a Retry-After asks for does not count, up to a day in a row.
        base: the first wait is at most this long, and each one at most twice as long as the one before.
        throttled_base: the same, after an answer that says the service is overloaded (429 or 503).
        cap: no wait is longer, but for one that a Retry-After asks for.
        budget: how many retries a session may make beyond those that its successes earn, so that a
            service in trouble does not get a multiple of its load; None sets no bound. What a
            Retry-After asks for is waited for, and costs nothing.
        earned: how many retries each success earns.

    A wait is drawn evenly between 0 and its bound (full jitter). A Retry-After is a floor: jitter comes
    on top of it, never off it.

    Raises:
        ConfigError: a number is outside its range, or neither `attempts` nor `patience` is given.
    """

    attempts: int | None = field(default=5, validator=Number(least=1, whole=True, optional=True))
    patience: float | None = field(default=None, validator=Number(least=0, optional=True))
    base: float = field(default=0.05, validator=Number(above=0))
    throttled_base: float = field(default=1.0, validator=Number(above=0))
    cap: float = field(default=20.0, validator=Number(above=0))
    budget: float | None = field(default=10.0, validator=Number(least=0, optional=True))
    earned: float = field(default=0.1, validator=Number(least=0))

    def __attrs_post_init__(self) -> None:
        if self.attempts is None and self.patience is None:
            raise ConfigError("RetryPolicy needs attempts or patience: without both it would never give up")

    def allows(self, attempts: int, *, failing_for: float = 0.0) -> bool:
        """Return whether one more attempt may follow `attempts` that failed for `failing_for` seconds."""
        if self.attempts is not None and attempts >= self.attempts:
            return False
        return self.patience is None or failing_for <= self.patience

    def waits(self, *, throttled: bool = False) -> Iterator[float]:
        """Return the upper bounds of the waits in seconds, in order, without end.

        `throttled` is for answers that say that the service is overloaded: the waits are longer.
        """
        import backoff  # noqa: PLC0415  loaded when a session opens, and not when it is imported

        generator = backoff.expo(factor=self.throttled_base if throttled else self.base, max_value=self.cap)
        next(generator)  # backoff primes its generators with one empty step
        return cast("Iterator[float]", generator)


def may_be_repeated(error: RequestError, *, keyed: bool) -> bool:
    """Return whether sending again is safe and of use: without a key, only if it provably did not run."""
    return error.is_transient and (keyed or error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED})


def is_throttled(error: RequestError) -> bool:
    """Return whether the service says that it is overloaded."""
    return isinstance(error, ApiError) and error.status in _THROTTLED


class RetryBudget:
    """What retries of a session may be made: each costs a token, and each success earns a part of one.

    A service in trouble so gets a tenth more load, not four times as much. What was not sent costs the
    service nothing, so it has tokens of its own.
    """

    def __init__(self, burst: float = 10.0, earned: float = 0.1) -> None:
        self.burst = burst
        self.earned = earned
        self.tokens = self.unsent_tokens = burst

    @classmethod
    def of(cls, policy: RetryPolicy) -> "RetryBudget":
        """Return the budget of a session with this policy."""
        return cls(math.inf if policy.budget is None else policy.budget, policy.earned)

    def success(self) -> None:
        """Earn what a success earns, up to `burst`."""
        if self.tokens < self.burst:
            self.tokens = min(self.burst, self.tokens + self.earned)
        if self.unsent_tokens < self.burst:
            self.unsent_tokens = min(self.burst, self.unsent_tokens + self.earned)

    def afford(self, error: RequestError) -> bool:
        """Take a token for a retry after `error`; return whether there was one."""
        if error.outcome is Outcome.NOT_SENT:
            self.unsent_tokens, granted = _spend(self.unsent_tokens)
        else:
            self.tokens, granted = _spend(self.tokens)
        return granted


def _spend(tokens: float) -> tuple[float, bool]:
    return (tokens - 1, True) if tokens >= 1 else (tokens, False)


def _full_jitter(step: float) -> float:
    return random.uniform(0.0, step)


class RetryWaits:
    """How long to wait before each retry of one call, in seconds."""

    def __init__(self, policy: RetryPolicy, jitter: Callable[[float], float] = _full_jitter) -> None:
        self._plain = policy.waits()
        self._throttled = policy.waits(throttled=True)
        self._jitter = jitter

    def after(self, error: RequestError) -> float:
        """Return the next wait: after what `error` says of Retry-After at the earliest."""
        step = self._jitter(next(self._throttled if is_throttled(error) else self._plain))
        if not error.retry_after:
            return step  # "at once" is no reason to hammer
        return error.retry_after + min(step, error.retry_after * RETRY_AFTER_JITTER)


RETRY_AFTER_JITTER = 0.2
"""The most that jitter adds to what a Retry-After asks for, as a share of it."""


LONGEST_ASKED_WAIT = 24 * 3600.0
"""Seconds for which a service may ask to wait again and again, without a good answer, before that counts.

By then every daily quota is there again: what asks to wait for longer is out of order.
"""


class Moment:
    """A moment on a `PatienceClock`, and on the event loop's."""

    def __init__(self, patience: float, loop: float) -> None:
        self.patience = patience
        self.loop = loop


class PatienceClock:
    """A clock for patience: the time for which the service asks to wait does not pass on it.

    One for all requests of a session: where several answers ask to wait at the same time, that time is left
    out once. It is the event loop's clock without the time from when a request was sent that was answered
    with a Retry-After until the wait that this asks for is over, the jitter on top of it included.
    """

    def __init__(self) -> None:
        self._left_out = 0.0
        self._until = -math.inf

    def time(self) -> float:
        """Return the seconds on this clock. Only their differences have a meaning."""
        return self.moment().patience

    def moment(self) -> Moment:
        """Return this moment."""
        now = asyncio.get_running_loop().time()
        return Moment(now - self._left_out + max(0.0, self._until - now), now)

    def since(self, begin: Moment) -> float:
        """Return the seconds since a moment; at most `LONGEST_ASKED_WAIT` of them are left out."""
        now = self.moment()
        return max(now.patience - begin.patience, now.loop - begin.loop - LONGEST_ASKED_WAIT)

    def leave_out(self, since: float, until: float) -> None:
        """Leave out the time between two times of the loop's clock, where it is not left out already."""
        if until > self._until:
            self._left_out += until - max(since, self._until)
            self._until = until


LONGEST_RETRY_AFTER = 3600.0


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Return the seconds of a Retry-After header, given as seconds or as a date; None for anything else.

    A date is compared with the answer's own `Date`, so a wrong clock on either side does no harm.
    More than an hour is taken as an hour.
    """
    if value is None:
        return None
    try:
        seconds = float(value if value.isascii() and "_" not in value else "no number of HTTP")
    except ValueError:
        moment, now = _http_date(value), _http_date(date) or datetime.now(UTC)
        if moment is None:
            return None
        seconds = max(0.0, (moment - now).total_seconds())
    return min(seconds, LONGEST_RETRY_AFTER) if math.isfinite(seconds) and seconds >= 0 else None


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (OverflowError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
