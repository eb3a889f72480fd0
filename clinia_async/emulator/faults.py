"""Faults between a client and the registry, on purpose.

A fault says two things: whether the request is executed, and what the client sees instead of its
answer. It strikes only requests that were let in, so a wrong key uses none up.
"""

import math
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import partial
from random import Random
from typing import TypeVar

from attrs import evolve, field, frozen, validators

from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Reply, Request
from clinia_async.emulator.routes import ROUTE_NAMES
from clinia_async.emulator.server import refusal

_F = TypeVar("_F", bound="Fault")


@frozen
class Attempt:
    """A request that a fault strikes."""

    execute: Callable[[], Reply]
    """Execute the request, and return its answer."""


@frozen(kw_only=True, eq=False)
class Fault:
    route: str
    """The name of the route it strikes, such as `create_relationship`."""

    times: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """How often it strikes before it is used up; None for no end."""

    probability: float = field(default=1.0, validator=[validators.ge(0.0), validators.le(1.0)])
    executed: bool = field(default=False, init=False)
    """Whether the request is executed before the client sees the fault."""

    @abstractmethod
    def play(self, attempt: Attempt) -> Reply | None:
        """Return what the client sees; None ends the connection without a byte."""


@frozen(kw_only=True, eq=False)
class DroppedRequest(Fault):
    """The connection ends, and nothing was executed."""

    def play(self, attempt: Attempt) -> Reply | None:
        return None


@frozen(kw_only=True, eq=False)
class LostReply(Fault):
    """The connection ends without a byte of answer, yet the request was executed."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        attempt.execute()
        return None


@frozen(kw_only=True, eq=False)
class TruncatedBody(Fault):
    """The request was executed; its answer promises more bytes than it brings, then ends."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        return evolve(attempt.execute(), complete=False)


@frozen(kw_only=True, eq=False)
class TooManyRequests(Fault):
    """429, and nothing was executed."""

    retry_after: int | str | None = None
    """Seconds or an HTTP date; a string is sent as it is, nonsense included."""

    def play(self, attempt: Attempt) -> Reply | None:
        return _later(429, "too many requests", self.retry_after)


@frozen(kw_only=True, eq=False)
class Unavailable(Fault):
    """503, before or after the request was executed."""

    retry_after: int | str | None = None
    executed: bool = False

    def play(self, attempt: Attempt) -> Reply | None:
        if self.executed:
            attempt.execute()
        return _later(503, "unavailable", self.retry_after)


class Faults:
    """The faults in force; the first one added that strikes wins.

    The seed and the order of the requests decide which requests are struck.
    """

    def __init__(self, routes: Collection[str], seed: int) -> None:
        self.played: Counter[Fault] = Counter()
        """How often each fault has struck."""
        self._routes = routes
        self._random = Random(f"{seed}:faults")
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)

    def add(self, fault: _F) -> _F:
        if fault.route not in self._routes:
            raise ValueError(f"no route is called {fault.route!r}; there are {', '.join(self._routes)}")
        self._faults[fault.route].append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def choose(self, request: Request) -> Fault | None:
        """Return the fault that strikes this request, and count it as played."""
        for fault in self._faults.get(request.route, ()):
            if self._strikes(fault):
                self.played[fault] += 1
                return fault
        return None

    def _strikes(self, fault: Fault) -> bool:
        if fault.times is not None and self.played[fault] >= fault.times:
            return False
        return fault.probability >= 1 or self._random.random() < fault.probability


def _later(code: int, message: str, retry_after: int | str | None) -> Reply:
    reply = refusal(ApiError(None, message, code=code))
    return reply if retry_after is None else evolve(reply, headers={"Retry-After": str(retry_after)})


_KINDS: dict[str, Callable[..., Fault]] = {
    "lost-reply": LostReply,
    "dropped-request": DroppedRequest,
    "truncated-body": TruncatedBody,
    "too-many-requests": TooManyRequests,
    "unavailable": Unavailable,
    "unavailable-executed": partial(Unavailable, executed=True),
}
_LATER = ("too-many-requests", "unavailable", "unavailable-executed")
"""The kinds that may have a Retry-After."""

_CHAOS_PROBABILITY = 0.02
"""Of each kind in a chaos: together they strike about one request in nine."""


def faults_from_text(text: str) -> Iterator[Fault]:
    """Yield the faults of `KIND:ROUTE[:PROBABILITY[:RETRY-AFTER]]`, such as `lost-reply:bundle:0.1`.

    `*` is every route, and a fault without a probability always strikes. Raises `ValueError`.
    """
    kind, _, rest = text.partition(":")
    route, _, rest = rest.partition(":")
    probability, _, later = rest.partition(":")
    if kind not in _KINDS:
        raise ValueError(f"a fault begins with one of {', '.join(_KINDS)}")
    if later and kind not in _LATER:
        raise ValueError(f"only {', '.join(_LATER)} say when to come again")
    if route not in {*ROUTE_NAMES, "*"}:
        raise ValueError(f"no such route; there are {', '.join(ROUTE_NAMES)}, and * for all")
    more = {"retry_after": later} if later else {}
    for name in ROUTE_NAMES if route == "*" else (route,):
        yield _KINDS[kind](route=name, probability=_probability(probability), **more)


def chaos() -> Iterator[Fault]:
    """Yield every kind of fault on every route, each seldom."""
    for route in ROUTE_NAMES:
        for kind, make in _KINDS.items():
            # A gateway that refuses a request always says when to come again: at once, to lose no time.
            more = {"retry_after": 0} if kind == "too-many-requests" else {}
            yield make(route=route, probability=_CHAOS_PROBABILITY, **more)


def _probability(text: str) -> float:
    try:
        value = float(text or 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError("the probability of a fault is a number from 0 to 1")
    return value
