"""Servers of the tests' own: one that answers in its own way, or not before it may, and a proxy."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.patience import PATIENCE

Answer = Callable[[bytes], bytes]
SILENCE = b""
CERTIFICATES = Path(__file__).parent.parent / "matrix" / "certificates"


class _Listening:
    """Serves each connection in a thread of its own, until the end of the block."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._served, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _served(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client has gone
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError


class UnusualServer(_Listening):
    """Sends what `answer` makes of a request, and closes the connection; for `SILENCE` it waits.

    Args:
        is_held: no answer goes out before `release` is set.
        certificate: the name of the one that it shows; it speaks TLS then.
    """

    def __init__(self, answer: Answer, *, is_held: bool = False, certificate: str | None = None) -> None:
        super().__init__()
        self._answer = answer
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
            self.url = f"https://127.0.0.1:{self.port}"
        self._over = threading.Event()
        self.arrived, self.release = threading.Event(), threading.Event()
        if not is_held:
            self.release.set()
        self.requests: list[bytes] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._over.set()
        super().__exit__(kind, error, trace)

    def serve(self, connection: socket.socket) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            request = connection.recv(65536)
            if not request:
                return
            self.requests.append(request)
            self.arrived.set()
            self.release.wait(PATIENCE)
            answer = self._answer(request)
            if answer == SILENCE:
                self._over.wait(PATIENCE)
            connection.sendall(answer)


class Proxy(_Listening):
    """An HTTP proxy: passes on what is asked for, or a tunnel for CONNECT; or refuses with `status`."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self._status = status
        self.requests: list[bytes] = []
        """The heads of the requests to the proxy itself."""

    def serve(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            head, _, _ = request.partition(b"\r\n\r\n")
            self.requests.append(head)
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            if self._status != 200:
                connection.sendall(reply(f"{self._status} No", b"no", "text/plain"))
            elif method == b"CONNECT":
                self._tunnel(connection, target.decode())
                return
            else:
                url = urlsplit(target.decode())
                path = target.decode().partition(url.netloc)[2]
                self._pass_on(connection, url.netloc, request.replace(target, path.encode(), 1))

    def _tunnel(self, connection: socket.socket, target: str) -> None:
        with _connected(target) as upstream:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            thread = threading.Thread(target=_copy, args=(connection, upstream))
            thread.start()
            _copy(upstream, connection)
            thread.join(PATIENCE)

    def _pass_on(self, connection: socket.socket, target: str, request: bytes) -> None:
        """One request and its answer, over a connection of its own."""
        with _connected(target) as upstream:
            upstream.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            head, _, body = request.partition(b"\r\n\r\n")
            left = _length(head) - len(body)
            while left > 0 and (block := connection.recv(65536)):
                upstream.sendall(block)
                left -= len(block)
            _copy(upstream, connection, is_end=False)


def _connected(target: str) -> socket.socket:
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


def _copy(source: socket.socket, target: socket.socket, *, is_end: bool = True) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    if is_end:
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def reply(status: str, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    fields = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def envelope(status: int, type_: str, **more: object) -> bytes:
    return reply(f"{status} Error", json.dumps({"type": type_, "message": "m", **more}).encode())


def date(seconds: float) -> str:
    """A Date header of a clock that is so far ahead."""
    return formatdate(time.time() + seconds, usegmt=True)


def service(request: bytes, **headers: str) -> bytes:
    """What a usual service answers to the doctor's questions."""
    fields = {"Date": date(0), **headers}
    if b"/catalog/" in request:
        return reply("200 OK", b'{"data": [], "meta": {}}', **fields)
    if b"/pipeline" in request:
        return reply("200 OK", b'{"id": "p.1", "steps": [{"type": "VECTORIZER"}]}', **fields)
    return reply("404 Not Found", b'{"type": "NOT_FOUND", "message": "m", "details": []}', **fields)
