"""Many writes in one request: a bulk, which is not atomic, and a bundle, which is."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import ClassVar

from attrs import Factory, field, frozen

from clinia_async.calls.call import Host, Request, RetrySafety, decode_submission, path_of
from clinia_async.calls.good_answers import refuse_more_than_state
from clinia_async.calls.relationships import CreateRelationship, DeleteRelationship, UpsertRelationship
from clinia_async.calls.resources import CreateResource, DeleteResource, UpsertResource
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import TargetType, TaskSnapshot, TaskSubmission
from clinia_async.models.batch_result import BatchResult
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter

LARGEST_BUNDLE = 500 * 1000
"""Bytes, as documented: 500 KB."""


BatchWrite = (
    CreateRelationship
    | UpsertRelationship
    | DeleteRelationship
    | CreateResource
    | UpsertResource
    | DeleteResource
)
"""A write that can be an operation of a bulk or a bundle."""


def _each_a_write(writes: object) -> tuple[BatchWrite, ...]:
    if not isinstance(writes, Iterable) or isinstance(writes, str | bytes | bytearray | Mapping | Set):
        raise InvalidWrite("$.operations", "must be a list of writes")
    found = tuple(writes)
    for index, write in enumerate(found):
        if not isinstance(write, BatchWrite):
            raise InvalidWrite(
                f"$.operations[{index}]",
                "must be a create, an upsert or a delete: nothing else can be part of a bulk or a bundle",
            )
    return found


def _encoded(writes: Sequence[BatchWrite]) -> list[bytes]:
    return [_operation(index, write) for index, write in enumerate(writes)]


def _operation(index: int, write: BatchWrite) -> bytes:
    try:
        return write.operation()
    except InvalidWrite as error:
        path, rule = f"$.operations[{index}]{error.path.removeprefix('$')}", error.rule
    raise InvalidWrite(path, rule)


def _retry_safety(writes: Sequence[BatchWrite]) -> RetrySafety:
    kinds = {write.retry_safety for write in writes}
    if RetrySafety.ONCE in kinds:
        return RetrySafety.ONCE
    return RetrySafety.KEYED if RetrySafety.KEYED in kinds else RetrySafety.IDEMPOTENT


@frozen(eq=False, repr=False, field_transformer=checked)
class Bulk(EqualByFields):
    """Creates, upserts and deletes of relationships or of resources, carried out in the order given.

    A bulk is not atomic: some operations may fail while others are stored. It may be retried only if the
    key of every write is known before sending (`retry_safety`).

    Raises:
        InvalidWrite: the writes are empty, of mixed targets or sources, or two of them write one record.

    https://docs.clinia.com/api-reference/bulk/bulk-create-upsert-or-delete-resources

    The path for relationships follows from its siblings' pages and is not itself documented.
    """

    route: ClassVar[str] = "/sources/{source}/v1/{collection}/bulk"
    task_kind: ClassVar[TaskKind] = TaskKind.BULK
    source: str = field(validator=validated_by(check_key, "$.source"))
    writes: Sequence[BatchWrite] = field(
        converter=_each_a_write, repr=lambda writes: f"<{len(writes)} writes>"
    )
    # for pyright a default by decorator is none
    operations: Sequence[bytes] = field(
        default=Factory(lambda bulk: _encoded(bulk.writes), takes_self=True), repr=False, kw_only=True
    )
    """The encoded writes in the same order; given by a caller that has encoded them already."""

    def __attrs_post_init__(self) -> None:
        if not self.writes:
            raise InvalidWrite("$.operations", "must not be empty")
        if len({write.target for write in self.writes}) > 1:
            raise InvalidWrite("$.operations", "must be all of relationships or all of resources")
        _check_sources(self.source, self.writes)
        _check_once(self.writes, [(write.type, write.id, write.action) for write in self.writes])

    @property
    def retry_safety(self) -> RetrySafety:
        return _retry_safety(self.writes)

    @property
    def target(self) -> TargetType:
        """Whether the writes are of relationships or of resources."""
        return self.writes[0].target

    def request(self) -> Request:
        return _bulk_request(self.source, self.target, self.operations)

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body)

    def result(self, submission: TaskSubmission) -> BatchResult:
        """Return the result of a PERSISTED answer: everything is stored, and there are no receipts."""
        return BatchResult((), self.writes)


@frozen(eq=False, repr=False)
class EncodedBulk(EqualByFields):
    """A bulk whose operations the caller has checked and encoded; its result holds the receipts only.

    The caller also sets `retry_safety`, and makes sure that no two operations write the same record.
    """

    route: ClassVar[str] = Bulk.route
    task_kind: ClassVar[TaskKind] = TaskKind.BULK
    source: str
    target: TargetType
    operations: Sequence[bytes] = field(repr=False)
    """Each holds one operation, or several with commas between them."""
    retry_safety: RetrySafety = RetrySafety.KEYED

    def request(self) -> Request:
        return _bulk_request(self.source, self.target, self.operations)

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body)

    def result(self, submission: TaskSubmission) -> BatchResult:
        """Return the result of a PERSISTED answer: everything is stored, and there are no receipts."""
        return BatchResult(())


def _bulk_request(source: str, target: TargetType, operations: Sequence[bytes]) -> Request:
    collection = "resources" if target == TargetType.RESOURCE else "relationships"
    path = path_of(Bulk.route, source=source, collection=collection)
    body = b'{"operations":[%b]}' % b",".join(operations)
    return Request("POST", Host.REGISTRY, Bulk.route, path, body=body, is_in_parts=True)


@frozen(eq=False, repr=False, field_transformer=checked)
class Bundle(EqualByFields):
    """Writes of resources and relationships that are stored all or none.

    The service carries out the resource operations first, then the relationship operations, each in the
    order given.

    A resource may be created with the id `@rootId`, `@rootId1`, ...; the token then stands for the id
    that the service makes, in `reference` properties and in the ends of relationships of the bundle.
    At most one operation a record, and 500 KB in all. It may be retried only if the key of every write is
    known before sending (`retry_safety`).

    Raises:
        InvalidWrite: no writes, two writes of one record, a token used twice, or more than 500 KB.

    https://docs.clinia.com/api-reference/bundle/bundle-resource-and-relationship-operations-to-be-processed
    """

    route: ClassVar[str] = "/sources/{source}/v1/bundle"
    task_kind: ClassVar[TaskKind] = TaskKind.BUNDLE
    source: str = field(validator=validated_by(check_key, "$.source"))
    writes: Sequence[BatchWrite] = field(
        converter=_each_a_write, repr=lambda writes: f"<{len(writes)} writes>"
    )
    operations: Sequence[bytes] = field(repr=False, init=False)

    def __attrs_post_init__(self) -> None:
        if not self.writes:
            raise InvalidWrite("$.operations", "must not be empty")
        _check_sources(self.source, self.writes)
        _check_once(self.writes, [(write.target, write.type, write.id) for write in self.writes])
        _check_tokens(self.writes)
        if len(self.request().body or b"") > LARGEST_BUNDLE:
            raise InvalidWrite("$", f"must not be larger than {LARGEST_BUNDLE} bytes in all")

    @operations.default
    def _default(self) -> Sequence[bytes]:
        return _encoded(self.writes)

    @property
    def retry_safety(self) -> RetrySafety:
        return _retry_safety(self.writes)

    def request(self) -> Request:
        body = b'{"resourceOperations":[%b],"relationshipOperations":[%b]}' % (
            self._operations_on(TargetType.RESOURCE),
            self._operations_on(TargetType.RELATIONSHIP),
        )
        return Request("POST", Host.REGISTRY, self.route, path_of(self.route, source=self.source), body=body)

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body)

    def result(self, submission: TaskSubmission) -> BatchResult:
        """Return the result of a PERSISTED answer: everything is stored, and there are no receipts."""
        return BatchResult((), self.writes)

    def _operations_on(self, target: TargetType) -> bytes:
        pairs = zip(self.writes, self.operations, strict=True)
        return b",".join(operation for write, operation in pairs if write.target == target)


def _check_sources(source: str, writes: Sequence[BatchWrite]) -> None:
    for index, write in enumerate(writes):
        if write.source != source:
            raise InvalidWrite(f"$.operations[{index}]", "must belong to the same source")


def _check_once(writes: Sequence[BatchWrite], keys: Sequence[tuple[object, ...]]) -> None:
    """Refuse two writes of one record: receipts are matched by key, so theirs could not be distinguished."""
    seen: set[tuple[object, ...]] = set()
    for index, (write, key) in enumerate(zip(writes, keys, strict=True)):
        if write.id is not None and key in seen:
            raise InvalidWrite(f"$.operations[{index}]", "must not write what is already written here")
        seen.add(key)


def _check_tokens(writes: Sequence[BatchWrite]) -> None:
    """Refuse a token (`@rootId1`) that two creates of the bundle share."""
    seen: set[str] = set()
    for index, write in enumerate(writes):
        token = write.given_id if isinstance(write, CreateResource) and write.id is None else None
        if token in seen:
            raise InvalidWrite(f"$.operations[{index}]", "must not use a token that is used already")
        if token is not None:
            seen.add(token)


@frozen(eq=False, repr=False, field_transformer=checked)
class GetBulkResult(EqualByFields):
    """Get the state of a bulk from the endpoint for deprecated bare ids. The answer has no task id.

    https://docs.clinia.com/api-reference/bulk/get-the-result-of-a-bulk-resource-request
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/{collection}/bulk/{bulk}"
    source: str = field(validator=validated_by(check_key, "$.source"))
    target: TargetType = field()
    bulk: TaskId
    with_receipts: bool = False

    @target.validator
    def _in_bulks(self, _: object, target: object) -> None:
        if not isinstance(target, str) or target not in {TargetType.RESOURCE, TargetType.RELATIONSHIP}:
            raise InvalidWrite("$.target", "must be RESOURCE or RELATIONSHIP")

    def request(self) -> Request:
        collection = "resources" if self.target == TargetType.RESOURCE else "relationships"
        path = path_of(self.route, source=self.source, collection=collection, bulk=str(self.bulk))
        query = "withReceipts=true" if self.with_receipts else ""
        return Request("GET", Host.REGISTRY, self.route, path, query)

    def decode_response(self, body: bytes) -> TaskSnapshot:
        """Decode the state. Raises `ProtocolError` for an answer that is about something else."""
        snapshot = converter.decode(body, TaskSnapshot)
        if snapshot.task_id is None:
            refuse_more_than_state(snapshot, may_have={"bulkId"})
        elif not (self.bulk.names(snapshot.task_id) or snapshot.task_id.names(self.bulk)):
            raise ProtocolError("the answer is about another task")
        return snapshot
