"""Servers of odd shapes, each of which answers every request in its own way."""

import json
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from types import TracebackType
from typing import Self

PATIENCE = 30.0
Answer = Callable[[bytes], bytes]
SILENCE = b""


class UnusualServer:
    """Sends what `answer` makes of a request and closes the connection; for `SILENCE` it waits."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
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
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            request = connection.recv(65536)
            self.requests.append(request)
            answer = self._answer(request)
            try:
                if answer == SILENCE:
                    self._over.wait(PATIENCE)
                connection.sendall(answer)
            except OSError:  # the client has gone
                return


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
