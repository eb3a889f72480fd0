"""One attempt at one request. The only module that imports the aiohttp client.

What aiohttp does by itself is turned off here: following redirects (it would carry the key and the
record elsewhere), cookies, proxies from the environment, and sending a request again when a
connection drops. No exception of aiohttp gets out: it would hold the key in its request headers.
"""

import asyncio
import ssl
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from attrs import frozen
from yarl import URL

from clinia_async import codec
from clinia_async.addresses import Addresses
from clinia_async.calls import Host, Request
from clinia_async.errors import (
    ApiError,
    ConfigError,
    ConnectionFailed,
    ContentTooLarge,
    DecodeError,
    NotFound,
    Outcome,
    PermissionDenied,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RequestTimeout,
    Unauthenticated,
)
from clinia_async.models import ErrorInfo
from clinia_async.retry import PASSING, parse_retry_after
from clinia_async.secret import Secret

HttpSession = aiohttp.ClientSession
"""What may be borrowed from the caller: its connections are shared, its settings are not."""

_REFUSALS = frozenset(
    {400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 414, 415, 417, 422, 425, 428, 429, 431, 451}
)
"""Statuses that say in themselves that the request was not carried out."""

_UNTYPED = {401: Unauthenticated, 403: PermissionDenied, 404: NotFound, 413: ContentTooLarge}
"""What a status stands for when an answer does not name its type. A 409 alone is not ALREADY_EXISTS."""

_PIECE = 256 * 1024
_LARGEST_ERROR = 64 * 1024


@frozen
class Wire:
    """Durations are in seconds, sizes in bytes, counted after inflation.

    An attempt may take `attempt` seconds and what its body needs at `slowest` bytes a second.
    """

    connect: float = 10.0
    attempt: float = 30.0
    slowest: int = 64 * 1024
    connections: int = 100
    largest_answer: int = 64 * 1024 * 1024


class Transport:
    def __init__(
        self, addresses: Addresses, key: Secret, wire: Wire, borrowed: HttpSession | None = None
    ) -> None:
        self._origins = {Host.REGISTRY: addresses.registry, Host.CATALOG: addresses.catalog}
        self._wire = wire
        if borrowed is not None and borrowed.connector is None:
            raise ConfigError("the http_session is closed")
        self._client = aiohttp.ClientSession(
            connector=borrowed.connector if borrowed else _connector(wire),
            connector_owner=borrowed is None,
            trace_configs=borrowed.trace_configs if borrowed else None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=wire.connect),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            headers={
                "X-Clinia-API-Key": key.reveal(),
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "clinia-async",
            },
        )
        # aiohttp would send GET, PUT and DELETE twice on a dropped connection, past our count of attempts
        self._client._retry_connection = False

    async def attempt(self, request: Request, deadline: float) -> bytes:
        """The body of a good answer. Raises `RequestError`, which says what may have happened."""
        body = None if request.body is None else _Body(request.body)
        allowed = self._wire.attempt + len(request.body or b"") / self._wire.slowest
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(deadline, now + allowed)):
                return await self._exchange(request, body)
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is foreign and may hold the key
            failure = _failure(error, request, sent=body is None or body.sent)
        raise failure

    async def close(self) -> None:
        await self._client.close()

    async def _exchange(self, request: Request, body: "_Body | None") -> bytes:
        url = URL(self._origins[request.host] + request.path, encoded=True)
        if request.query:
            url = url.with_query(request.query)
        response = await self._client.request(request.method, url, data=body, allow_redirects=False)
        try:
            if 200 <= response.status < 300:
                return await _read(response, self._wire.largest_answer)
            raise await _refusal(response, request)
        except BaseException:
            response.close()
            raise


def _connector(wire: Wire) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=wire.connections, ssl=ssl.create_default_context())


class _Body(Payload):
    """The bytes of a body, which know whether any of them was handed to the connection.

    Headers go out with the first of them. So where `sent` is False, nothing of the request left.
    """

    _autoclose = True

    def __init__(self, content: bytes) -> None:
        super().__init__(content, content_type="application/json")
        self._size = len(content)
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("the body of a request is not for reading")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.sent = True
        content: bytes = self._value
        if len(content) <= _PIECE:
            await writer.write(content)
            return
        for start in range(0, len(content), _PIECE):
            await writer.write(content[start : start + _PIECE])


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    declared = response.content_length
    if declared is not None and declared > most:
        raise ProtocolError(f"the answer is larger than {most} bytes")
    if declared is not None and "Content-Encoding" not in response.headers:
        return await response.read()
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > most:
            raise ProtocolError(f"the answer is larger than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def _refusal(response: aiohttp.ClientResponse, request: Request) -> RequestError:
    status = response.status
    where = f"{request.method} {request.route}: {status}"
    if status < 400:
        # only these two promise that the request was not carried out where it arrived
        proven = status in {HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT}
        return RedirectRefused(
            f"{where}: a redirect is not followed", outcome=Outcome.REJECTED if proven else Outcome.UNKNOWN
        )
    outcome = Outcome.REJECTED if status in _REFUSALS else Outcome.UNKNOWN
    info = await _error_info(response)
    if info is None and status not in _UNTYPED and status not in PASSING:
        return ProtocolError(f"{where}: cut short before it said why", outcome=outcome)
    info = info or ErrorInfo()
    kind = ApiError.by_type[info.type] if info.type in ApiError.by_type else _UNTYPED.get(status, ApiError)
    return kind(
        f"{where} {info.type or ''}".rstrip(),
        status=status,
        info=info,
        outcome=outcome,
        retry_after=parse_retry_after(response.headers.get("Retry-After"), response.headers.get("Date")),
    )


async def _error_info(response: aiohttp.ClientResponse) -> ErrorInfo | None:
    """The envelope, empty if the answer is none; None if the answer was cut short, so that it may be one."""
    try:
        body = await _read(response, _LARGEST_ERROR)
    except (aiohttp.ClientError, OSError):
        return None
    except ProtocolError:
        return ErrorInfo()
    try:
        return codec.decode(body, ErrorInfo)
    except DecodeError:
        return ErrorInfo()


def _failure(error: Exception, request: Request, *, sent: bool) -> RequestError:
    """Our own error for a foreign one: its class and number, never its words."""
    where = f"{request.method} {request.route}"
    never_left = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not sent
    outcome = Outcome.NOT_SENT if never_left else Outcome.UNKNOWN
    if isinstance(error, TimeoutError):
        return RequestTimeout(f"{where}: no answer in time", outcome=outcome)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return ProtocolError(f"{where}: the answer is not HTTP or was cut short", outcome=outcome)
    number = f" {error.errno}" if isinstance(error, OSError) and error.errno else ""
    return ConnectionFailed(
        f"{where}: {type(error).__name__}{number}",
        outcome=outcome,
        passing=not isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | aiohttp.InvalidURL),
    )
