"""What a call is about, and so where it goes: an entry of the catalog or of a source."""

from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import Host, Repeat, Request, path_of
from clinia_async.calls.validation import check_key, checked
from clinia_async.errors import ApiError, NotFound, ProtocolError


@frozen
class InCatalog:
    route: ClassVar[str]
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    key: str = field(validator=checked(check_key, "$.key"))

    def to(self, method: str, query: str = "", body: bytes | None = None) -> Request:
        return Request(method, Host.CATALOG, self.route, path_of(self.route, key=self.key), query, body)

    def check_answer(self, key: str | None) -> None:
        _check_key(key, self.key)


@frozen
class InSource:
    route: ClassVar[str]
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))

    def to(self, method: str, body: bytes | None = None) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        return Request(method, Host.REGISTRY, self.route, path, body=body)

    def check_answer(self, key: str | None) -> None:
        _check_key(key, self.key)


def _check_key(found: str | None, asked: str) -> None:
    """The key is not in every answer; another one is an answer about something else."""
    if found not in {None, asked}:
        raise ProtocolError("the answer is about another key")


class Deletion:
    """A delete that is answered at once, and without a word about what is gone."""

    __slots__ = ()

    def answer(self, body: bytes) -> None:
        return None

    def is_gone(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)
