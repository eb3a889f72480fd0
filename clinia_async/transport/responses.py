"""What came back: a body, an error of the service, or a failure on the way. Nothing of aiohttp's leaves here.

Only the service's own error envelope speaks for the service. Any other page with an error status is an
intermediary's (a proxy, a firewall, a load balancer): it proves nothing about the request.
"""

import os
import re
import socket
import ssl
from http import HTTPStatus
from typing import NamedTuple, Protocol

import aiohttp
from aiohttp.http import HttpProcessingError
from attrs import frozen
from multidict import CIMultiDictProxy, istr

from clinia_async.calls import Request
from clinia_async.errors import (
    ApiError,
    ConnectionFailed,
    ContentTooLarge,
    DecodeError,
    Evidence,
    GatewayError,
    NotFound,
    Outcome,
    PermissionDenied,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RequestTimeout,
    Unauthenticated,
)
from clinia_async.models import ErrorInfo, ErrorType
from clinia_async.serialization import converter
from clinia_async.transport.retry import parse_retry_after

_NOT_CARRIED_OUT = frozenset({411, 413, 414, 429, 431})
"""Statuses that say in themselves that the request was not carried out, from the service or from a proxy."""

_MAY_BE_CARRIED_OUT = frozenset({408, 499})
"""Statuses of 4xx after which the request may have been carried out, though the service says them."""

_UNTYPED = {401: Unauthenticated, 403: PermissionDenied, 404: NotFound, 413: ContentTooLarge}
"""What a status stands for when the envelope does not name its type. A 409 alone is not ALREADY_EXISTS."""

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DONE = b'{"status":"PERSISTED"}'
"""What a 204 to a DELETE says, in the service's own words."""

_LARGEST_ERROR = 64 * 1024

_REQUEST_IDS = (
    istr("X-Request-Id"),
    istr("Request-Id"),
    istr("X-Correlation-Id"),
    istr("X-Amzn-RequestId"),
    istr("X-Amzn-Trace-Id"),
    istr("CF-Ray"),
)
"""Headers that name a request in the logs of those that it passed; the first one found counts."""
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


class Answer(Protocol):
    """As much of `aiohttp.ClientResponse` as is used."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def content(self) -> aiohttp.StreamReader: ...
    async def read(self) -> bytes: ...
    def release(self) -> object: ...
    def close(self) -> None: ...


class Response(NamedTuple):
    """A good answer of the service, as far as its status says."""

    body: bytes
    headers: CIMultiDictProxy[str]
    status: int

    @property
    def request_id(self) -> str | None:
        return request_id_of(self.headers)

    def __repr__(self) -> str:
        return f"<Response of {len(self.body)} bytes>"


def request_id_of(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the id under which the service, or what is before it, logged the request."""
    for name in _REQUEST_IDS:
        found = headers.get(name)
        if found is not None:
            return found if _REQUEST_ID.fullmatch(found) else None
    return None


async def read_response(answer: Answer, request: Request, largest: int) -> Response:
    """Return the body of an answer, inflated.

    Raises:
        RequestError: the status is no success, or the body cannot be read.
    """
    try:
        if not 200 <= answer.status < 300:
            raise await error_of(answer, request)
        body = await _read(answer, largest)
    except RequestError as error:
        error.request_id = request_id_of(answer.headers)
        raise
    if not body and answer.status == HTTPStatus.NO_CONTENT and request.method == "DELETE":
        body = _DONE
    return Response(body.removeprefix(_BYTE_ORDER_MARK), answer.headers, answer.status)


