"""A server that keeps no promise.

Every request it reads is answered by the next behaviour of its script, and by `otherwise` once the
script is done. It speaks HTTP by hand, so that what it says may be anything but HTTP.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

from attrs import define, field

Headers = dict[str, str]


@define
class Seen:
    """One request, as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    connection: int
    at: float
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> object:
        return json.loads(self.body)


@define
class Peer:
    """The connection that a behaviour answers on; `keep` says whether it lives on afterwards."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    keep: bool = False

    async def send(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Peer, Seen], Awaitable[None]]


def raw(text: bytes, *, keep: bool = False) -> Behaviour:
    async def behave(peer: Peer, _: Seen) -> None:
        peer.keep = keep
        await peer.send(text)

    return behave


def head(status: int, headers: Headers | None = None, *, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reply(
    status: int, body: bytes = b"", headers: Headers | None = None, *, kind: str = "application/json"
) -> Behaviour:
    return raw(head(status, {"Content-Type": kind, **(headers or {})}, length=len(body)) + body, keep=True)


def answer(document: object, status: int = 200, headers: Headers | None = None) -> Behaviour:
    return reply(status, json.dumps(document).encode(), headers)


USUAL_TYPES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    **dict.fromkeys((500, 502, 503, 504), "INTERNAL"),
}


def refusal(status: int, kind: str | None = None, headers: Headers | None = None) -> Behaviour:
    """Answer with the service's envelope; without a `kind`, of the type of that status or a new one."""
    kind = kind or USUAL_TYPES.get(status, "SOMETHING_NEW")
    return answer({"code": status, "message": "no", "type": kind, "details": []}, status, headers)


def redirect(status: int, location: str) -> Behaviour:
    return reply(status, b"", {"Location": location})


def chunked(
    *chunks: bytes, headers: Headers | None = None, end: bytes = b"0\r\n\r\n", status: int = 200
) -> Behaviour:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    return raw(head(status, {"Transfer-Encoding": "chunked", **(headers or {})}) + body)


def endless(start: bytes, piece: bytes) -> Behaviour:
    async def behave(peer: Peer, _: Seen) -> None:
        await peer.send(start)
        while True:
            await peer.send(piece)

    return behave


def trickled(text: bytes, *, step: int = 1, pause: float = 1.0) -> Behaviour:
    async def behave(peer: Peer, _: Seen) -> None:
        for start in range(0, len(text), step):
            await peer.send(text[start : start + step])
            await asyncio.sleep(pause)

    return behave


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    async def behave(peer: Peer, seen: Seen) -> None:
        await asyncio.sleep(seconds)
        await behaviour(peer, seen)

    return behave


async def close(peer: Peer, seen: Seen) -> None:
    """The connection ends before a byte of answer."""


async def reset(peer: Peer, seen: Seen) -> None:
    peer.reset()


async def stall(peer: Peer, seen: Seen) -> None:
    """Nothing more, for ever."""
    await asyncio.get_running_loop().create_future()


def persisted_document(seen: Seen) -> dict[str, object]:
    """The record that the request of a create asks for."""
    body = json.loads(seen.body)
    type_ = seen.target.split("?")[0].rsplit("/", 1)[1]
    return {"data": {}, **body, "id": f"{body['from']['id']}.{body['to']['id']}", "type": type_}


async def persisted(peer: Peer, seen: Seen) -> None:
    """The answer that a create hopes for."""
    document = {"status": "PERSISTED", "taskId": "s_done", "relationship": persisted_document(seen)}
    await answer(document, 201)(peer, seen)


def accepted(task: str = "s_1") -> Behaviour:
    return answer({"status": "ACCEPTED", "taskId": task}, 202)


def task(status: str, id: str = "s_1", receipts: object = None) -> Behaviour:
    more = {} if receipts is None else {"receipts": receipts}
    purge = {"collectionType": "resources", "collectionKey": "c"} if id.startswith(("pg_", "purge:")) else {}
    return answer({"status": status, "taskId": id, **purge, **more})


async def nothing_left(peer: Peer, seen: Seen) -> None:
    await reply(599, b"the script is done")(peer, seen)


@define(eq=False)
class Hostile:
    """`before_body` behaviours answer when the head of a request is there, its body still unread."""

    script: deque[Behaviour] = field(factory=deque, converter=deque)
    otherwise: Behaviour = nothing_left
    before_body: bool = False
    mute: bool = False
    """Takes connections and never reads."""
    greeting: bytes = b""
    """What it says before it is asked; then it hangs up."""
    tls: ssl.SSLContext | None = None

    requests: list[Seen] = field(init=False, factory=list)
    connections: int = field(init=False, default=0)
    in_flight: int = field(init=False, default=0)
    most_in_flight: int = field(init=False, default=0)
    _server: asyncio.Server | None = field(init=False, default=None)
    _handlers: set[asyncio.Task[None]] = field(init=False, factory=set)

    def then(self, *behaviours: Behaviour) -> None:
        self.script.extend(behaviours)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def seen(self) -> list[tuple[str, str]]:
        return [(request.method, request.target) for request in self.requests]

    def count(self, method: str, part: str = "") -> int:
        return sum(request.method == method and part in request.target for request in self.requests)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        self.connections += 1
        try:
            await self._serve(Peer(reader, writer, self.connections))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # the server closes; asyncio's streams would log a handler that ends as cancelled
        finally:
            self._handlers.discard(handler)
            writer.close()

    async def _serve(self, peer: Peer) -> None:
        peer.keep = True
        while peer.keep:
            if self.greeting:
                await peer.send(self.greeting)
                return
            if self.mute:
                await asyncio.get_running_loop().create_future()
            seen = await self._head(peer)
            length = int(seen.header("Content-Length") or 0)
            if not self.before_body:
                seen.body = await peer.reader.readexactly(length)
            await self._answer(peer, seen)

    async def _answer(self, peer: Peer, seen: Seen) -> None:
        behaviour = self.script.popleft() if self.script else self.otherwise
        peer.keep = False
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await behaviour(peer, seen)
        finally:
            self.in_flight -= 1

    async def _head(self, peer: Peer) -> Seen:
        text = (await peer.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        seen = Seen(method, target, headers, peer.number, asyncio.get_running_loop().time())
        self.requests.append(seen)
        return seen


def by_target(behaviours: dict[str, Iterable[Behaviour]], otherwise: Behaviour = nothing_left) -> Behaviour:
    """A script for each part of a target: the first part that the target holds decides."""
    scripts = {part: deque(script) for part, script in behaviours.items()}

    async def behave(peer: Peer, seen: Seen) -> None:
        for part, script in scripts.items():
            if part in seen.target or part == seen.method:
                await (script.popleft() if len(script) > 1 else script[0])(peer, seen)
                return
        await otherwise(peer, seen)

    return behave
