"""How many requests may be in flight: a state machine without a clock. Every method takes the time.

The limit grows with good answers and shrinks where the service throttles (AIMD). Three things are
added to that, each because a simulated brown-out went wrong without it:

* Below one request in flight there is still a `gap` between requests, which shrinks and grows likewise.
* A limit that was throttled once is passed slowly, and the quicker the longer all goes well. So few
  answers are refusals even where many clients have a small limit each, and yet the way up is short.
* Where answers take much longer than they did, more in flight would only be queued: nothing grows.
"""

import math
import random
from collections.abc import Callable
from pathlib import Path

from attrs import define, field, frozen

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import Number, named_options, optional_path_of
from clinia_async.models.value import EqualByFields
from clinia_async.transport.permits import LoadSignal, Permit
from clinia_async.transport.retry import RETRY_AFTER_JITTER

_QUICKENING = 0.01
"""By how much more of itself the limit grows with each good answer since the last throttle."""

_SHORTEST_GAP, _LONGEST_GAP = 0.05, 2.0
_CAUTION = 1.0
"""After a Retry-After, for how many times its length the limit stays below the one that was too much.

The longer, the less a client gets that is asked to wait more often than others are.
"""

_SLOWER, _NOISE = 2.0, 0.1
"""An answer is late that took this many times the shortest round trip, and so many seconds more."""

_FORGETTING = 60.0
"""After so many seconds without a shorter one, the shortest round trip counts at least twice as long."""


def _shared(path: Path | str | None) -> Path | None:
    return optional_path_of("ConcurrencyLimits.shared", path)


@named_options
@frozen(eq=False, repr=False)
class ConcurrencyLimits(EqualByFields):
    """How hard a session may press the service while a job is at work.

    The requests in flight begin at `start` and stay between `least` and `most`. A throttled one takes
    them down to the share `decrease`, once an `epoch` (seconds, or a round trip where that is longer).
    `rate` caps the requests a second and spaces them evenly. `bytes` bounds the bodies in flight
    together; a body that is larger than that goes alone.

    `shared` is the path of a small file, on a local disk of this machine, through which processes share one
    limit and one rate: all of them are one client to the service. It is made if it is not there. The share of
    a process that is killed is free for the others within a second.
    """

    start: int = field(default=4, validator=Number(least=1, whole=True))
    least: int = field(default=1, validator=Number(least=1, whole=True))
    most: int = field(default=32, validator=Number(least=1, whole=True))
    decrease: float = field(default=0.7, validator=Number(above=0, below=1))
    epoch: float = field(default=0.2, validator=Number(least=0))
    rate: float | None = field(default=None, validator=Number(above=0, optional=True))
    bytes: int = field(default=64 * 1024 * 1024, validator=Number(least=1, whole=True))
    shared: Path | None = field(default=None, converter=_shared)

    def __attrs_post_init__(self) -> None:
        if not self.least <= self.start <= self.most:
            raise ConfigError("ConcurrencyLimits needs least <= start <= most")


GateLimits = ConcurrencyLimits
"""The former name."""


