"""Sources of the catalog. Their pages were not to be had: only the create is documented, by examples."""

from typing import ClassVar

from attrs import frozen

from clinia_async.calls.call import Host, Repeat, Request
from clinia_async.calls.entries import Deletion, InCatalog
from clinia_async.models import Page, Source, SourceType
from clinia_async.serialization import converter as codec


@frozen
class CreateSource(InCatalog):
    """May be repeated. Only the type `registry` is supported.

    https://docs.clinia.com/explanation/sources/data-source
    """

    route: ClassVar[str] = "/catalog/v1/sources/{key}"
    type: SourceType = SourceType.REGISTRY

    def request(self) -> Request:
        body = codec.encode({"type": str(self.type)})
        return self.to("PUT", body=body)

    def answer(self, body: bytes) -> Source:
        found = codec.decode(body, Source)
        self.check_answer(found.key)
        return found


class GetSource(InCatalog):
    """https://docs.clinia.com/explanation/sources/data-source"""

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/sources/{key}"

    def request(self) -> Request:
        return self.to("GET")

    def answer(self, body: bytes) -> Source:
        found = codec.decode(body, Source)
        self.check_answer(found.key)
        return found


class DeleteSource(Deletion, InCatalog):
    """Deletes a source with all its records; its partitions become `STATUS_STALE`.

    https://docs.clinia.com/explanation/sources/data-source
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/sources/{key}"

    def request(self) -> Request:
        return self.to("DELETE")


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
