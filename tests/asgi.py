"""A server for ASGI applications that does what usual servers do when a client hangs up.

The application is told by `http.disconnect`, what it sends from then on goes nowhere, and its task runs on.
It says that it is of version 2.3 of the specification, as uvicorn does: Starlette then listens for the
disconnect itself and cancels the response through a scope of anyio.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

from attrs import define, field

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


@define(eq=False)
class _Connection(asyncio.Protocol):
    """One request a connection."""

    server: "AsgiServer"
    head: bytes = b""
    gone: asyncio.Event = field(factory=asyncio.Event)
    transport: asyncio.Transport | None = None
    requested: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.head += data
        if b"\r\n\r\n" in self.head and not self.server.tasks.get(self):
            task = asyncio.get_running_loop().create_task(self._run(), name="asgi-request")
            self.server.tasks[self] = task
            task.add_done_callback(lambda _: self.server.tasks.pop(self))

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.server.hung_up.set()

    async def _run(self) -> None:
        assert self.transport is not None
        first, *lines = self.head.split(b"\r\n\r\n")[0].split(b"\r\n")
        method, target, _ = first.decode().split(" ")
        pairs = (line.partition(b":") for line in lines)
        headers = [(name.lower(), value.strip()) for name, _, value in pairs]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", self.server.port),
        }
        try:
            await self.server.app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  as servers do: it is logged, and the connection ends
            self.server.errors.append(error)
        self.transport.close()

    async def _receive(self) -> Message:
        if not self.requested:
            self.requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        assert self.transport is not None
        if self.gone.is_set():
            return
        if message["type"] == "http.response.start":
            self.transport.write(f"HTTP/1.1 {message['status']} X\r\nConnection: close\r\n\r\n".encode())
        else:
            self.transport.write(message.get("body", b""))


@define(eq=False)
class AsgiServer:
    """Serves `app` on loopback, within its lifespan."""

    app: App
    tasks: dict[_Connection, asyncio.Task[None]] = field(factory=dict)
    errors: list[BaseException] = field(factory=list)
    """What requests raised."""
    hung_up: asyncio.Event = field(factory=asyncio.Event)
    """A connection has ended."""
    port: int = 0
    _server: asyncio.Server | None = None
    _lifespan: asyncio.Task[None] | None = None
    _said: "asyncio.Queue[str]" = field(factory=asyncio.Queue)
    _asked: "asyncio.Queue[Message]" = field(factory=asyncio.Queue)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._lifespan = loop.create_task(self._live(scope), name="asgi-lifespan")
        await self._ask("lifespan.startup")
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._lifespan is not None
        self._server.close()
        if self.tasks:
            await asyncio.wait([*self.tasks.values()])
        await self._ask("lifespan.shutdown")
        await self._lifespan
        await self._server.wait_closed()

    async def _live(self, scope: Message) -> None:
        async def send(message: Message) -> None:
            self._said.put_nowait(message["type"])

        await self.app(scope, self._asked.get, send)

    async def _ask(self, what: str) -> None:
        self._asked.put_nowait({"type": what})
        assert await self._said.get() == f"{what}.complete"
