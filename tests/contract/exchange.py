"""One exchange as it went over the wire."""

from collections.abc import Iterable, Mapping

from attrs import field, frozen

Headers = tuple[tuple[str, str], ...]


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), value) for name, value in pairs)


@frozen(kw_only=True)
class Exchange:
    method: str
    path: str
    """As sent: percent-encoded, without the query and the base URL."""

    status: int
    query: str = ""
    """As sent, without the question mark."""

    request_headers: Headers = field(default=(), converter=_pairs, repr=False)
    request_body: bytes = field(default=b"", repr=False)
    answer_headers: Headers = field(default=(), converter=_pairs, repr=False)
    answer_body: bytes = field(default=b"", repr=False)

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


def media_types(headers: Headers) -> list[str]:
    """Of every Content-Type header, without its parameters."""
    return [value.partition(";")[0].strip().lower() for name, value in headers if name == "content-type"]
