"""What came back: a body, an error of the service, or a failure on the way. Nothing of aiohttp's leaves here.

What an answer proves, and whether it is the service's, is decided in `calls.error_answers`.
"""

import os
import socket
import ssl
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Protocol

import aiohttp
from aiohttp import hdrs
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy, istr

from clinia_async.calls import Request
from clinia_async.calls.error_answers import (
    is_of_service,
    statement_of_intermediary,
    statement_of_redirect,
    statement_of_service,
    statement_without_answer,
)
from clinia_async.errors import (
    ApiError,
    ConnectionFailed,
    ContentTooLarge,
    DecodeError,
    GatewayError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RequestTimeout,
    Unauthenticated,
)
from clinia_async.models import ErrorInfo
from clinia_async.models.identifiers import is_visible_ascii
from clinia_async.models.secret import Secret
from clinia_async.models.struct import Struct
from clinia_async.serialization import converter
from clinia_async.transport.connections import SentAlready
from clinia_async.transport.retry import parse_retry_after

_BY_STATUS = {401: Unauthenticated, 403: PermissionDenied, 404: NotFound, 413: ContentTooLarge}
"""What a status stands for where the type is not a known one. A 409 alone is not ALREADY_EXISTS."""

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WITHOUT_BODY: Mapping[int, bytes] = {202: b'{"status":"ACCEPTED"}', 204: b'{"status":"PERSISTED"}'}
"""What an answer to a DELETE that has no body says by its status, in the service's own words."""

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
_LONGEST_REQUEST_ID = 200
_SHORTEST_CREDENTIAL = 8
"""Characters; a shorter one, such as that of a test, stands in many texts by chance."""


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


class Response:
    """A good answer of the service, as far as its status says."""

    def __init__(
        self, body: bytes, headers: CIMultiDictProxy[str], status: int, hidden: Collection[Secret] = ()
    ) -> None:
        self.body = body
        self.headers = headers
        self.status = status
        self._hidden = hidden

    @property
    def request_id(self) -> str | None:
        return request_id_of(self.headers, self._hidden)

    def __repr__(self) -> str:
        return f"<Response of {len(self.body)} bytes>"


def request_id_of(headers: CIMultiDictProxy[str], hidden: Collection[Secret] = ()) -> str | None:
    """Return the id under which the service, or what is before it, logged the request.

    An answer may quote the request anywhere: what holds one of the `hidden` credentials is no id.
    """
    for name in _REQUEST_IDS:
        found = headers.get(name)
        if found is not None:
            is_one = len(found) <= _LONGEST_REQUEST_ID and is_visible_ascii(found)
            return found if is_one and not any(_holds(found, each) for each in hidden) else None
    return None


def _holds(text: str, secret: Secret) -> bool:
    """Whether a text holds a credential, with or without a scheme such as `Bearer`."""
    value = secret.reveal().rpartition(" ")[2]
    return value in text if len(value) >= _SHORTEST_CREDENTIAL else value == text


async def read_response(
    answer: Answer, request: Request, largest: int, hidden: Collection[Secret] = ()
) -> Response:
    """Return the body of an answer, inflated. No `request_id` of it holds one of the `hidden` credentials.

    Raises:
        RequestError: the status is no success, or the body cannot be read.
    """
    try:
        if not 200 <= answer.status < 300:
            raise await error_of(answer, request)
        body = await _read(answer, largest)
    except RequestError as error:
        error.request_id = request_id_of(answer.headers, hidden)
        raise
    if not body and request.method == "DELETE":
        body = _WITHOUT_BODY.get(answer.status, body)
    return Response(body.removeprefix(_BYTE_ORDER_MARK), answer.headers, answer.status, hidden)


async def _read(answer: Answer, largest: int) -> bytes:
    encoding = answer.headers.get(hdrs.CONTENT_ENCODING)
    if encoding is not None and encoding.strip().lower() not in _ENCODINGS:
        raise ProtocolError("the answer has a Content-Encoding that is not known")
    declared = answer.headers.get(hdrs.CONTENT_LENGTH)
    if declared is not None and int(declared) > largest:
        raise ProtocolError(f"the answer is larger than {largest} bytes")
    if (declared is not None and encoding is None) or answer.content.at_eof():
        return await answer.read()  # a hook may have read it before
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
    where = f"{request.method} {request.route}: {_status_in_words(status)}"
    if status < 200:
        return ProtocolError(f"{where}: the answer is a protocol switch that nobody asked for")
    document = await _document(answer)
    if status < 400:
        refused = RedirectRefused(f"{where}: a redirect is not followed")
        return statement_of_redirect(status, document).on(refused)
    retry_after = parse_retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"))
    info = _envelope(answer, document)
    if info is None:
        return _of_intermediary(where, status, retry_after, document)
    known = None if info.type is None else ApiError.by_type.get(info.type)
    kind = known or _BY_STATUS.get(status, ApiError)
    text = f"{request.method} {request.route}: {status} {None if info.type is None else info.type.shown}"
    error = kind(text, status=status, info=info, retry_after=retry_after)
    return statement_of_service(status, info, is_in_parts=request.is_in_parts).on(error)


