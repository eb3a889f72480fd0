"""The HTTP server: connections with deadlines and a cap, and answers written as they are."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from socket import socket
from time import time
from weakref import WeakSet

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from orjson import dumps

from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Reply
from clinia_async.emulator.settings import Settings

LOGGER = logging.getLogger(__name__)
_NO_LOG = logging.getLogger(f"{__name__}.access")
_NO_LOG.disabled = True
"""aiohttp's access log would show ids."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_CLOSING_TURNS = 2
"""Turns of the loop after which aiohttp can close what was accepted, beside the one that it waits itself.

asyncio makes a transport of it in the next turn, and half of one, never closed, if its server is closed by
then. aiohttp waits for a request in a task, which takes a turn more to start.
"""


def refusal(error: ApiError) -> Reply:
    return Reply(status=error.code, body=dumps(error.envelope()))


class Response(web.StreamResponse):
    """A reply, written in one go; without one, the connection ends without a byte."""

    def __init__(self, reply: Reply | None, request: web.BaseRequest) -> None:
        super().__init__()
        self._reply = reply
        is_whole = reply is not None and reply.complete and reply.status != HTTPStatus.REQUEST_TIMEOUT
        self._keeps = is_whole and bool(request.keep_alive)
        self.sent = {} if reply is None else _headers(reply, keeps=self._keeps)

    @property
    def keep_alive(self) -> bool:
        return self._keeps

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self._reply is None:
            if request.transport is not None:
                request.transport.abort()
        else:
            await request.writer.write(_bytes(self._reply, self.sent))
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


def _headers(reply: Reply, *, keeps: bool) -> dict[str, str]:
    headers = {}
    if reply.content_type is not None:
        headers["Content-Type"] = reply.content_type
    if reply.status != HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = str(len(reply.body))
    headers |= {"Date": _date(int(time())), "X-Content-Type-Options": "nosniff", **reply.headers}
    if not keeps:
        headers["Connection"] = "close"
    return headers


def _bytes(reply: Reply, headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    body = reply.body if reply.complete else reply.body[: len(reply.body) // 2]
    return f"{_status_line(reply.status)}{lines}\r\n".encode("latin-1") + body


@lru_cache(1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(100)
def _status_line(status: int) -> str:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    return f"HTTP/1.1 {status} {reason}\r\n"


class Server(web.Server):
    """Accepts connections up to the cap of the settings."""

    def __init__(self, handler: Handler, settings: Settings) -> None:
        super().__init__(handler)
        self.settings = settings
        self._tasks: WeakSet[asyncio.Task[None]] = WeakSet()

    def add(self, task: asyncio.Task[None]) -> None:
        """Note the task of a connection."""
        self._tasks.add(task)

    async def end_tasks(self) -> None:
        """Cancel the tasks of connections that are gone.

        aiohttp forgets such a task, which may wait ten seconds for the rest of a body that was refused.
        """
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self.settings)


class Connection(web.RequestHandler):
    """One connection, closed if a request does not arrive in time, and silent about its client."""

    __slots__ = ("_clinia_deadline", "_clinia_settings")

    def __init__(self, server: Server, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, access_log=_NO_LOG, logger=LOGGER, auto_decompress=False)
        self._clinia_settings = settings
        self._clinia_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server = self._manager
        if isinstance(server, Server) and self._task_handler is not None:
            server.add(self._task_handler)
        if server is not None and len(server.connections) > self._clinia_settings.connection_limit:
            self._refuse()
        else:
            self._await_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._stop_deadline()
        elif self._waiter is not None and self._clinia_deadline is None:
            self._await_headers()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with an envelope. Neither answer nor log quotes what a client sent."""
        self.keep_alive(False)
        if isinstance(exc, HttpProcessingError):
            LOGGER.error("a request was not valid HTTP")
            reply = refusal(ApiError("INVALID_ARGUMENT", "the request is not valid HTTP", code=400))
        else:
            if exc is not None and self.transport is not None and not self.transport.is_closing():
                LOGGER.error(
                    "%s in the emulator\nTraceback, without its text:\n%s", type(exc).__name__, _stack(exc)
                )
            reply = refusal(ApiError("INTERNAL", "the emulator failed", code=status))
        return Response(_closing(reply), request)

    def log_exception(self, *args: object, **kw: object) -> None:
        """Log nothing: `handle_error` has said what there is to say."""

    def _refuse(self) -> None:
        self._force_close = True
        if isinstance(self.transport, asyncio.Transport):
            reply = refusal(ApiError(None, "the emulator has too many connections", code=503))
            self.transport.write(_bytes(reply, _headers(reply, keeps=False)))
        self.force_close()

    def _await_headers(self) -> None:
        seconds = self._clinia_settings.header_timeout
        self._clinia_deadline = asyncio.get_running_loop().call_later(seconds, self.force_close)

    def _stop_deadline(self) -> None:
        if self._clinia_deadline is not None:
            self._clinia_deadline.cancel()
            self._clinia_deadline = None


def _closing(reply: Reply) -> Reply:
    return Reply(status=reply.status, body=reply.body, headers={"Connection": "close"})


def _stack(exc: BaseException) -> str:
    """Return where an exception was raised, without its text."""
    return "".join(traceback.format_tb(exc.__traceback__))


async def close_server(runner: web.ServerRunner, listener: socket) -> None:
    """Accept no more connections, and let requests in progress end within the runner's timeout."""
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().remove_reader(listener)
    for _ in range(_CLOSING_TURNS):
        await asyncio.sleep(0)
    known = [connection.transport for connection in runner.server.connections] if runner.server else []
    server = runner.server
    await runner.cleanup()
    if isinstance(server, Server):
        await server.end_tasks()
    for transport in known:
        if transport is not None:
            transport.abort()  # a client that does not read the rest of its answer would hold it open
