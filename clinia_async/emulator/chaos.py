"""Which fault applies to which request: faults from text, chaos by a seed, and scripted steps."""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from random import Random
from typing import TypeVar

from clinia_async.emulator.exchange import Plan, Request
from clinia_async.emulator.faults import (
    RECEIPT_FORMS,
    ByteOrderMark,
    DoubleExecution,
    DroppedRequest,
    EmptyResponse,
    ExecutedAs,
    Fault,
    LateExecution,
    LostReply,
    MalformedReceipts,
    ProxyResponse,
    StaleRead,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.emulator.latency import Accepted, Constant, Persisted, Review
from clinia_async.emulator.routes import ROUTES

_F = TypeVar("_F", bound=Fault)
_Make = Callable[..., Fault]
_METHODS = {route.name: route.method for route in ROUTES}
ROUTE_NAMES = tuple(_METHODS)
_CHANGES = tuple(name for name, method in _METHODS.items() if method != "GET" and name != "browse")
_BULKS = ("bulk_relationships", "bulk_resources")
_SINGLE = tuple(n for n in _CHANGES if n.endswith(("_relationship", "_resource", "_contained")))
_TASKS = ("get_task", "get_bulk_relationships", "get_bulk_resources")

_ROUTES_OF: dict[type[Fault], tuple[str, ...]] = {
    LateExecution: _CHANGES,
    DoubleExecution: _CHANGES,
    ExecutedAs: (*_SINGLE, *_BULKS, "bundle"),
    MalformedReceipts: _TASKS,
    StaleRead: ("get_relationship", "get_resource", *_TASKS),
}
"""The routes at which a fault changes anything; one that is not here does so at every route."""

_EVERYWHERE: dict[str, _Make] = {
    "lost-reply": LostReply,
    "dropped-request": DroppedRequest,
    "truncated-body": TruncatedBody,
    "too-many-requests": TooManyRequests,
    "unavailable": Unavailable,
    "unavailable-executed": partial(Unavailable, executed=True),
    "html-403": partial(ProxyResponse, status=403),
    "html-502": ProxyResponse,
    "html-502-executed": partial(ProxyResponse, executed=True),
    "json-403": partial(ProxyResponse, status=403, content="json"),
    "redirect": partial(ProxyResponse, status=302, location="/login"),
    "byte-order-mark": ByteOrderMark,
}
_LATE: dict[str, _Make] = {"late-execution": LateExecution, "double-execution": DoubleExecution}
_RECEIPTS: dict[str, _Make] = {
    f"receipts-{form}": partial(MalformedReceipts, form=form) for form in RECEIPT_FORMS
}
_ONLY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_LATE, _CHANGES),
    **dict.fromkeys(_RECEIPTS, _TASKS),
    "empty-response": tuple(name for name, method in _METHODS.items() if method == "DELETE"),
    "stale-read": ("get_relationship", "get_resource", "get_task"),
    "rejected-in-review": tuple(
        n for n, m in _METHODS.items() if m != "GET" and n.endswith(("_relationship", "_resource"))
    ),
    "accepted": tuple(
        n for n, m in _METHODS.items() if m != "GET" and n.endswith(("_relationship", "_resource"))
    ),
}
"""The routes of the faults that not every route can have."""

_KINDS: dict[str, _Make] = {
    **_EVERYWHERE,
    **_LATE,
    **_RECEIPTS,
    "empty-response": EmptyResponse,
    "stale-read": StaleRead,
    "rejected-in-review": partial(ExecutedAs, plan=Plan(mode=Review(Constant(0.1), approved=False))),
    "accepted": partial(ExecutedAs, plan=Plan(mode=Accepted(Constant(0.1)))),
}
_LATER = ("too-many-requests", "unavailable", "unavailable-executed")
"""The kinds that may have a Retry-After."""

_CHAOS_PROBABILITY = 0.008
"""Of each kind in a chaos: together they affect about one request in eight."""


