"""One attempt at one request.

What aiohttp does by itself is turned off here: following redirects (it would carry the key and the
record elsewhere), cookies, proxies from the environment, and sending a request again when a
connection drops. No exception of aiohttp gets out: it would hold the key in its request headers.
"""

import asyncio
import math
import ssl

import aiohttp
from attrs import frozen
from yarl import URL

from clinia_async.calls import Host, Request
from clinia_async.errors import ConfigError, RequestError
from clinia_async.models.secret import Secret
from clinia_async.transport.base_urls import Addresses
from clinia_async.transport.connections import AiohttpRequester, BytesSent, Connector, PooledRequester
from clinia_async.transport.responses import Answer, failure_of, read, refusal

HttpSession = aiohttp.ClientSession
"""What may be borrowed from the caller: its connections are shared, its settings are not."""


@frozen
class TransportOptions:
    """Durations are in seconds, sizes in bytes, counted after inflation.

    An attempt may take `attempt` seconds and what its body needs at `slowest` bytes a second.
    """

    connect: float = 10.0
    attempt: float = 30.0
    slowest: int = 64 * 1024
    connections: int = 100
    largest_answer: int = 64 * 1024 * 1024


Wire = TransportOptions
"""The former name."""


class Transport:
    def __init__(
        self, addresses: Addresses, key: Secret, wire: TransportOptions, borrowed: HttpSession | None = None
    ) -> None:
        urls = {Host.REGISTRY: URL(addresses.registry), Host.CATALOG: URL(addresses.catalog)}
        self._origins = {host: url.origin() for host, url in urls.items()}
        self._prefixes = {host: url.raw_path.rstrip("/") for host, url in urls.items()}
        self._wire = wire
        if borrowed is not None and borrowed.connector is None:
            raise ConfigError("the http_session is closed")
        own = None if borrowed else Connector(wire.connections, _trust(*self._origins.values()))
        self._client = aiohttp.ClientSession(
            connector=borrowed.connector if borrowed else own,
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
        self._front = AiohttpRequester(self._client)
        is_known = aiohttp.__version__.startswith(PooledRequester.KNOWN)
        self._back = PooledRequester(self._client, own) if own is not None and is_known else None

    async def attempt(self, request: Request, deadline: float) -> bytes:
        """Return the body of a good answer. `deadline` is a time of the event loop's clock.

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        departure, size = BytesSent(), len(request.body or b"")
        latest = asyncio.get_running_loop().time() + self._wire.attempt + size / self._wire.slowest
        try:
            async with asyncio.timeout_at(min(deadline, latest)):
                return await self._exchange(request, departure)
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is foreign and may hold the key
            failure = failure_of(error, request, sent=request.body is None or departure.happened)
        raise failure

    @property
    def connections(self) -> float:
        """How many requests may be under way at once."""
        connector = self._client.connector
        return (connector.limit if connector is not None else 0) or math.inf

    async def close(self) -> None:
        await self._client.close()

    async def _exchange(self, request: Request, departure: BytesSent) -> bytes:
        answer: Answer
        if self._back is not None and len(request.body or b"") <= PooledRequester.LARGEST:
            target = self._prefixes[request.host] + request.path
            if request.query:
                target = self._url(request).raw_path_qs
            origin = self._origins[request.host]
            answer = await self._back.request(origin, request.method, target, request.body, departure)
        else:
            url = self._url(request)
            answer = await self._front.request(request.method, url, request.body, departure)
        try:
            if not 200 <= answer.status < 300:
                raise await refusal(answer, request)
            body = await read(answer, self._wire.largest_answer)
        except BaseException:
            answer.close()
            raise
        answer.release()
        return body

    def _url(self, request: Request) -> URL:
        path = self._prefixes[request.host] + request.path
        url = self._origins[request.host].with_path(path, encoded=True)
        return url.with_query(request.query) if request.query else url


def _trust(*origins: URL) -> ssl.SSLContext | bool:
    """Certificates are read anew for each session, which takes 20 ms, and only where there is TLS."""
    return ssl.create_default_context() if any(origin.scheme == "https" for origin in origins) else True
