"""One request over a connection of aiohttp's pool: by aiohttp's front door, or by what is behind it."""

import asyncio
import ssl
from functools import lru_cache, partial
from typing import ClassVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.payload import Payload
from multidict import CIMultiDictProxy
from yarl import URL

_PIECE = 256 * 1024


class BytesSent:
    """Whether any byte of a request was handed to its connection: where not, nothing of it left."""

    __slots__ = ("happened",)

    def __init__(self) -> None:
        self.happened = False


class _Body(Payload):
    """The bytes of a body, which tell of their departure: headers go out with the first of them."""

    _autoclose = True

    def __init__(self, content: bytes, departure: BytesSent) -> None:
        super().__init__(content, content_type="application/json")
        self._size = len(content)
        self._departure = departure

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("the body of a request is not for reading")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._departure.happened = True
        content: bytes = self._value
        if len(content) <= _PIECE:
            await writer.write(content)
            return
        for start in range(0, len(content), _PIECE):
            await writer.write(content[start : start + _PIECE])


class _Protocol(ResponseHandler):
    """Hangs up at once, also where the peer has not taken all of a request whose answer nobody waits for.

    A transport that closes goes on sending what it holds until the peer has taken it, which may be never:
    it would outlive the session, and the loop.
    """

    def close(self) -> None:
        self.abort()


class Connector(aiohttp.TCPConnector):
    def __init__(self, connections: int, tls: ssl.SSLContext | bool) -> None:
        super().__init__(limit=connections, ssl=tls)
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, loop=self._loop)


class AiohttpRequester:
    """`ClientSession.request`: for every version of aiohttp, and for bodies of any size."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def request(
        self, method: str, url: URL, body: bytes | None, departure: BytesSent
    ) -> aiohttp.ClientResponse:
        data = None if body is None else _Body(body, departure)
        return await self._client.request(method, url, data=data, allow_redirects=False)


class PooledRequester:
    """Straight over a pooled connection, without the objects that a `ClientSession` makes for each request.

    They cost more than half of a small request, and serve what is turned off here: redirects, cookies,
    proxies, traces, authentication, streamed bodies. What is used in their place is known of some
    versions of aiohttp only.
    """

    KNOWN: ClassVar[str] = "3.14."
    LARGEST: ClassVar[int] = 32 * 1024
    """Bytes of a body: with a larger one it may take time until the connection has taken it."""

    def __init__(self, client: aiohttp.ClientSession, connector: aiohttp.TCPConnector) -> None:
        self._client = client
        self._connector = connector
        self._template = lru_cache(maxsize=8)(self._make_template)

    async def request(
        self, origin: URL, method: str, target: str, body: bytes | None, departure: BytesSent
    ) -> "Exchange":
        template, headers = self._template(origin)
        connection = await self._connector._get(template.connection_key, []) or await self._connect(template)
        try:
            protocol = connection.protocol
            transport = connection.transport
            if protocol is None or transport is None or transport.is_closing():
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(read_until_eof=True)
            length = "" if body is None and method == "GET" else f"Content-Length: {len(body or b'')}\r\n"
            head = f"{method} {target} HTTP/1.1\r\n{headers}{length}\r\n".encode()
            departure.happened = True
            transport.write(head if body is None else head + body)
            message, content = await protocol.read()
            while 100 <= message.code < 200:
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return Exchange(message.code, message.headers, content, connection)

    async def _connect(self, template: aiohttp.ClientRequest) -> Connection:
        try:
            return await self._connector.connect(template, [], self._client.timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error

    def _make_template(self, origin: URL) -> tuple[aiohttp.ClientRequest, str]:
        """What tells the pool where to connect, and the headers that are always the same."""
        request = aiohttp.ClientRequest(
            "GET", origin, headers=self._client.headers, loop=asyncio.get_running_loop(), session=self._client
        )
        return request, "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())


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
        """Gives the connection back, for the next request if the answer came to its end."""
        self._connection.release()

    def close(self) -> None:
        if self.content.is_eof():
            self._connection.release()
        else:
            self._connection.close()