@define(eq=False, repr=False)
class AdaptiveLimit:
    """A limit that grows with good answers and shrinks where the service throttles (AIMD)."""

    limits: ConcurrencyLimits = field(factory=ConcurrencyLimits)
    jitter: Callable[[], float] = random.random
    """Returns numbers between 0 and 1, so that many clients do not come back in step."""

    limit: float = field(init=False)
    is_key_refused: bool = field(default=False, init=False)
    in_flight: int = field(default=0, init=False)
    bytes_in_flight: int = field(default=0, init=False)
    peak_in_flight: int = field(default=0, init=False)
    peak_bytes: int = field(default=0, init=False)
    throttles: int = field(default=0, init=False)
    """How many answers were throttled."""
    last_throttle: str = field(default="throttled", init=False)
    """The last of them in words: a status such as `503`, or that no answer came."""

    _gap: float = field(default=0.0, init=False)
    _proven: float = field(default=math.inf, init=False)
    """The limit that was left after the last decrease: up to it growth is fast."""
    _run: int = field(default=0, init=False)
    """Good answers since the last decrease."""
    _epoch: int = field(default=0, init=False)
    _epoch_ends: float = field(default=-math.inf, init=False)
    _opens_at: float = field(default=-math.inf, init=False)
    _careful_until: float = field(default=-math.inf, init=False)
    _entered_at: float = field(default=-math.inf, init=False)
    _shortest: dict[int, tuple[float, float]] = field(factory=dict, init=False)
    """By the magnitude of a request: its shortest round trip, and as of when."""

    def __attrs_post_init__(self) -> None:
        self.limit = float(self.limits.start)

    @property
    def closed_until(self) -> float:
        """When the last Retry-After ends, on the clock that the methods are given; in the past if it has."""
        return self._opens_at

    @property
    def next_at(self) -> float:
        """When the next request may be sent where it does not have to wait for the end of another one."""
        spacing = max(self._gap, 1 / self.limits.rate if self.limits.rate else 0.0)
        return max(self._opens_at, self._entered_at + spacing)

    def opens_at(self, size: int) -> float:
        """Return when a request of `size` bytes may be sent; infinity if another one has to end first."""
        is_full = self.in_flight + 1 > self.limit
        is_heavy = self.in_flight > 0 and self.bytes_in_flight + size > self.limits.bytes
        if self.is_key_refused or is_full or is_heavy:
            return math.inf
        return self.next_at

    def admit(self, size: int, now: float) -> Permit | float:
        """Admit a request, or return when to ask again; infinity if another one has to end first."""
        at = self.opens_at(size)
        return self.enter(size, now) if at <= now else at

    def close(self) -> None:
        """Give up what is held outside of this object."""

    def enter(self, size: int, now: float) -> Permit:
        """Admit a request, where `opens_at` is not later than `now`. Each one admitted has to `leave`."""
        self.in_flight += 1
        self.bytes_in_flight += size
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.peak_bytes = max(self.peak_bytes, self.bytes_in_flight)
        self._entered_at = now
        return Permit(size, now, self._epoch, self)

    def leave(
        self, permit: Permit, signal: LoadSignal, now: float, *, retry_after: float | None = None
    ) -> None:
        """End a request that was admitted, and adapt the limit to what its answer says.

        `retry_after` is what the service asked to wait, in seconds.
        """
        is_used = self.in_flight * 2 >= self.limit
        self.in_flight -= 1
        self.bytes_in_flight -= permit.size
        # a request from before the last decrease says nothing about the load since
        is_current = permit.epoch == self._epoch
        if signal is LoadSignal.REFUSED:
            self.is_key_refused = True
        elif signal is LoadSignal.GOOD and is_current:
            self._good(permit, now, is_used=is_used)
        elif signal is LoadSignal.THROTTLED:
            self.throttles += 1
            if is_current and now >= self._epoch_ends:
                self._shrink(now, now - permit.at)
            if retry_after:
                self._pause(now, retry_after)

    def _good(self, permit: Permit, now: float, *, is_used: bool) -> None:
        is_late = self._is_late(permit, now)
        if now >= self._careful_until:
            self._run += 1
        if self._gap:
            self._gap /= 1 + _QUICKENING * self._run
            if self._gap < now - permit.at:
                self._gap = 0.0
        elif is_used and (not is_late or self.limit < self.limits.start):
            self.limit = min(self.limit + self._step(), float(self.limits.most))

    def _step(self) -> float:
        if self.limit < self._proven:
            return min(1.0, self._proven - self.limit)
        return min(1 / self.limit, _QUICKENING * self._run * self.limit)

    def _is_late(self, permit: Permit, now: float) -> bool:
        took, magnitude = now - permit.at, permit.size.bit_length()
        shortest, as_of = self._shortest.get(magnitude, (took, now))
        shortest = min(took, shortest * (1 + (now - as_of) / _FORGETTING))
        self._shortest[magnitude] = shortest, now
        return took > _SLOWER * shortest + _NOISE

    def _shrink(self, now: float, round_trip: float) -> None:
        if self.limit <= self.limits.least:
            gap = max(self._gap, round_trip, _SHORTEST_GAP) * (1.5 + self.jitter())
            self._gap = min(gap, _LONGEST_GAP)
        self.limit = self._proven = max(self.limit * self.limits.decrease, float(self.limits.least))
        self._run = 0
        self._epoch += 1
        self._epoch_ends = now + self.limits.epoch

    def _pause(self, now: float, retry_after: float) -> None:
        """Admit nothing for as long as a Retry-After says, and then one request at a time at first."""
        self.limit = float(self.limits.least)
        self._opens_at = max(self._opens_at, now + retry_after * (1 + RETRY_AFTER_JITTER * self.jitter()))
        self._careful_until = self._opens_at + retry_after * _CAUTION


@define(eq=False)
class Load:
    """The requests of all processes, as the limit that they share sees them."""

    in_flight: int = 0
    limit: float = 0.0
    throttles: int = 0
    closed_until: float = 0.0
    last_throttle: str = ""
