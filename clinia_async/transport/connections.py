"""One request over a connection of aiohttp's pool: by its public way, or by what is behind it.

No local of a coroutine here holds the key or a body while it waits: what prints locals prints neither.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TypedDict

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.payload import Payload
from multidict import CIMultiDictProxy
from yarl import URL

from clinia_async.calls import Request
from clinia_async.calls.error_answers import statement_of_intermediary
from clinia_async.errors import Outcome
from clinia_async.models.secret import Secret
from clinia_async.models.struct import Struct

_PIECE = 256 * 1024

KNOWN = "3.14."
"""Versions of aiohttp of which more is used than its public interface; others work, and cost more."""
IS_KNOWN = aiohttp.__version__.startswith(KNOWN)
LARGEST_POOLED = 32 * 1024
"""Bytes of a body that a connection takes at once; with a larger one it may take time."""

_REQUEST, _INNER_REQUEST = aiohttp.ClientSession.request, aiohttp.ClientSession._request
"""The methods that tools which record or answer requests put something else in the place of."""
_ARE_GENUINE = _REQUEST.__module__ == _INNER_REQUEST.__module__ == "aiohttp.client"


class Place:
    """Where the requests of one host go: its origin and what stands before each path."""

    def __init__(self, base: str) -> None:
        url = URL(base)
        self.origin = url.origin()
        self._prefix = url.raw_path.rstrip("/")

    @property
    def host(self) -> str:
        """The host, with the port where that is not the usual one; fit for error texts."""
        port = self.origin.explicit_port
        return f"{self.origin.host_subcomponent}:{port}" if port else str(self.origin.host_subcomponent)

    def url(self, request: Request) -> URL:
        """Return the URL of a request, whose path is percent-encoded already."""
        url = self.origin.with_path(self._prefix + request.path, encoded=True)
        return url.with_query(request.query) if request.query else url

    def target(self, request: Request) -> str:
        """Return what stands in the first line of a request."""
        return self.url(request).raw_path_qs if request.query else self._prefix + request.path


class BytesSent:
    """Whether any byte of a request was handed to its connection: where not, nothing of it left."""

    __slots__ = ("body", "happened", "in_doubt", "write")

    def __init__(self, write: tuple[str, str] | None = None) -> None:
        self.happened = False
        self.write = write
        """The method and the path of a write; None for what may be sent again at any time."""
        self.body: Payload | None = None
        """Its body, if it has one, by which a write is known where hooks change the path."""
        self.in_doubt = False
        """Whether a write was sent through hooks of others, and may have been carried out."""

    def is_of(self, request: aiohttp.ClientRequest) -> bool:
        """Return whether a request that hooks pass on is the write, and none of their own."""
        if self.write is None:
            return False
        has_its_body = self.body is not None and request.body is self.body
        return has_its_body or self.write == (request.method, request.url.raw_path)


_bytes_sent: ContextVar[BytesSent] = ContextVar("clinia_async_bytes_sent")


class SentAlready(aiohttp.ClientError):
    """A hook of others would have sent a write again that may have been carried out."""


async def send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The last middleware: a write that may have been carried out is not sent again from in here.

    Middlewares send again, and so does aiohttp where a subclass of its session is borrowed. Whether that is
    safe, and what the answer to a second attempt then means, is known where a call is retried.

    Raises:
        SentAlready: the write may have been carried out by an earlier attempt.
    """
    sent = _bytes_sent.get(None)
    if sent is None or not sent.is_of(request):
        return await handler(request)
    if sent.in_doubt:
        raise SentAlready
    sent.in_doubt = True
    try:
        answer = await handler(request)
    except BaseException as error:
        is_unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        sent.in_doubt = sent.happened and not is_unsent
        raise
    sent.in_doubt = statement_of_intermediary(answer.status).outcome is not Outcome.REJECTED
    return answer


class _Body(Payload):
    """The bytes of a body, written in pieces, and never to be seen in a text."""

    _autoclose = True

    def __init__(self, content: bytes) -> None:
        super().__init__(content, content_type="application/json")
        self._size = len(content)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("the body of a request is not for reading")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        for start in range(0, self._size or 1, _PIECE):
            await writer.write(self._value[start : start + _PIECE])


