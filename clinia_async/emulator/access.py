"""What a request must get past before anything looks at what it asks for.

A server on loopback is within reach of every web page that its user has open: names in the Host
header, `Origin`, the key and the content type keep those out.
"""

from hmac import compare_digest

from aiohttp import hdrs, web
from attrs import field, frozen
from multidict import istr
from orjson import dumps

from clinia_async.emulator.bodies.strict_json import decode
from clinia_async.emulator.errors import ApiError

KEY_HEADER, _FETCH_SITE = istr("X-Clinia-API-Key"), istr("Sec-Fetch-Site")
_JSON = "application/json"
BODY: web.RequestKey[bytes] = web.RequestKey("body", bytes)
"""Where a request keeps the body that was read from it."""


@frozen
class Door:
    key: bytes = field(repr=False)
    hosts: frozenset[str]
    """Values of the Host header that are answered, in lower case, port included."""

    def check(self, request: web.Request) -> None:
        """Looks at headers only: the body stays unread."""
        headers = request.headers
        hosts = headers.getall(hdrs.HOST, ())
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise ApiError("INVALID_ARGUMENT", "the emulator is not known by this host name", code=421)
        if hdrs.ORIGIN in headers or headers.get(_FETCH_SITE) == "cross-site":
            raise ApiError("PERMISSION_DENIED", "the emulator does not answer web pages")
        # A missing key costs as much as a wrong one, and gets the same answer.
        given = headers.get(KEY_HEADER, "").encode(errors="surrogateescape")
        if not compare_digest(given, self.key):
            raise ApiError("UNAUTHENTICATED", f"a valid {KEY_HEADER} header is needed")


async def read_json(request: web.Request, limit: int) -> object:
    """The body, never more than `limit` bytes of it."""
    headers = request.headers
    plain = headers.get(hdrs.CONTENT_TYPE) == _JSON or request.content_type == _JSON
    if not plain or hdrs.CONTENT_ENCODING in headers:
        raise ApiError("INVALID_ARGUMENT", "the body must be application/json, not compressed", code=415)
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    content, chunks, size = request.content, list[bytes](), 0
    while not content.at_eof():
        chunks.append(await content.readany())
        if (size := size + len(chunks[-1])) > limit:
            raise _too_large(limit)
    body = request[BODY] = b"".join(chunks)
    return decode(body)


def answer(document: object, status: int = 200) -> web.Response:
    return web.Response(body=dumps(document), status=status, content_type=_JSON)


def refusal(error: ApiError) -> web.Response:
    return answer(error.envelope(), error.code)


def _too_large(limit: int) -> ApiError:
    return ApiError("CONTENT_TOO_LARGE", f"the body is larger than {limit} bytes")
