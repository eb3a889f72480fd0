"""Which failures are worth a repeat, after how long, and how many a session may afford.

The only module that imports `backoff`: its generators give the waits, and nothing else of it is
used. Its decorators time by the wall clock, jitter a server's hint downwards and log values.
"""

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from attrs import define, field, frozen

from clinia_async.errors import (
    ApiError,
    Outcome,
    RequestError,
)

TOO_MANY_REQUESTS = 429
_THROTTLED = frozenset({TOO_MANY_REQUESTS, 503})


@frozen
class RetryPolicy:
    """`attempts` counts the first one too; `base`, `throttled_base` and `cap` are seconds.

    A wait is drawn evenly between 0 and the exponential step (full jitter). A Retry-After of the
    service is a floor: jitter comes on top of it, never off it.
    """

    attempts: int = 5
    base: float = 0.05
    throttled_base: float = 1.0
    cap: float = 20.0

    def waits(self, *, throttled: bool) -> Iterator[float]:
        """The upper ends of the waits, in order, without end."""
        import backoff  # noqa: PLC0415  most calls fare well at once, and have no use for it

        generator = backoff.expo(factor=self.throttled_base if throttled else self.base, max_value=self.cap)
        next(generator)  # backoff primes its generators with one empty step
        yield from generator


def may_be_repeated(error: RequestError, *, keyed: bool) -> bool:
    """Whether sending again is safe: a call that is not `keyed` only if it provably did not run."""
    return error.is_transient and (keyed or error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED})


def is_throttled(error: RequestError) -> bool:
    return isinstance(error, ApiError) and error.status in _THROTTLED


@define(eq=False, repr=False)
class RetryBudget:
    """Repeats cost a token each; successes earn a tenth. A brown-out gets 10 % more load, not four times.

    What was not sent costs the service nothing, so it is paid from a purse of its own.
    """

    burst: float = 10.0
    earned: float = 0.1
    tokens: float = field(init=False)
    unsent_tokens: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.unsent_tokens = self.burst

    def success(self) -> None:
        if self.tokens < self.burst:
            self.tokens = min(self.burst, self.tokens + self.earned)
        if self.unsent_tokens < self.burst:
            self.unsent_tokens = min(self.burst, self.unsent_tokens + self.earned)

    def afford(self, error: RequestError) -> bool:
        """Takes a token for a repeat after `error`, if there is one."""
        if error.outcome is Outcome.NOT_SENT:
            self.unsent_tokens, granted = _spend(self.unsent_tokens)
        else:
            self.tokens, granted = _spend(self.tokens)
        return granted


def _spend(tokens: float) -> tuple[float, bool]:
    return (tokens - 1, True) if tokens >= 1 else (tokens, False)


def _full_jitter(step: float) -> float:
    return random.uniform(0.0, step)


class Waits:
    """How long to wait before each repeat of one call."""

    def __init__(self, policy: RetryPolicy, jitter: Callable[[float], float] = _full_jitter) -> None:
        self._plain = policy.waits(throttled=False)
        self._throttled = policy.waits(throttled=True)
        self._jitter = jitter

    def after(self, error: RequestError) -> float:
        step = self._jitter(next(self._throttled if is_throttled(error) else self._plain))
        if not error.retry_after:
            return step  # "at once" is no reason to hammer
        return error.retry_after + min(step, error.retry_after * 0.2)


LONGEST_HINT = 3600.0


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds in a Retry-After header, given as seconds or as a date; None for what makes no sense.

    A date is read against the answer's own `Date`, so a wrong clock on either side does no harm.
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
    return min(seconds, LONGEST_HINT) if math.isfinite(seconds) and seconds >= 0 else None


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (OverflowError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