class Faults:
    """The faults in force; the first one added that applies wins, after scripted steps.

    Whether a fault applies is decided by the seed, by the content of the request, and by how many equal
    requests came before it. So concurrent requests may arrive in any order: each has its own fate, and
    the same requests replay the same faults.
    """

    def __init__(self, seed: int, initial: Iterable[Fault] = ()) -> None:
        self.played: Counter[Fault] = Counter()
        """How often each fault has been played."""
        self._seed = seed
        self._initial = tuple(initial)
        self.reset()

    def reset(self) -> None:
        """Forget what was added, scripted and played."""
        self.played.clear()
        self._seen = Counter[bytes]()
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._steps: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self.has_stale_reads = False
        for fault in self._initial:
            self.add(fault)

    def add(self, fault: _F) -> _F:
        """Put a fault in force.

        Raises:
            TypeError: it is no fault.
            ValueError: its route does not exist, or the fault would change nothing there.
        """
        if not isinstance(fault, Fault):
            raise TypeError("a fault must be made first, such as LostReply(route='bundle')")
        _check_effect(known_route(fault.route), fault)
        self._faults[fault.route].append(fault)
        self.has_stale_reads |= isinstance(fault, StaleRead)
        return fault

    def add_step(self, route: str, step: Fault | None) -> None:
        """Add what happens to the next request of a route that has no step yet; None is no fault.

        Raises:
            ValueError: the route does not exist, or the step would change nothing there.
        """
        if step is not None:
            _check_effect(known_route(route), step)
        self._steps[known_route(route)].append(step)
        self.has_stale_reads |= isinstance(step, StaleRead)

    def steps_left(self) -> dict[str, int]:
        """Return how many scripted steps no request has used yet, by route."""
        return {route: len(steps) for route, steps in self._steps.items() if steps}

    def clear(self) -> None:
        """End all faults and scripted steps."""
        self._faults.clear()
        self._steps.clear()

    def choose(self, request: Request) -> tuple[Fault, Random] | None:
        """Return the fault that applies to this request, and its chances. Count it as played."""
        if steps := self._steps.get(request.route):
            fault = steps.popleft()
            return None if fault is None else self._play(fault, self._chances(request))
        faults = self._faults.get(request.route)
        if not faults:
            return None
        random = self._chances(request)
        chances = [random.random() for _ in faults]
        for fault, chance in zip(faults, chances, strict=True):
            is_used_up = fault.times is not None and self.played[fault] >= fault.times
            if not is_used_up and chance < fault.probability:
                return self._play(fault, random)
        return None

    def _play(self, fault: Fault, random: Random) -> tuple[Fault, Random]:
        self.played[fault] += 1
        return fault, random

    def _chances(self, request: Request) -> Random:
        target = f"{request.http.method} {request.http.rel_url.raw_path_qs}\n".encode()
        digest = blake2b(
            target + (request.body or b""), digest_size=16, key=f"{self._seed}".encode()
        ).digest()
        self._seen[digest] += 1
        return Random(digest + self._seen[digest].to_bytes(8, "big"))


def faults_from_text(text: str) -> Iterator[Fault]:
    """Yield the faults of `KIND:ROUTE[:PROBABILITY[:RETRY-AFTER]]`, such as `lost-reply:bundle:0.1`.

    `*` is every route that can have the fault, and a fault without a probability always applies.
    Raises `ValueError`.
    """
    kind, _, rest = text.partition(":")
    route, _, rest = rest.partition(":")
    probability, _, later = rest.partition(":")
    if kind not in _KINDS:
        raise ValueError(f"a fault begins with one of {', '.join(_KINDS)}")
    if later and kind not in _LATER:
        raise ValueError(f"only {', '.join(_LATER)} say when to come again")
    routes = _ONLY.get(kind, ROUTE_NAMES)
    if route not in {*routes, "*"}:
        raise ValueError(f"no such route for this fault; there are {', '.join(routes)}, and * for all")
    more = {"retry_after": later} if later else {}
    for name in routes if route == "*" else (route,):
        yield _KINDS[kind](route=name, probability=_probability(probability), **more)


def chaos() -> Iterator[Fault]:
    """Yield every kind of fault on every route that can have it, each seldom."""
    for kind, make in _KINDS.items():
        # A gateway that refuses a request always says when to come again: at once, to lose no time.
        more = {"retry_after": 0} if kind == "too-many-requests" else {}
        for route in _ONLY.get(kind, ROUTE_NAMES):
            yield make(route=route, probability=_CHAOS_PROBABILITY, **more)


def _check_effect(route: str, fault: Fault) -> None:
    """Raise `ValueError` for a fault that would change nothing at a route: its test would say nothing."""
    routes = next((names for kind, names in _ROUTES_OF.items() if isinstance(fault, kind)), ROUTE_NAMES)
    if route not in routes:
        raise ValueError(f"this changes nothing at {route}: it is for {', '.join(routes)}")
    if not isinstance(fault, ExecutedAs):
        return
    if route in _BULKS and isinstance(fault.plan.mode, Persisted):
        raise ValueError("a bulk is always accepted, and never executed at once: leave this step out")
    if route in _SINGLE and fault.plan.failure is not None and fault.plan.failure.operation is not None:
        raise ValueError("a single write has no operations: leave `operation` out")


def known_route(route: str) -> str:
    """Return the name of a route as it is; a `ValueError` that lists them for any other text."""
    if route not in ROUTE_NAMES:
        raise ValueError(f"no route is called {route!r}; there are {', '.join(ROUTE_NAMES)}")
    return route


def _probability(text: str) -> float:
    try:
        value = float(text or 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError("the probability of a fault is a number from 0 to 1")
    return value