def _status_in_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _of_intermediary(where: str, status: int, retry_after: float | None, document: object) -> RequestError:
    kind = ContentTooLarge if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else GatewayError
    error = kind(
        f"{where}: not in the format of the service, so perhaps of a proxy or firewall on the way",
        status=status,
        info=ErrorInfo(),
        retry_after=retry_after,
    )
    return statement_of_intermediary(status, document).on(error)


async def _document(answer: Answer) -> object:
    """The JSON of an answer; None for any other text, and for one that was cut short."""
    try:
        body = await _read(answer, _LARGEST_ERROR)
        return converter.parse(body.removeprefix(_BYTE_ORDER_MARK))
    except (aiohttp.ClientError, OSError, ProtocolError):
        return None


def _envelope(answer: Answer, document: object) -> ErrorInfo | None:
    """The service's account of an error; None for anything else."""
    try:
        info = _decoded(document)
    except ProtocolError:
        return None
    names = document if isinstance(document, Mapping) else ()
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return info if is_of_service(answer.status, info, names, kind) else None


def _decoded(document: object) -> ErrorInfo:
    try:
        return converter.structure_answer(document, ErrorInfo, "ErrorInfo")
    except DecodeError:
        if not isinstance(document, Mapping):
            raise
    # details that cannot be read cost the details alone
    return converter.structure_answer({**document, "details": None}, ErrorInfo, "ErrorInfo")


def failure_of(
    error: BaseException, request: Request | None, *, sent: bool, host: str, in_doubt: bool = False
) -> RequestError:
    """Return our own error for a foreign one: host and reason, never the text of the foreign one.

    `request` is None where a connection was all that was asked for. `in_doubt` says that a hook sent it, and
    that no answer says that it was not carried out; the error may then be of a later attempt of the hook.
    """
    where = "" if request is None else f"{request.method} {request.route}: "
    is_unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not sent
    never_left = is_unsent and not in_doubt
    failure = _failure_of(error, where, host, never_left=never_left)
    return statement_without_answer(sent=not never_left).on(failure)


def _failure_of(error: BaseException, where: str, host: str, *, never_left: bool) -> RequestError:
    if isinstance(error, TimeoutError):
        reason = f"no connection to {host} in time" if never_left else "no answer in time"
        timeout = RequestTimeout(f"{where}{reason}")
        if never_left:
            timeout.advice = _CHECK_ADDRESS
        return timeout
    if isinstance(error, _NO_HTTP) and not isinstance(error, aiohttp.ClientHttpProxyError):
        return ProtocolError(f"{where}the answer is not HTTP or was cut short")
    is_lasting = isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | aiohttp.InvalidURL)
    problem = _reason(error, host)
    failure = ConnectionFailed(
        f"{where}{problem.text}",
        transient=not (is_lasting or _is_unknown_host(error)),
    )
    failure.advice = problem.advice
    failure.__cause__ = _safe_cause(error)
    return failure


_NO_HTTP = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, HttpProcessingError)
_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)


class _Reason(Struct):
    """Why there is no connection, and what to do about it."""

    text: str
    advice: str = ConnectionFailed.advice


_CHECK_ADDRESS = "check workspace or base_url, and the network"
_CHECK_PROXY = "check proxy=... or CLINIA_PROXY, and what the proxy lets through"
_CHECK_TLS = "check workspace or base_url, and that no proxy on the way takes the connection"
_CHECK_TRUST = "check workspace or base_url, the clock of this machine, and its certificates: SSL_CERT_FILE"


def _reason(error: BaseException, host: str) -> _Reason:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _Reason(f"the proxy does not connect to {host}: it says {error.status}", _CHECK_PROXY)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return _tls_reason(error, host)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _Reason(f"the host name {error.host} does not resolve", _CHECK_ADDRESS)
    number = error.errno if isinstance(error, OSError) else None
    words = f": {os.strerror(number)}" if number is not None and number > 0 else ""
    if isinstance(error, aiohttp.ClientConnectorError):
        is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
        place = f"the proxy {error.host}:{error.port}" if is_proxy else host
        return _Reason(f"cannot connect to {place}{words}", _CHECK_PROXY if is_proxy else _CHECK_ADDRESS)
    if isinstance(error, _CLOSED):
        return _Reason(f"the connection to {host} was closed")
    kind = "" if isinstance(error, aiohttp.ClientError | OSError) else f" ({type(error).__name__})"
    again = ", and a middleware would have sent it again" if isinstance(error, SentAlready) else ""
    return _Reason(f"the connection to {host} failed{words}{kind}{again}")


def _tls_reason(error: BaseException, host: str) -> _Reason:
    if not isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _Reason(f"no TLS connection to {host} can be made", _CHECK_TLS)
    problem = getattr(error.certificate_error, "verify_message", "")
    text = f"the certificate of {host} is not trusted" + (f": {problem}" if problem else "")
    return _Reason(text, _CHECK_TRUST)


def _is_unknown_host(error: BaseException) -> bool:
    if not isinstance(error, aiohttp.ClientConnectorDNSError):
        return False
    return error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _safe_cause(error: BaseException) -> OSError | None:
    """The operating system's error behind one of aiohttp's, made anew: without traceback or headers."""
    cause: BaseException = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if not isinstance(cause, OSError) or cause.errno is None or isinstance(cause, aiohttp.ClientError):
        return None
    kind = socket.gaierror if isinstance(cause, socket.gaierror) else OSError
    return kind(cause.errno, cause.strerror)