class ClientRequest(aiohttp.ClientRequest):
    """Goes only over a connection on which nothing came unasked, and notes that it is about to go."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or _has_unread_data(conn.protocol):
            conn.close()
            raise aiohttp.ClientConnectionResetError("something came over the connection unasked")
        _bytes_sent.get(BytesSent()).happened = True
        return await super().send(conn)


class _Protocol(ResponseHandler):
    """Hangs up at once, also where the peer has not taken all of a request whose answer nobody waits for.

    A transport that closes goes on sending what it holds until the peer has taken it, which may be never:
    it would outlive the session, and the loop.
    """

    def close(self) -> None:
        self.abort()


class Connector(aiohttp.TCPConnector):
    """The pool of a session's own connections."""

    def __init__(self, connections: int, tls: ssl.SSLContext | bool) -> None:
        super().__init__(limit=connections, ssl=tls)
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, loop=self._loop)


def _has_unread_data(protocol: ResponseHandler) -> bool:
    """Whether an idle connection holds something: it would be taken for the answer to the next request."""
    return protocol.should_close


class _More(TypedDict, total=False):
    middlewares: Sequence[aiohttp.ClientMiddlewareType]
    raise_for_status: bool


class AiohttpRequester:
    """`ClientSession.request`: for every version of aiohttp, for bodies of any size, and for all hooks."""

    def __init__(self, client: aiohttp.ClientSession, proxy: URL | None, headers: Mapping[str, str]) -> None:
        self._client = client
        self._proxy = proxy
        self._headers = headers
        self._more: _More = {}
        if _has_own_request(client):  # it belongs to the borrowed session, whose settings it would use
            self._more = {"middlewares": client._middlewares, "raise_for_status": False}

    async def request(
        self, request: Request, place: Place, credentials: Mapping[str, Secret] | None, sent: BytesSent
    ) -> aiohttp.ClientResponse:
        sent.happened = is_patched(self._client)  # what stands there instead does not say
        sent.body = None if request.body is None else _Body(request.body)
        if not (request.is_read or request.method == "GET"):
            sent.write = request.method, place.url(request).raw_path
        _bytes_sent.set(sent)
        return await self._client.request(
            request.method,
            place.url(request),
            data=sent.body,
            headers=self._headers_with(request.headers, credentials),
            proxy=self._proxy,
            allow_redirects=False,
            **self._more,
        )

    async def connect(self, place: Place) -> Callable[[], None]:
        """Open a connection as a request would, and give it to the pool. Return what closes it.

        Nothing is sent over it; a proxy is asked for it.
        """
        assert self._client.connector is not None
        request = aiohttp.ClientRequest(
            "GET", place.origin, proxy=self._proxy, loop=asyncio.get_running_loop(), session=self._client
        )
        connection = await self._client.connector.connect(request, [], self._client.timeout)
        protocol = connection.protocol
        assert protocol is not None
        connection.release()
        return protocol.close

    def _headers_with(
        self, more: Mapping[str, str] | None, credentials: Mapping[str, Secret] | None
    ) -> dict[str, str]:
        """All headers: the client has none of its own, as hooks may use it for requests to others."""
        revealed = {name: value.reveal() for name, value in (credentials or {}).items()}
        return {**self._headers, **(more or {}), **revealed}


class _Template(Struct):
    """What all requests to one host have in common."""

    request: aiohttp.ClientRequest
    """Names the host to the pool where a connection is to be opened."""
    key: ConnectionKey
    """Names it where one is there."""
    headers: Secret


