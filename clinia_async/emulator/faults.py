"""Things that go wrong between a client and the registry, on purpose.

A fault says two things: whether the request is carried out first, and what the client sees
instead of its answer. It strikes only requests that were let in, so a wrong key uses none up.
"""

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Collection
from random import Random
from typing import ClassVar, TypeVar

from aiohttp import web
from attrs import field, frozen, validators

from clinia_async.emulator.access import refusal

from .errors import ApiError

_F = TypeVar("_F", bound="Fault")


@frozen(kw_only=True, eq=False)
class Fault:
    route: str
    """The name of the route it strikes, such as `create_relationship`."""

    times: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """How often it strikes before it is spent; without it, for ever."""

    probability: float = field(default=1.0, validator=[validators.ge(0.0), validators.le(1.0)])
    executed: bool = field(default=False, init=False)
    """Whether the request is carried out before the client sees the fault."""

    answers: ClassVar[bool] = False
    """Whether what the client sees is an answer in full."""

    @abstractmethod
    async def play(self, request: web.Request, served: web.Response) -> web.StreamResponse:
        """What the client sees; `served` is the answer it would have had, blank if not executed."""


@frozen(kw_only=True, eq=False)
class DroppedRequest(Fault):
    """The connection ends, and nothing was done."""

    async def play(self, request: web.Request, served: web.Response) -> web.StreamResponse:
        return _drop(request)


@frozen(kw_only=True, eq=False)
class LostReply(Fault):
    """The connection ends without a byte of answer, yet the request was carried out."""

    executed: bool = field(default=True, init=False)

    async def play(self, request: web.Request, served: web.Response) -> web.StreamResponse:
        return _drop(request)


@frozen(kw_only=True, eq=False)
class TruncatedBody(Fault):
    """The request was carried out; its answer promises more bytes than it brings, then ends."""

    executed: bool = field(default=True, init=False)

    async def play(self, request: web.Request, served: web.Response) -> web.StreamResponse:
        body = served.body
        assert isinstance(body, bytes)
        short = web.StreamResponse(status=served.status)
        short.content_type = served.content_type
        short.content_length = len(body)
        short.force_close()
        await short.prepare(request)
        await short.write(body[: len(body) // 2])
        return short


@frozen(kw_only=True, eq=False)
class TooManyRequests(Fault):
    """429, and nothing was done."""

    answers: ClassVar[bool] = True

    retry_after: int | str | None = None
    """Seconds or an HTTP date; a string is sent as it is, nonsense included."""

    async def play(self, request: web.Request, served: web.Response) -> web.StreamResponse:
        return _later(429, "too many requests", self.retry_after)


@frozen(kw_only=True, eq=False)
class Unavailable(Fault):
    """503, before or after the request was carried out."""

    answers: ClassVar[bool] = True

    retry_after: int | str | None = None
    executed: bool = False

    async def play(self, request: web.Request, served: web.Response) -> web.StreamResponse:
        return _later(503, "unavailable", self.retry_after)


class Faults:
    """The faults in force; the first one added that strikes wins.

    Which requests are struck is told by the seed and by the order of the requests.
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

    def strike(self, route: str) -> Fault | None:
        """The fault that this request meets; it counts as played."""
        for fault in self._faults.get(route, ()):
            if self._strikes(fault):
                self.played[fault] += 1
                return fault
        return None

    def _strikes(self, fault: Fault) -> bool:
        if fault.times is not None and self.played[fault] >= fault.times:
            return False
        return fault.probability >= 1 or self._random.random() < fault.probability


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # never seen: nothing is sent on an aborted connection


def _later(code: int, message: str, retry_after: int | str | None) -> web.StreamResponse:
    response = refusal(ApiError(None, message, code=code))
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
