"""Calls about partitions of the catalog."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.addressing import CatalogCall, Deletion
from clinia_async.calls.call import Host, Request, RetrySafety
from clinia_async.calls.reconciliation import PARTITION_EXISTS_ALREADY, DuplicateErrors, same_json
from clinia_async.calls.validation import check_key
from clinia_async.errors import InvalidWrite
from clinia_async.models import DataSource, Mdm, Modules, Page, Partition, Receipt
from clinia_async.serialization import converter, exact_json


class GetPartition(CatalogCall):
    """Get a partition.

    https://docs.clinia.com/api-reference/partitions/get-a-data-partition
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/partitions/{key}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> Partition:
        found = converter.decode(body, Partition)
        self.check_answer(found.key)
        return found


@frozen
class CreatePartition(CatalogCall):
    """Create a partition: immutable at once, or mutable with `stage`. May be retried.

    https://docs.clinia.com/api-reference/partitions/create-a-data-partition

    What a second PUT of a ready partition answers is not documented: ALREADY_EXISTS and
    FAILED_PRECONDITION are both taken to say that the key is taken.

    Raises:
        InvalidWrite: a key breaks a rule of the API, or a part is of another class.
    """

    retry_safety: ClassVar[RetrySafety] = RetrySafety.KEYED
    route: ClassVar[str] = "/catalog/v1/partitions/{key}"
    duplicate_errors: ClassVar[DuplicateErrors] = PARTITION_EXISTS_ALREADY
    modules: Modules = field()
    source: DataSource | Mdm = field()
    stage: bool = False

    @modules.validator
    def _known(self, _: object, modules: Modules) -> None:
        if not isinstance(modules, Modules):
            raise InvalidWrite("$.modules", "must be Modules")

    @source.validator
    def _keys(self, _: object, source: DataSource | Mdm) -> None:
        if not isinstance(source, DataSource | Mdm):
            raise InvalidWrite("$.source", "must be a DataSource or an Mdm")
        for path, key in _source_keys(source):
            check_key(key, f"$.source.{path}")

    def request(self) -> Request:
        body = converter.encode({"modules": self.modules, "source": self.source})
        query = "stage=true" if self.stage else ""
        return self.build_request("PUT", query, body)

    def decode_response(self, body: bytes) -> Partition:
        found = converter.decode(body, Partition)
        self.check_answer(found.key)
        return found

    def readback(self, receipts: Sequence[Receipt] = ()) -> "GetPartition":
        return GetPartition(self.key)

    def reconciled(self, found: object) -> Partition | None:
        if not isinstance(found, Partition):
            return None
        same = found.modules == self.modules and same_json(
            exact_json.loads(converter.encode(self.source)), exact_json.loads(converter.encode(found.source))
        )
        return found if same else None


@frozen
class ListPartitions:
    """Get a page of partitions.

    https://docs.clinia.com/api-reference/partitions/list-the-data-partitions
    """

    retry_safety: ClassVar[RetrySafety] = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/partitions"
    query: str = ""

    def request(self) -> Request:
        return Request("GET", Host.CATALOG, self.route, self.route, self.query)

    def decode_response(self, body: bytes) -> Page[Partition]:
        return converter.decode_page(body, Partition)


class DeletePartition(Deletion, CatalogCall):
    """Delete a partition. That the call exists is documented, its path is not. May be retried.

    https://docs.clinia.com/explanation/data-model/partitions
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/partitions/{key}"

    def request(self) -> Request:
        return self.build_request("DELETE")


def _source_keys(source: DataSource | Mdm) -> Iterator[tuple[str, str]]:
    if isinstance(source, DataSource):
        yield "key", source.key
        yield from ((f"relationships[{n}]", key) for n, key in enumerate(source.relationships))
    else:
        yield from ((f"sources[{n}]", key) for n, key in enumerate(source.sources))
        for n, connection in enumerate(source.relationships):
            yield f"relationships[{n}].relationshipType", getattr(connection, "relationship_type", "")
    keys = [getattr(collection, "key", "") for collection in source.collections]
    yield from ((f"collections[{n}].key", key) for n, key in enumerate(keys))
