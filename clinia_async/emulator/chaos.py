"""Faults from text, and a mixture of all kinds that a seed tells."""

import math
from collections.abc import Callable, Iterator
from functools import partial

from .faults import DroppedRequest, Fault, LostReply, TooManyRequests, TruncatedBody, Unavailable
from .routes import ROUTE_NAMES

_KINDS: dict[str, Callable[..., Fault]] = {
    "lost-reply": LostReply,
    "dropped-request": DroppedRequest,
    "truncated-body": TruncatedBody,
    "too-many-requests": TooManyRequests,
    "unavailable": Unavailable,
    "unavailable-executed": partial(Unavailable, executed=True),
}
_LATER = ("too-many-requests", "unavailable", "unavailable-executed")
"""The kinds that may say when to come again."""

_OFTEN = 0.02
"""Of each kind in a chaos: together they strike about one request in nine."""


def faults(text: str) -> Iterator[Fault]:
    """`KIND:ROUTE[:PROBABILITY[:RETRY-AFTER]]`, such as `lost-reply:bulk_relationships:0.1`.

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
    for route in ROUTE_NAMES:
        for kind, make in _KINDS.items():
            # A gateway that turns one away always says when to come again: at once, to lose no time.
            more = {"retry_after": 0} if kind == "too-many-requests" else {}
            yield make(route=route, probability=_OFTEN, **more)


def _probability(text: str) -> float:
    try:
        value = float(text or 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError("the probability of a fault is a number from 0 to 1")
    return value
