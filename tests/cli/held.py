"""A server that holds back its answer until the test lets it go."""

import json
import socket
import threading
from types import TracebackType
from typing import Self

PATIENCE = 30.0


class Held:
    """Answers each request with `status` and `body`, but not before `release` is set."""

    def __init__(self, status: str, body: object) -> None:
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        self._answer = head.encode() + text
        self.arrived, self.release = threading.Event(), threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
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
            while connection.recv(65536):
                self.arrived.set()
                self.release.wait(PATIENCE)
                try:
                    connection.sendall(self._answer)
                except OSError:  # the client has gone
                    return
