"""What came back: a body, a refusal, or a failure on the way. Nothing of aiohttp's gets out of here."""

import ssl
from http import HTTPStatus
from typing import Protocol

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy

from clinia_async.calls import Request
from clinia_async.errors import (
    TRANSIENT_STATUSES,
    ApiError,
    ConnectionFailed,
    ContentTooLarge,
    DecodeError,
    NotFound,
    Outcome,
    PermissionDenied,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RequestTimeout,
    Unauthenticated,
)
from clinia_async.models import ErrorInfo
from clinia_async.serialization import converter
from clinia_async.transport.retry import parse_retry_after

_REFUSALS = frozenset(
    {400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 414, 415, 417, 422, 425, 428, 429, 431, 451}
)
"""Statuses that say in themselves that the request was not carried out."""

_UNTYPED = {401: Unauthenticated, 403: PermissionDenied, 404: NotFound, 413: ContentTooLarge}
"""What a status stands for when an answer does not name its type. A 409 alone is not ALREADY_EXISTS."""

_LARGEST_ERROR = 64 * 1024


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


async def read(response: Answer, most: int) -> bytes:
    """The body, after inflation."""
    declared = response.headers.get("Content-Length")
    if declared is not None and int(declared) > most:
        raise ProtocolError(f"the answer is larger than {most} bytes")
    if declared is not None and "Content-Encoding" not in response.headers:
        return await response.read()
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > most:
            raise ProtocolError(f"the answer is larger than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def refusal(response: Answer, request: Request) -> RequestError:
    status = response.status
    where = f"{request.method} {request.route}: {status}"
    if status < 400:
        # only these two promise that the request was not carried out where it arrived
        proven = status in {HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT}
        return RedirectRefused(
            f"{where}: a redirect is not followed", outcome=Outcome.REJECTED if proven else Outcome.UNKNOWN
        )
    outcome = Outcome.REJECTED if status in _REFUSALS else Outcome.UNKNOWN
    info = await _error_info(response)
    if info is None and status not in _UNTYPED and status not in TRANSIENT_STATUSES:
        return ProtocolError(f"{where}: cut short before it said why", outcome=outcome)
    info = info or ErrorInfo()
    kind = ApiError.by_type[info.type] if info.type in ApiError.by_type else _UNTYPED.get(status, ApiError)
    return kind(
        f"{where} {info.type or ''}".rstrip(),
        status=status,
        info=info,
        outcome=outcome,
        retry_after=parse_retry_after(response.headers.get("Retry-After"), response.headers.get("Date")),
    )


async def _error_info(response: Answer) -> ErrorInfo | None:
    """The envelope, empty if the answer is none; None if the answer was cut short, so that it may be one."""
    try:
        body = await read(response, _LARGEST_ERROR)
    except (aiohttp.ClientError, OSError):
        return None
    except ProtocolError:
        return ErrorInfo()
    try:
        return converter.decode(body, ErrorInfo)
    except DecodeError:
        return ErrorInfo()


def failure_of(error: Exception, request: Request, *, sent: bool) -> RequestError:
    """Our own error for a foreign one: its class and number, never its words."""
    where = f"{request.method} {request.route}"
    never_left = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not sent
    outcome = Outcome.NOT_SENT if never_left else Outcome.UNKNOWN
    if isinstance(error, TimeoutError):
        return RequestTimeout(f"{where}: no answer in time", outcome=outcome)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError | HttpProcessingError):
        return ProtocolError(f"{where}: the answer is not HTTP or was cut short", outcome=outcome)
    number = f" {error.errno}" if isinstance(error, OSError) and error.errno else ""
    return ConnectionFailed(
        f"{where}: {type(error).__name__}{number}",
        outcome=outcome,
        passing=not isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | aiohttp.InvalidURL),
    )
