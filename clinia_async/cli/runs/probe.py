"""One HTTP request without the library's transport, so that what a server says can be seen as it is."""

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPException, parse_headers
from io import BytesIO
from urllib.parse import urlsplit

from attrs import field, frozen

_TIMEOUT = 5.0
_LARGEST = 256 * 1024
_PORTS = {"https": 443, "http": 80}
MOST_REQUESTS = 30


@frozen
class Answer:
    """What came back for one GET. `problem` says in words why nothing did."""

    problem: str | None = None
    status: int = 0
    headers: Mapping[str, str] = field(factory=dict)
    """With lower-case names."""
    body: bytes = field(default=b"", repr=False)
    connected_after: float = 0.0
    """Seconds until there was a connection, with TLS."""
    answered_after: float = 0.0
    """Seconds from the request to the first byte of the answer."""
    sent_at: float = 0.0
    """Of this machine's clock, in seconds since the epoch."""

    @property
    def document(self) -> object:
        """The body, if it is JSON, else None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Prober:
    """Sends GETs, at most `MOST_REQUESTS`, each within 5 seconds; follows no redirect."""

    def __init__(self) -> None:
        self.requests = 0

    async def get(self, origin: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Send one GET, and return what came of it; the headers hold the credential."""
        if self.requests >= MOST_REQUESTS:
            return Answer(f"not asked: {MOST_REQUESTS} requests were sent")
        self.requests += 1
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await _get(origin, path, headers)
        except TimeoutError:
            problem = f"no answer within {_TIMEOUT:.0f} s"
        except ssl.SSLCertVerificationError as error:
            problem = f"its certificate is not accepted: {error.verify_message}"
        except ssl.SSLError:
            problem = "no TLS connection"
        except socket.gaierror:
            problem = "its name does not resolve"
        except (HTTPException, ValueError, EOFError):
            problem = "what it answers is no HTTP"
        except OSError as error:
            problem = os.strerror(error.errno).lower() if error.errno else "no connection"
        return Answer(problem)


async def _get(origin: str, path: str, headers: Mapping[str, str]) -> Answer:
    url, begun = urlsplit(origin), time.perf_counter()
    is_tls = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        url.hostname, url.port or _PORTS[url.scheme], ssl=ssl.create_default_context() if is_tls else None
    )
    try:
        connected, sent_at = time.perf_counter(), time.time()
        lines = [f"GET {url.path}{path} HTTP/1.1", f"Host: {url.netloc}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in {"Accept": "application/json", **headers}.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        first = await reader.read(_LARGEST)
        answered = time.perf_counter()
        status, found, body = _parsed(first + await _rest(reader, len(first)))
        return Answer(None, status, found, body, connected - begun, answered - connected, sent_at)
    finally:
        writer.close()


async def _rest(reader: asyncio.StreamReader, size: int) -> bytes:
    blocks: list[bytes] = []
    while size < _LARGEST and (block := await reader.read(_LARGEST - size)):
        blocks.append(block)
        size += len(block)
    return b"".join(blocks)


def _parsed(text: bytes) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of an answer. Raises `HTTPException`, `ValueError`, `EOFError`."""
    head, end, body = text.partition(b"\r\n\r\n")
    if not end:
        raise EOFError
    line, _, lines = head.partition(b"\r\n")
    version, status, *_ = line.decode("latin-1").split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    fields = parse_headers(BytesIO(lines + b"\r\n\r\n"))
    headers = {name.lower(): value for name, value in fields.items()}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _joined(body)
    return int(status), headers, body


def _joined(body: bytes) -> bytes:
    """The chunks of a body in one piece."""
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            break
        pieces.append(body[:length])
        body = body[length + 2 :]
    return b"".join(pieces)
