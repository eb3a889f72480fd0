"""One attempt at one request.

What aiohttp does by itself is turned off here: following redirects (it would carry the key and the
record elsewhere), cookies, proxies from the environment, and sending a request again when a
connection drops. No exception of aiohttp gets out, and no frame of its code stays in a traceback: they
would hold the key in their request headers.
"""

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Awaitable, Coroutine, Mapping
from typing import TypeVar

import aiohttp
from attrs import field, frozen
from yarl import URL

from clinia_async import __version__
from clinia_async.calls import Host, Request
from clinia_async.calls.error_answers import statement_without_answer
from clinia_async.calls.receipts import proves_not_applied
from clinia_async.calls.reconciliation import statement_of_failure
from clinia_async.errors import (
    ConfigError,
    CredentialsFailed,
    RequestError,
    SessionClosed,
    Unauthenticated,
    reason_of,
)
from clinia_async.errors.settings import Number, named_options
from clinia_async.models.secret import Secret
from clinia_async.models.struct import Struct
from clinia_async.models.value import EqualByFields
from clinia_async.transport import connections
from clinia_async.transport.base_urls import Addresses
from clinia_async.transport.connections import (
    AiohttpRequester,
    BytesSent,
    ClientRequest,
    Connector,
    Place,
    PooledRequester,
    adopt_hooks,
    hooks_of,
    is_patched,
    send_once,
)
from clinia_async.transport.credentials import Credentials
from clinia_async.transport.deadlines import Deadlines
from clinia_async.transport.responses import Answer, Response, failure_of, read_response

HttpSession = aiohttp.ClientSession
"""What may be borrowed from the caller: its connections are shared, its settings are not."""

RESERVED_HEADERS = frozenset(
    {
        "accept",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-clinia-api-key",
    }
)
"""Headers that a session sets itself, and no setting may."""
CREDENTIAL_HEADERS = frozenset({"authorization", "x-clinia-api-key"})
"""Those of them that a function for credentials may give, and nothing else."""

_MOST_PROBED = 256 * 1024

T = TypeVar("T")

_logger = logging.getLogger("clinia_async.transport")


@named_options
@frozen(eq=False, repr=False)
class TransportOptions(EqualByFields):
    """How to connect; durations are in seconds, sizes in bytes, counted after inflation.

    Args:
        connect: how long it may take to find the host and connect to it.
        attempt: how long one attempt may take, beyond what its body needs.
        slowest: bytes a second; an attempt may take as long as its body needs at this rate.
        connections: how many connections a session opens, and so requests in flight, at most; those of an
            `http_session` may be fewer.
        largest_answer: the largest body of an answer that is read.

    Raises:
        ConfigError: a number is outside its range.
    """

    connect: float = field(default=10.0, validator=Number(above=0))
    attempt: float = field(default=30.0, validator=Number(above=0))
    slowest: int = field(default=64 * 1024, validator=Number(least=1, whole=True))
    connections: int = field(default=100, validator=Number(least=1, whole=True))
    largest_answer: int = field(default=64 * 1024 * 1024, validator=Number(least=1, whole=True))


Wire = TransportOptions
"""The former name."""


class Identity(Struct):
    """What every request of a session says of it, and through whom it goes."""

    credentials: Credentials
    headers: Mapping[str, str]
    proxy: str | None = None


class Probed(Struct):
    """What came back for a request, whatever it is."""

    status: int
    headers: Mapping[str, str]
    """With lower-case names."""
    body: bytes
    """Of a long one the beginning."""
    connected_after: float
    """Seconds until there was a connection, with TLS."""
    answered_after: float
    """Seconds from the request to the head of the answer."""
    sent_at: float
    """Of this machine's clock, in seconds since the epoch."""


