"""Calls about sources of the catalog. Only the create is documented, by examples."""

from typing import ClassVar

from attrs import field, frozen

from clinia_async import models
from clinia_async.calls.call import Host, Request, RetrySafety
from clinia_async.calls.catalog_addressing import CatalogCall, Deletion, check_entry
from clinia_async.errors import InvalidWrite
from clinia_async.models import Source, SourceType
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter


def _known_type(value: SourceType | str) -> SourceType:
    if not isinstance(value, str):
        raise InvalidWrite("$.type", "must be a SourceType, such as 'registry'")
    return SourceType(value)


@frozen(eq=False, repr=False, field_transformer=checked)
class CreateSource(CatalogCall):
    """Create a source. Only the type `registry` is supported. May be retried.

    https://docs.clinia.com/explanation/sources/data-source
    """

    route: ClassVar[str] = "/catalog/v1/sources/{key}"
    type: SourceType = field(default=SourceType.REGISTRY, converter=_known_type)

    def request(self) -> Request:
        body = converter.encode(self._document())
        return self.build_request("PUT", body=body)

    def _document(self) -> dict[str, object]:
        return {"type": str(self.type)}

    def decode_response(self, body: bytes) -> Source:
        found = converter.decode(body, Source, {"key": self.key})
        self.check_answer(found.key)
        check_entry(found, body, self._document())
        return found


class GetSource(CatalogCall):
    """Get a source.

    https://docs.clinia.com/explanation/sources/data-source
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/sources/{key}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> Source:
        found = converter.decode(body, Source, {"key": self.key})
        self.check_answer(found.key)
        return found


class DeleteSource(Deletion, CatalogCall):
    """Delete a source with all its records; its partitions become `STATUS_STALE`. May be retried.

    https://docs.clinia.com/explanation/sources/data-source
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/sources/{key}"

    def request(self) -> Request:
        return self.build_request("DELETE")


@frozen(eq=False, repr=False, field_transformer=checked)
class ListSources(EqualByFields):
    """Get a page of sources.

    https://docs.clinia.com/explanation/sources/data-source
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/sources"
    query: str = ""

    def request(self) -> Request:
        return Request("GET", Host.CATALOG, self.route, self.route, self.query)

    def decode_response(self, body: bytes) -> "models.Page[Source]":
        return converter.decode_page(body, Source)
