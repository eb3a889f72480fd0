"""Sources of the catalog. Their pages were not to be had: only the create is documented, by examples."""

from typing import ClassVar

from attrs import field, frozen

from clinia_async import codec
from clinia_async.calls.call import Host, Repeat, Request, path_of
from clinia_async.calls.checks import check_key, checked
from clinia_async.errors import ApiError, NotFound, ProtocolError
from clinia_async.models import Page, Source, SourceType


@frozen
class CreateSource:
    """May be repeated. Only the type `registry` is supported.

    https://docs.clinia.com/explanation/sources/data-source
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/sources/{key}"
    key: str = field(validator=checked(check_key, "$.key"))
    type: SourceType = SourceType.REGISTRY

    def request(self) -> Request:
        body = codec.encode({"type": str(self.type)})
        return Request("PUT", Host.CATALOG, self.route, path_of(self.route, key=self.key), body=body)

    def answer(self, body: bytes) -> Source:
        return _of_key(codec.decode(body, Source), self.key)


@frozen
class GetSource:
    """https://docs.clinia.com/explanation/sources/data-source"""

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/sources/{key}"
    key: str = field(validator=checked(check_key, "$.key"))

    def request(self) -> Request:
        return Request("GET", Host.CATALOG, self.route, path_of(self.route, key=self.key))

    def answer(self, body: bytes) -> Source:
        return _of_key(codec.decode(body, Source), self.key)


@frozen
class DeleteSource:
    """Deletes a source with all its records; its partitions become `STATUS_STALE`.

    https://docs.clinia.com/explanation/sources/data-source
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/sources/{key}"
    key: str = field(validator=checked(check_key, "$.key"))

    def request(self) -> Request:
        return Request("DELETE", Host.CATALOG, self.route, path_of(self.route, key=self.key))

    def answer(self, body: bytes) -> None:
        return None

    def is_gone(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)


@frozen
class ListSources:
    """https://docs.clinia.com/explanation/sources/data-source"""

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/sources"
    query: str = ""

    def request(self) -> Request:
        return Request("GET", Host.CATALOG, self.route, self.route, self.query)

    def answer(self, body: bytes) -> Page[Source]:
        return codec.decode_page(body, Source)


def _of_key(source: Source, key: str) -> Source:
    if source.key != key:
        raise ProtocolError("the answer is about another source")
    return source