class Transport:
    """Makes single attempts, over connections of its own or those of a borrowed `aiohttp.ClientSession`."""

    def __init__(
        self,
        addresses: Addresses,
        identity: Identity,
        options: TransportOptions,
        borrowed: HttpSession | None = None,
    ) -> None:
        self._places = {Host.REGISTRY: Place(addresses.registry), Host.CATALOG: Place(addresses.catalog)}
        self._options = options
        self._credentials = identity.credentials
        proxy = None if identity.proxy is None else URL(identity.proxy)
        headers = _headers_of(identity)
        self._borrows = borrowed is not None
        self._client = self._make_client(borrowed)
        self._public = AiohttpRequester(self._client, proxy, headers)
        self._pooled: PooledRequester | None = None
        if proxy is None and connections.can_pool(self._client):
            self._pooled = PooledRequester(self._client, headers, options.connect)
        else:
            reasons = ["a proxy"] if proxy else hooks_of(self._client)
            _log_way(reasons or ["a connector or a version of aiohttp that is not known"])
        self._was_plain: bool | None = None
        self._deadlines = Deadlines()

    def host_of(self, request: Request) -> str:
        """Return the host that a request goes to, with its port where that is not the usual one."""
        return self._places[request.host].host

    def attempt(self, request: Request, deadline: float) -> Coroutine[object, object, Response]:
        """Return a good answer. `deadline` is a time of the event loop's clock.

        Credentials that a function gives are asked for once more after a 401, and sent with one more attempt,
        unless that answer leaves it open whether the request was carried out.

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
            SessionClosed: the borrowed session was closed.
        """
        if self._credentials.is_fixed:
            return self._bounded(request, None, deadline)
        return self._with_credentials(self._credentials, request, deadline)

    async def _with_credentials(
        self, credentials: Credentials, request: Request, deadline: float
    ) -> Response:
        headers = credentials.known or await self._ask(credentials, request, deadline)
        try:
            return await self._bounded(request, headers, deadline)
        except Unauthenticated as error:
            if not proves_not_applied(error):
                raise
            refusal = error
        headers = await self._ask(credentials, request, deadline, (headers, refusal))
        return await self._bounded(request, headers, deadline)

    async def _ask(
        self,
        credentials: Credentials,
        request: Request,
        deadline: float,
        refused: tuple[Mapping[str, Secret], Unauthenticated] | None = None,
    ) -> Mapping[str, Secret]:
        """Return the headers of a credential, new ones if those that it gave last are `refused`."""
        latest = min(deadline, asyncio.get_running_loop().time() + self._options.attempt)
        headers, refusal = refused or (None, None)
        try:
            return await credentials.get(latest, headers)
        except CredentialsFailed as error:
            failure = CredentialsFailed(f"{request.method} {request.route}: {reason_of(error)}")
            failure.transient = error.transient
        if refusal is not None:
            raise statement_of_failure(refusal, maybe_applied=False).on(failure)
        raise statement_without_answer(sent=False).on(failure)

    async def _bounded(
        self, request: Request, credentials: Mapping[str, Secret] | None, deadline: float
    ) -> Response:
        if self._borrows and self._client.closed:  # by its owner
            raise SessionClosed("the http_session was closed")
        sent, size = BytesSent(), len(request.body or b"")
        latest = asyncio.get_running_loop().time() + self._options.attempt + size / self._options.slowest
        limit = self._deadlines.start(min(deadline, latest))
        failure: BaseException
        try:
            return await self._exchange(request, credentials, sent)
        except RequestError as error:
            failure = error.with_traceback(None)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                failure = asyncio.CancelledError(*error.args)
            else:  # nobody cancels this task: a hook raised it
                failure = self._failure_of(error, request, sent)
        except Exception as error:  # noqa: BLE001  whatever it is, it is foreign and may hold the key
            failure = self._failure_of(error, request, sent)
        except BaseException as error:  # noqa: BLE001  it is raised below, without the frames that hold the key
            failure = error.with_traceback(None)
        finally:
            is_late = self._deadlines.stop(limit)
        if is_late and isinstance(failure, asyncio.CancelledError):
            failure = self._failure_of(TimeoutError(), request, sent)
        failure.__context__ = None
        raise failure

    def _failure_of(self, error: BaseException, request: Request, sent: BytesSent) -> RequestError:
        host = self._places[request.host].host
        return failure_of(error, request, sent=sent.happened, in_doubt=sent.in_doubt, host=host)

    async def connect(self, host: Host, within: float) -> None:
        """Open a connection to a host as requests do, and keep it for the first of them.

        Raises:
            RequestError: there is none after `within` seconds; its text is the reason alone.
        """
        work = self._public.connect(self._places[host])
        await self._asked(work, host, BytesSent(), within)

    async def probe(self, request: Request, within: float) -> Probed:
        """Send a request once, and return whatever comes back: no status is an error here.

        Raises:
            RequestError: no HTTP came back within `within` seconds; its text is the reason alone.
        """
        sent = BytesSent()
        return await self._asked(self._probe(request, sent), request.host, sent, within)

    async def _probe(self, request: Request, sent: BytesSent) -> Probed:
        place, credentials, now = (
            self._places[request.host],
            self._credentials,
            asyncio.get_running_loop().time,
        )
        begun = now()
        hang_up = await self._public.connect(place)
        try:
            connected, sent_at = now(), time.time()
            headers = None if credentials.is_fixed else await credentials.get(begun + self._options.attempt)
            answer = await self._public.request(request, place, headers, sent)
            answered = now()
            body = await answer.content.read(_MOST_PROBED)
            answer.close()
        finally:
            hang_up()  # an unusual server may be about to do so: the next probe must not meet that
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Probed(answer.status, names, body, connected - begun, answered - connected, sent_at)

    async def _asked(self, work: Awaitable[T], host: Host, sent: BytesSent, within: float) -> T:
        failure: BaseException
        try:
            async with asyncio.timeout(within):
                return await work
        except CredentialsFailed as error:
            failure = statement_without_answer(sent=sent.happened).on(error)
        except asyncio.CancelledError as error:
            failure = type(error)(*error.args)
        except Exception as error:  # noqa: BLE001  whatever it is, it is foreign and may hold the key
            failure = failure_of(error, None, sent=sent.happened, host=self._places[host].host)
        except BaseException as error:  # noqa: BLE001  it is raised below, without the frames that hold the key
            failure = error.with_traceback(None)
        failure.__context__ = None
        raise failure

    async def _exchange(
        self, request: Request, credentials: Mapping[str, Secret] | None, sent: BytesSent
    ) -> Response:
        place = self._places[request.host]
        answer: Answer
        if (
            self._pooled is not None
            and request.headers is None
            and len(request.body or b"") <= connections.LARGEST_POOLED
            and self._is_plain()
        ):
            answer = await self._pooled.request(request, place, credentials, sent)
        else:
            answer = await self._public.request(request, place, credentials, sent)
        try:
            hidden = (credentials or self._credentials.known or {}).values()
            response = await read_response(answer, request, self._options.largest_answer, hidden)
        except BaseException:
            answer.close()
            raise
        answer.release()
        return response

    def _is_plain(self) -> bool:
        """Whether nobody set a hook by now: or else each request goes the public way of aiohttp."""
        is_plain = not (self._client.trace_configs or is_patched(self._client))
        if is_plain is not self._was_plain:
            self._was_plain = is_plain
            _log_way(hooks_of(self._client))
        return is_plain

    def _make_client(self, borrowed: HttpSession | None) -> HttpSession:
        if borrowed is not None and (borrowed.closed or borrowed.connector is None):
            raise ConfigError("the http_session is closed: give an open one")
        loop = asyncio.get_running_loop()
        if borrowed is not None and getattr(borrowed.connector, "_loop", loop) is not loop:
            raise ConfigError("the http_session belongs to another event loop: give one of this loop")
        origins = [place.origin for place in self._places.values()]
        own = None if borrowed else Connector(self._options.connections, _trust(*origins))
        client = aiohttp.ClientSession(
            connector=borrowed.connector if borrowed else own,
            connector_owner=borrowed is None,
            request_class=ClientRequest,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._options.connect, sock_connect=self._options.connect
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(send_once,),
        )
        # aiohttp would send GET, PUT and DELETE twice on a dropped connection, past our count of attempts
        client._retry_connection = False
        return client if borrowed is None else adopt_hooks(client, borrowed)

    @property
    def connections(self) -> float:
        """How many requests may be under way at once: what the options and the connector allow."""
        connector = self._client.connector
        limit = (connector.limit if connector is not None else 0) or math.inf
        return min(limit, self._options.connections)

    async def close(self) -> None:
        """Close the connections, but for those of a borrowed session."""
        self._deadlines.close()
        if self._borrows:
            self._client.detach()
        else:
            await self._client.close()


def _headers_of(identity: Identity) -> dict[str, str]:
    """Return the headers of every request; a credential that changes is none of them."""
    known = identity.credentials.known if identity.credentials.is_fixed else None
    return {
        **{name: value.reveal() for name, value in (known or {}).items()},
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"clinia-async/{__version__}",
        **identity.headers,
    }


def _log_way(reasons: list[str]) -> None:
    """Say which way requests of a session go, once for each change of it."""
    if reasons:
        _logger.info("requests go through ClientSession.request: there is %s", " and ".join(reasons))
    else:
        _logger.info("small requests go straight over pooled connections")


def _trust(*origins: URL) -> ssl.SSLContext | bool:
    """Certificates are read anew for each session, which takes 20 ms, and only where there is TLS."""
    return ssl.create_default_context() if any(origin.scheme == "https" for origin in origins) else True
