"""Calls about partitions of the catalog."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self

from attrs import frozen

from clinia_async import models
from clinia_async.calls.call import Host, Request, RetrySafety
from clinia_async.calls.catalog_addressing import CatalogCall, Deletion, check_entry
from clinia_async.calls.equality import same_definition
from clinia_async.calls.reconciliation import PARTITION_EXISTS_ALREADY, DuplicateErrors
from clinia_async.calls.validation import check_key
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import (
    DataSource,
    Json,
    JsonDocument,
    Mdm,
    Modules,
    OtherSource,
    Partition,
    PartitionStatus,
    Receipt,
)
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter, exact_json
from clinia_async.serialization.documents import read_document
from clinia_async.serialization.foreign_answers import holds_something


def _is_partition(document: Json) -> bool:
    """Whether an answer to a PUT says that a partition was made, and is not one about something else."""
    if any(document.get(name) for name in ("key", "modules", "source")):
        return True
    return str(document.get("status") or "").startswith("STATUS_")


class GetPartition(CatalogCall):
    """Get a partition.

    https://docs.clinia.com/api-reference/partitions/get-a-data-partition
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/partitions/{key}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> Partition:
        """Decode the partition. Raises `ProtocolError` for an answer that holds no definition of one."""
        found = converter.decode(body, Partition, {"key": self.key})
        self.check_answer(found.key)
        document = exact_json.loads(body)
        if isinstance(document, Mapping) and holds_something(document) and not _is_partition(document):
            raise ProtocolError("the answer does not hold a partition")
        return found


@frozen(eq=False, repr=False, field_transformer=checked)
class CreatePartition(CatalogCall):
    """Create a partition: immutable at once, or mutable with `stage`. May be retried.

    https://docs.clinia.com/api-reference/partitions/create-a-data-partition

    What a second PUT of a ready partition answers is not documented: ALREADY_EXISTS and
    FAILED_PRECONDITION are both taken to say that the key is taken.

    Raises:
        InvalidWrite: a key breaks a rule of the API, or a part is of another class.
    """

    retry_safety = RetrySafety.KEYED
    route: ClassVar[str] = "/catalog/v1/partitions/{key}"
    duplicate_errors: ClassVar[DuplicateErrors] = PARTITION_EXISTS_ALREADY
    modules: Modules
    source: DataSource | Mdm | OtherSource
    stage: bool = False
    unknown_fields: Json | None = None
    """Further fields of the definition, sent as they are."""

    def __attrs_post_init__(self) -> None:
        for path, key in _source_keys(self.source):
            check_key(key, f"$.source.{path}")

    @classmethod
    def from_definition(
        cls, key: str, definition: Partition | Json | JsonDocument, *, stage: bool = False
    ) -> Self:
        """Make the call of a partition, or of JSON as the reference page shows it.

        `key` and `status` of the definition, which the service sets, are not sent.

        Raises:
            InvalidWrite: the JSON is not strict, or not of this shape; `path` says where.
        """
        if not isinstance(definition, Partition):
            document = read_document(definition)
            definition = Partition.from_dict({"key": "", **document})
            if isinstance(definition.source, OtherSource):
                raise InvalidWrite("$.source.type", "must be DATA_SOURCE or MDM")
        return cls(
            key, definition.modules, definition.source, stage, unknown_fields=definition.unknown_fields
        )

    def request(self) -> Request:
        known = {"modules": self.modules, "source": self.source}
        body = converter.encode({**known, **(self.unknown_fields or {})})
        query = "stage=true" if self.stage else ""
        return self.build_request("PUT", query, body)

    def decode_response(self, body: bytes) -> Partition:
        """Decode the partition.

        Raises:
            ProtocolError: the answer holds no definition of one, or another one, such as one that was there.
        """
        found = converter.decode(body, Partition, {"key": self.key})
        self.check_answer(found.key)
        document = exact_json.loads(body)
        if isinstance(document, Mapping) and not _is_partition(document):
            raise ProtocolError("the answer does not hold a partition")
        sent = converter.to_json_values({"modules": self.modules, "source": self.source})
        check_entry(found, body, sent)
        if self._is_of_other_stage(found):
            raise ProtocolError("the answer holds a partition of another status than the one that was sent")
        return found

    def _is_of_other_stage(self, found: Partition) -> bool:
        return found.status == (PartitionStatus.READY if self.stage else PartitionStatus.STAGE)

    def readback(self, receipts: Sequence[Receipt] = ()) -> "GetPartition":
        return GetPartition(self.key)

    def reconciled(self, found: object) -> Partition | None:
        if not isinstance(found, Partition):
            return None
        same = same_definition(self.modules, found.modules) and same_definition(self.source, found.source)
        return found if same and not self._is_of_other_stage(found) else None


@frozen(eq=False, repr=False, field_transformer=checked)
class ListPartitions(EqualByFields):
    """Get a page of partitions.

    https://docs.clinia.com/api-reference/partitions/list-the-data-partitions
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/catalog/v1/partitions"
    query: str = ""

    def request(self) -> Request:
        return Request("GET", Host.CATALOG, self.route, self.route, self.query)

    def decode_response(self, body: bytes) -> "models.Page[Partition]":
        return converter.decode_page(body, Partition)


class DeletePartition(Deletion, CatalogCall):
    """Delete a partition. That the call exists is documented, its path is not. May be retried.

    https://docs.clinia.com/explanation/data-model/partitions
    """

    __slots__ = ()

    route: ClassVar[str] = "/catalog/v1/partitions/{key}"

    def request(self) -> Request:
        return self.build_request("DELETE")


def _source_keys(source: DataSource | Mdm | OtherSource) -> Iterator[tuple[str, str]]:
    if isinstance(source, OtherSource):
        return
    if isinstance(source, DataSource):
        yield "key", source.key
        yield from ((f"relationships[{n}]", key) for n, key in enumerate(source.relationships))
    else:
        yield from ((f"sources[{n}]", key) for n, key in enumerate(source.sources))
        for n, connection in enumerate(source.relationships):
            yield f"relationships[{n}].relationshipType", connection.relationship_type
    keys = [collection.key for collection in source.collections]
    yield from ((f"collections[{n}].key", key) for n, key in enumerate(keys))