async def _read(answer: Answer, largest: int) -> bytes:
    encoding = answer.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in _ENCODINGS:
        raise ProtocolError("the answer has a Content-Encoding that is not known")
    declared = answer.headers.get("Content-Length")
    if declared is not None and int(declared) > largest:
        raise ProtocolError(f"the answer is larger than {largest} bytes")
    if declared is not None and encoding is None:
        return await answer.read()
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > largest:
            raise ProtocolError(f"the answer is larger than {largest} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def error_of(answer: Answer, request: Request) -> RequestError:
    """Return the error that an answer stands for whose status is no success."""
    status = answer.status
    where = f"{request.method} {request.route}: {status}"
    if status < 200:
        return ProtocolError(f"{where}: a protocol switch that nobody asked for")
    if status < 400:
        # only these two promise that the request was not carried out where it arrived
        proven = status in {HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT}
        return RedirectRefused(
            f"{where}: a redirect is not followed", outcome=Outcome.REJECTED if proven else Outcome.UNKNOWN
        )
    retry_after = parse_retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"))
    info = await _envelope(answer)
    if info is None:
        return _of_intermediary(where, status, retry_after)
    is_refused = (status < 500 and status not in _MAY_BE_CARRIED_OUT) or status == HTTPStatus.NOT_IMPLEMENTED
    kind = ApiError.by_type[info.type] if info.type in ApiError.by_type else _UNTYPED.get(status, ApiError)
    return kind(
        f"{where} {info.type or ''}".rstrip(),
        status=status,
        info=info,
        outcome=Outcome.REJECTED if is_refused else Outcome.UNKNOWN,
        retry_after=retry_after,
    )


def _of_intermediary(where: str, status: int, retry_after: float | None) -> RequestError:
    is_refused = status in _NOT_CARRIED_OUT
    kind = ContentTooLarge if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else GatewayError
    error = kind(
        f"{where}: not an answer of the service, but of a proxy or firewall on the way",
        status=status,
        info=ErrorInfo(),
        outcome=Outcome.REJECTED if is_refused else Outcome.UNKNOWN,
        retry_after=retry_after,
    )
    error.evidence = Evidence.STATUS
    return error


async def _envelope(answer: Answer) -> ErrorInfo | None:
    """The service's account of an error; None for any other text, and for one that was cut short."""
    try:
        body = await _read(answer, _LARGEST_ERROR)
        info = _decoded(body.removeprefix(_BYTE_ORDER_MARK))
    except (aiohttp.ClientError, OSError, ProtocolError):
        return None
    is_typed = info.type is not None and re.fullmatch(r"[A-Z][A-Z0-9_]*", info.type) is not None
    return info if is_typed or (info.code == answer.status and info.message is not None) else None


@frozen
class _Summary:
    """What an error is, without its details."""

    type: ErrorType | None = None
    code: int | None = None
    message: str | None = None


def _decoded(body: bytes) -> ErrorInfo:
    try:
        return converter.decode(body, ErrorInfo)
    except DecodeError:
        summary = converter.decode(body, _Summary)  # details that cannot be read cost the details alone
    return ErrorInfo(summary.type, summary.code, summary.message)


def failure_of(error: Exception, request: Request | None, *, sent: bool, host: str) -> RequestError:
    """Return our own error for a foreign one: host and reason, never the text of the foreign one.

    `request` is None where a connection was all that was asked for.
    """
    where = "" if request is None else f"{request.method} {request.route}: "
    never_left = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not sent
    outcome = Outcome.NOT_SENT if never_left else Outcome.UNKNOWN
    if isinstance(error, TimeoutError):
        reason = f"no connection to {host} in time" if never_left else "no answer in time"
        return RequestTimeout(f"{where}{reason}", outcome=outcome)
    if isinstance(error, _NO_HTTP) and not isinstance(error, aiohttp.ClientHttpProxyError):
        return ProtocolError(f"{where}the answer is not HTTP or was cut short", outcome=outcome)
    is_lasting = isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | aiohttp.InvalidURL)
    failure = ConnectionFailed(
        f"{where}{_reason(error, host)}",
        outcome=outcome,
        transient=not (is_lasting or _is_unknown_host(error)),
    )
    failure.__cause__ = _safe_cause(error)
    return failure


_NO_HTTP = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, HttpProcessingError)
_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)


def _reason(error: Exception, host: str) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy does not connect to {host}: it says {error.status}"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return _tls_reason(error, host)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host name {error.host} does not resolve"
    number = error.errno if isinstance(error, OSError) else None
    words = f": {os.strerror(number)}" if number is not None and number > 0 else ""
    if isinstance(error, aiohttp.ClientConnectorError):
        is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
        return f"cannot connect to {f'the proxy {error.host}:{error.port}' if is_proxy else host}{words}"
    if isinstance(error, _CLOSED):
        return f"the connection to {host} was closed"
    kind = "" if isinstance(error, aiohttp.ClientError | OSError) else f" ({type(error).__name__})"
    return f"the connection to {host} failed{words}{kind}"


def _tls_reason(error: Exception, host: str) -> str:
    if not isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"no TLS connection to {host} can be made"
    problem = getattr(error.certificate_error, "verify_message", "")
    return f"the certificate of {host} is not trusted" + (f": {problem}" if problem else "")


def _is_unknown_host(error: Exception) -> bool:
    if not isinstance(error, aiohttp.ClientConnectorDNSError):
        return False
    return error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _safe_cause(error: Exception) -> OSError | None:
    """The operating system's error behind one of aiohttp's, made anew: without traceback or headers."""
    cause: Exception = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if not isinstance(cause, OSError) or cause.errno is None or isinstance(cause, aiohttp.ClientError):
        return None
    kind = socket.gaierror if isinstance(cause, socket.gaierror) else OSError
    return kind(cause.errno, cause.strerror)
