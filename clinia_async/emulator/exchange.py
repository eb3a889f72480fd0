"""One request, its answer, and the record of both that listeners get."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

from aiohttp import web
from attrs import define, field, frozen
from multidict import CIMultiDict, CIMultiDictProxy, istr
from orjson import loads

from clinia_async.emulator.bodies.strict_json import decode
from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.latency import Mode, Persisted, is_mode
from clinia_async.emulator.validators import InstanceOf, Number

KEY_HEADER = istr("X-Clinia-API-Key")


class Failure(NamedTuple):
    """An error with which an accepted write fails."""

    type: str
    operation: int | None = None
    """The index of the failing operation; None if all fail."""


@frozen(kw_only=True)
class Plan:
    """How one write is executed, instead of as the emulator is set."""

    mode: Mode = field(validator=is_mode)
    polls: int | None = field(default=None, validator=Number(least=0, whole=True, optional=True))
    """Polls that see an accepted write pending before it is executed; without it, its latency counts."""

    failure: Failure | None = field(default=None, validator=InstanceOf(Failure, optional=True))

    def __attrs_post_init__(self) -> None:
        if isinstance(self.mode, Persisted) and (self.polls is not None or self.failure is not None):
            raise ValueError("a write that is executed at once is not polled, and does not fail later")
        if self.failure is not None:
            Number(least=0, whole=True, optional=True).check("the failing operation", self.failure.operation)


@define(eq=False)
class Request:
    """A request that belongs to a route."""

    http: web.BaseRequest
    route: str
    """The name of the route, or `unknown`."""

    path: Mapping[str, str] = field(factory=dict)
    """The decoded placeholders of its path."""

    rest: list[str] = field(factory=list)
    """The decoded parts of its path after the last placeholder."""

    body: bytes | None = field(default=None, repr=False)
    """None if it was not read, so of a GET too."""

    unread: ApiError | None = None
    """Why the body was not read."""

    plan: Plan | None = None
    """How to execute this write; without it, as the emulator is set."""

    fault: str | None = None
    """The name of the fault that applies to it."""

    lag: float = 0.0
    """Seconds that this read lags behind, as from a replica."""

    @property
    def query(self) -> Mapping[str, str]:
        return self.http.query

    def json(self) -> object:
        """Return the body as strict JSON. Raises `ApiError` if it is not, or was not read."""
        if self.unread is not None:
            raise self.unread
        return decode(self.body or b"")


class Answer(NamedTuple):
    """What a handler answers: a document as the API shows it, or none with 204."""

    document: object
    status: int = 200


@frozen(kw_only=True)
class Reply:
    """An answer in bytes."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = {}
    content_type: str | None = "application/json"
    complete: bool = True
    """False if the connection ends in the middle of the body."""


@frozen(kw_only=True, eq=False)
class Received:
    """One request as it was received, whatever it was answered."""

    route: str
    """The name of the route, or `unknown`."""

    method: str
    path: str = field(repr=False)
    """As it was sent, still encoded, without the query."""

    query: str = field(repr=False)
    """As it was sent."""

    headers: CIMultiDictProxy[str] = field(repr=False)
    """Without the key."""

    body: bytes | None = field(repr=False)
    """None if the request was answered without reading it, so of a GET too."""

    status: int | None
    """Of the answer; None if there was none."""

    fault: str | None
    """The name of the fault that applied to it."""

    @classmethod
    def of(cls, request: Request, reply: Reply | None) -> Self:
        http = request.http
        return cls(
            route=request.route,
            method=http.method,
            path=http.rel_url.raw_path,
            query=http.rel_url.raw_query_string,
            headers=_without_key(http),
            body=request.body,
            status=None if reply is None else reply.status,
            fault=request.fault,
        )

    @property
    def json(self) -> object:
        """The body, parsed."""
        return None if self.body is None else loads(self.body)

    @property
    def records(self) -> list[dict[str, object]]:
        """The records that it writes: the body of a single write, or those of all operations.

        Raises:
            ValueError: the body is not JSON.
        """
        body = self.json
        if not isinstance(body, dict):
            return []
        operations = [
            one
            for name in ("operations", "resourceOperations", "relationshipOperations")
            for one in body.get(name, [])
        ]
        if not operations:
            return [body]
        return [one[str(one["action"]).lower()] for one in operations]


@frozen(kw_only=True, eq=False)
class Exchange:
    """One request and the complete answer to it."""

    route: str
    """The name of the route, or `unknown`."""

    method: str
    path: str = field(repr=False)
    """As it was sent, still encoded, without the query."""

    query: str = field(repr=False)
    """As it was sent."""

    headers: CIMultiDictProxy[str] = field(repr=False)
    """Of the request, without the key."""

    body: bytes | None = field(repr=False)
    """Of the request; None if it was answered without reading it, so of a GET too."""

    fault: str | None
    """The name of the fault that applied to the request."""

    status: int
    answer_headers: CIMultiDictProxy[str] = field(repr=False)
    answer_body: bytes = field(repr=False)

    @classmethod
    def of(cls, request: Request, reply: Reply, answer_headers: Mapping[str, str]) -> Self:
        http = request.http
        return cls(
            route=request.route,
            method=http.method,
            path=http.rel_url.raw_path,
            query=http.rel_url.raw_query_string,
            headers=_without_key(http),
            body=request.body,
            fault=request.fault,
            status=reply.status,
            answer_headers=CIMultiDictProxy(CIMultiDict(answer_headers)),
            answer_body=reply.body,
        )


def _without_key(http: web.BaseRequest) -> CIMultiDictProxy[str]:
    headers = CIMultiDict(http.headers)
    headers.popall(KEY_HEADER, None)
    return CIMultiDictProxy(headers)


Listener = Callable[[Exchange], None]
