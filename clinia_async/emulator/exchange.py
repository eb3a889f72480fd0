"""Exchanges with clients, for whoever wants to look at all of them."""

from collections.abc import Callable
from typing import Self

from aiohttp import web
from attrs import field, frozen
from multidict import CIMultiDict, CIMultiDictProxy

from clinia_async.emulator.access import BODY, KEY_HEADER


@frozen(kw_only=True, eq=False)
class Exchange:
    """One request and the answer that it got in full."""

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
    """Of the request; None if it was answered without a look at it, so of a GET too."""

    status: int
    answer_headers: CIMultiDictProxy[str] = field(repr=False)
    answer_body: bytes = field(repr=False)

    @classmethod
    def of(cls, route: str, request: web.Request, response: web.Response) -> Self:
        headers = CIMultiDict(request.headers)
        headers.popall(KEY_HEADER, None)
        body = response.body
        return cls(
            route=route,
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.raw_query_string,
            headers=CIMultiDictProxy(headers),
            body=request.get(BODY),
            status=response.status,
            answer_headers=CIMultiDictProxy(CIMultiDict(response.headers)),
            answer_body=body if isinstance(body, bytes) else b"",
        )


Listener = Callable[[Exchange], None]
