"""Which requests are let in, by their headers, and how a body is read.

A server on loopback is within reach of every web page that its user has open: names in the Host
header, `Origin`, the key and the content type keep those out.
"""

import asyncio
from hmac import compare_digest

from aiohttp import HttpVersion11, hdrs, web
from attrs import field, frozen
from multidict import istr

from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import KEY_HEADER

_FETCH_SITE = istr("Sec-Fetch-Site")
_JSON = "application/json"


@frozen
class AccessPolicy:
    key: bytes = field(repr=False)
    hosts: frozenset[str]
    """Values of the Host header that are answered, in lower case, port included."""

    def check(self, request: web.BaseRequest) -> None:
        """Check the headers only: the body stays unread. Raises `ApiError`."""
        self.check_origin(request)
        # A missing key costs as much as a wrong one, and gets the same answer.
        given = request.headers.get(KEY_HEADER, "").encode(errors="surrogateescape")
        if not compare_digest(given, self.key):
            raise ApiError("UNAUTHENTICATED", f"a valid {KEY_HEADER} header is needed")

    def check_origin(self, request: web.BaseRequest) -> None:
        """Refuse other names of the host, and requests of web pages."""
        headers = request.headers
        hosts = headers.getall(hdrs.HOST, ())
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise ApiError("INVALID_ARGUMENT", "the emulator is not known by this host name", code=421)
        if hdrs.ORIGIN in headers or headers.get(_FETCH_SITE) == "cross-site":
            raise ApiError("PERMISSION_DENIED", "the emulator does not answer web pages")


async def read_body(request: web.BaseRequest, limit: int, timeout: float) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: it is not JSON by its headers, has more than `limit` bytes, or did not arrive
            within `timeout` seconds.
    """
    headers = request.headers
    is_json = headers.get(hdrs.CONTENT_TYPE) == _JSON or request.content_type == _JSON
    if not is_json or hdrs.CONTENT_ENCODING in headers:
        raise ApiError("INVALID_ARGUMENT", "the body must be application/json, not compressed", code=415)
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.content.is_eof() and request.content.total_bytes <= limit:
        return await request.content.read()
    await _continue(request)
    try:
        async with asyncio.timeout(timeout):
            return await _read(request, limit)
    except TimeoutError:
        raise ApiError(None, f"the body did not arrive within {timeout:g} s", code=408) from None


async def _read(request: web.BaseRequest, limit: int) -> bytes:
    content, chunks, size = request.content, list[bytes](), 0
    while not content.at_eof():
        chunks.append(await content.readany())
        if (size := size + len(chunks[-1])) > limit:
            raise _too_large(limit)
    return b"".join(chunks)


async def _continue(request: web.BaseRequest) -> None:
    """Ask for a body that its client holds back until it is asked."""
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _too_large(limit: int) -> ApiError:
    return ApiError("CONTENT_TOO_LARGE", f"the body is larger than {limit} bytes")
