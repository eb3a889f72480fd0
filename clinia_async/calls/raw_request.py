"""A request to an endpoint that has no call of its own."""

import re
from typing import ClassVar
from urllib.parse import urlencode

from attrs import field, frozen

from clinia_async.calls.call import Host, Request, RetrySafety
from clinia_async.errors import InvalidWrite
from clinia_async.models.value import EqualByFields
from clinia_async.serialization import exact_json
from clinia_async.serialization.exact_json import can_be_written, is_unicode

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'(*+),;=:@-]|%[0-9A-Fa-f]{2})+)+/?", re.ASCII)


@frozen(eq=False, repr=False)
class RawRequest(EqualByFields):
    """A request as its method, its path and its JSON say it; the answer is its JSON, or None for no body.

    GET, PUT and DELETE are retried. Any other method is sent once, unless `idempotent` says that
    sending it twice does what sending it once does.

    Raises:
        InvalidWrite: the method, the path or the parameters are none of HTTP, or the body is no JSON.
    """

    route: ClassVar[str] = "/{path}"
    """What stands for the path in logs and error texts: a path may hold ids."""

    method: str
    path: str = field(repr=False)
    json: object = field(default=None, repr=False)
    params: object = field(default=None, repr=False)
    host: Host = Host.REGISTRY
    idempotent: bool | None = None

    def __attrs_post_init__(self) -> None:
        if self.method not in tuple(_METHODS):
            raise InvalidWrite("$.method", f"must be one of {', '.join(sorted(_METHODS))}")
        path: object = self.path
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise InvalidWrite("$.path", "must begin with `/`, be percent-encoded, and have no query")
        if {".", ".."} & set(self.path.replace("%2e", ".").replace("%2E", ".").split("/")):
            raise InvalidWrite("$.path", "must have no segment of dots")
        if self.json is not None and self.method == "GET":
            raise InvalidWrite("$.json", "must be left out: a GET has no body")

        if self.idempotent is not None and not isinstance(self.idempotent, bool):
            raise InvalidWrite("$.idempotent", "must be True, False or None")

    @property
    def retry_safety(self) -> RetrySafety:
        may_repeat = self.method in _IDEMPOTENT if self.idempotent is None else self.idempotent
        return RetrySafety.IDEMPOTENT if may_repeat else RetrySafety.ONCE

    def request(self) -> Request:
        body = None if self.json is None else exact_json.dumps(self.json, "$.json")
        return Request(self.method, self.host, self.route, self.path, self._query(), body, is_raw=True)

    def decode_response(self, body: bytes) -> object:
        return exact_json.loads(body) if body else None

    def _query(self) -> str:
        if self.params is None:
            return ""
        pairs = dict(self.params) if hasattr(self.params, "keys") else None  # type: ignore[call-overload]
        if pairs is None or not all(map(_is_plain, (*pairs, *pairs.values()))):
            raise InvalidWrite("$.params", "must be a mapping of names to texts and whole numbers")
        return urlencode(pairs)


def _is_plain(value: object) -> bool:
    return is_unicode(value) if isinstance(value, str) else isinstance(value, int) and can_be_written(value)