class PooledRequester:
    """Straight over a pooled connection, without the objects that a `ClientSession` makes for each request.

    The pool may be that of a borrowed session.

    They cost more than half of a small request, and serve what is turned off here: redirects, cookies,
    proxies, traces, authentication, streamed bodies. What is used in their place is known of some
    versions of aiohttp only.
    """

    def __init__(
        self, client: aiohttp.ClientSession, headers: Mapping[str, str], connect_timeout: float
    ) -> None:
        assert client.connector is not None
        self._client = client
        self._headers = headers
        self._connector = client.connector
        self._connect_timeout = connect_timeout
        self._template = lru_cache(maxsize=8)(self._make_template)

    async def request(
        self,
        request: Request,
        place: Place,
        credentials: Mapping[str, Secret] | None,
        sent: BytesSent,
    ) -> "Exchange":
        template = self._template(place.origin)
        connection = await self._connector._get(template.key, [])
        while connection is not None and connection.protocol and _has_unread_data(connection.protocol):
            connection.close()
            connection = await self._connector._get(template.key, [])
        if connection is None:
            connection = await self._connect(template.request)
        try:
            protocol = _write(connection, _head(place, request, template.headers, credentials), request.body)
            sent.happened = True
            message, content = await protocol.read()
            while _is_interim(message.code):
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return Exchange(message.code, message.headers, content, connection)

    async def _connect(self, request: aiohttp.ClientRequest) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._connector.connect(request, [], self._client.timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error

    def _make_template(self, origin: URL) -> "_Template":
        request = aiohttp.ClientRequest(
            "GET", origin, headers=self._headers, loop=asyncio.get_running_loop(), session=self._client
        )
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        request.headers.clear()  # the pool has no use for them, and they hold the key
        return _Template(request, request.connection_key, Secret(headers))


def _is_interim(status: int) -> bool:
    """Whether another answer follows, as after all of 1xx but for a switch of protocols, known or not."""
    return 100 <= status < 200 and status != HTTPStatus.SWITCHING_PROTOCOLS


def _head(place: Place, request: Request, headers: Secret, credentials: Mapping[str, Secret] | None) -> bytes:
    size = len(request.body or b"")
    length = "" if request.body is None and request.method == "GET" else f"Content-Length: {size}\r\n"
    more = ""
    if credentials is not None:
        more = "".join(f"{name}: {value.reveal()}\r\n" for name, value in credentials.items())
    target = place.target(request)
    return f"{request.method} {target} HTTP/1.1\r\n{headers.reveal()}{more}{length}\r\n".encode()


def _write(connection: Connection, head: bytes, body: bytes | None) -> ResponseHandler:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True)
    transport.write(head if body is None else head + body)
    return protocol


class Exchange:
    """An answer whose body is still to be read, and the connection that it comes over."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
        connection: Connection,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection = connection

    async def read(self) -> bytes:
        return self.content.read_nowait() if self.content.is_eof() else await self.content.read()

    def release(self) -> None:
        """Give the connection back, for the next request if the answer came to its end."""
        self._connection.release()

    def close(self) -> None:
        if self.content.is_eof():
            self._connection.release()
        else:
            self._connection.close()


def can_pool(client: aiohttp.ClientSession) -> bool:
    """Return whether `PooledRequester` knows how to use the connections of a client."""
    connector = client.connector
    return IS_KNOWN and isinstance(connector, aiohttp.TCPConnector) and not _has_middlewares(client)


def hooks_of(client: aiohttp.ClientSession) -> list[str]:
    """Return what is set on a client that only its public way honours."""
    hooks = [] if not client.trace_configs else ["trace configs"]
    if _has_middlewares(client):
        hooks.append("middlewares")
    if is_patched(client):
        hooks.append("a patched ClientSession")
    return hooks


def is_patched(client: aiohttp.ClientSession) -> bool:
    """Return whether something else was put in the place of the client's own way to make a request."""
    kind = type(client)
    is_genuine = _ARE_GENUINE and kind.request is _REQUEST and kind._request is _INNER_REQUEST
    return not is_genuine or _has_own_request(client)


def _has_own_request(client: aiohttp.ClientSession) -> bool:
    return not {"request", "_request"}.isdisjoint(vars(client))


def _has_middlewares(client: aiohttp.ClientSession) -> bool:
    return any(each is not send_once for each in client._middlewares)


def adopt_hooks(client: aiohttp.ClientSession, borrowed: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return a client with the settings of `client` and the hooks of a borrowed session, each called once.

    Where the borrowed one is of a subclass, or was patched, what it does of its own belongs to the hooks.
    """
    # instrumentation that adds itself to every new session has added itself to both
    client._trace_configs = list(borrowed.trace_configs) or list(client.trace_configs)
    client._middlewares = (*borrowed._middlewares, send_once)
    if type(borrowed) is aiohttp.ClientSession and not _has_own_request(borrowed):
        return client
    twin = copy(borrowed)
    vars(twin).update(vars(client))
    client.detach()
    return twin
