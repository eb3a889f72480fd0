"""Relationships: one, or many in a bulk."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from attrs import field, frozen

from clinia_async import codec, strict_json
from clinia_async.calls.call import Host, Read, Repeat, Request, path_of, submission_answer
from clinia_async.calls.checks import check_data, check_end, check_key, check_meta, checked
from clinia_async.calls.comparison import same_json, same_meta
from clinia_async.errors import ApiError, InvalidWrite, ProtocolError
from clinia_async.keys import is_record_id
from clinia_async.models import (
    ErrorType,
    Json,
    Meta,
    Ref,
    Relationship,
    SubmissionStatus,
    TaskSubmission,
)
from clinia_async.strict_json import RawJson


def relationship_id(from_: Ref, to: Ref) -> str:
    return f"{from_.id}.{to.id}"


@frozen
class GetRelationship:
    """https://docs.clinia.com/api-reference/relationships/get-a-relationship-from-the-registry

    `id` is `{from.id}.{to.id}`, or an identifier in the notation `{system}:{value}:{use}`.
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/relationships/{type}/{id}"
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False)

    @id.validator
    def _addressable(self, _: object, value: object) -> None:
        if not is_record_id(value):
            raise InvalidWrite("$.id", "must be `{from.id}.{to.id}` or `{system}:{value}:{use}`")

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request("GET", Host.REGISTRY, self.route, path)

    def answer(self, body: bytes) -> Relationship:
        return codec.decode(body, Relationship)


@frozen
class CreateRelationship:
    """A relationship to create. Its id will be `{from_.id}.{to.id}`, so it is known before sending.

    https://docs.clinia.com/api-reference/relationships/create-a-relationship-between-two-resources-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.KEYED
    route: ClassVar[str] = "/sources/{source}/v1/relationships/{type}"
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    from_: Ref = field(validator=checked(check_end, "$.from"))
    to: Ref = field(validator=checked(check_end, "$.to"))
    data: Json | RawJson | None = field(default=None, repr=False, validator=checked(check_data, "$.data"))
    meta: Meta | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        check_meta(self.meta, "$.meta")

    @property
    def id(self) -> str:
        return relationship_id(self.from_, self.to)

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, type=self.type)
        return Request("POST", Host.REGISTRY, self.route, path, body=codec.encode(self._body()))

    def line(self) -> bytes:
        """This write as one line of NDJSON, without its source."""
        return codec.encode({"type": self.type, **self._body()})

    def operation(self) -> bytes:
        """This write as one operation of a bulk."""
        return b'{"action":"CREATE","create":' + self.line() + b"}"

    def answer(self, body: bytes) -> TaskSubmission:
        submission = submission_answer(body)
        found = submission.relationship
        if submission.status is SubmissionStatus.PERSISTED and (found is None or not self.is_about(found)):
            raise ProtocolError("the answer does not hold the relationship that was sent")
        return submission

    def is_taken(self, error: ApiError) -> bool:
        return error.type == ErrorType.ALREADY_EXISTS

    def readback(self) -> GetRelationship:
        return GetRelationship(self.source, self.type, self.id)

    def is_about(self, found: Relationship) -> bool:
        """Whether `found` joins the same two ends: the guard against an answer for somebody else."""
        return (found.id, found.type, found.from_, found.to) == (self.id, self.type, self.from_, self.to)

    def equals(self, found: Relationship) -> bool:
        """Whether `found` holds all that was sent; what the service adds does not count."""
        sent = strict_json.loads(strict_json.dumps(self.data or {}))
        return self.is_about(found) and same_json(sent, found.data or {}) and same_meta(self.meta, found.meta)

    async def settle(self, read: Read) -> TaskSubmission | None:
        found = await read(self.readback())
        return TaskSubmission(SubmissionStatus.PERSISTED, relationship=found) if self.equals(found) else None

    def _body(self) -> dict[str, object]:
        body: dict[str, object] = {"from": self.from_, "to": self.to}
        if self.meta is not None:
            body["meta"] = self.meta
        if isinstance(self.data, RawJson):
            body["data"] = self.data
        elif self.data is not None:
            body["data"] = RawJson(strict_json.dumps(self.data, "$.data"))
        return body


def _each_a_write(writes: Iterable[CreateRelationship]) -> tuple[CreateRelationship, ...]:
    if not isinstance(writes, Iterable):
        raise InvalidWrite("$.operations", "must be CreateRelationships")
    writes = tuple(writes)
    for index, write in enumerate(writes):
        if not isinstance(write, CreateRelationship):
            raise InvalidWrite(f"$.operations[{index}]", "must be a CreateRelationship")
    return writes


def _operation(index: int, write: CreateRelationship) -> bytes:
    try:
        return write.operation()
    except InvalidWrite as error:
        path, rule = f"$.operations[{index}]{error.path.removeprefix('$')}", error.rule
    raise InvalidWrite(path, rule)


@frozen
class BulkRelationships:
    """Creates in one request, carried out in the order given, each for itself: a bulk is not atomic.

    The path follows from its siblings' pages and is not itself documented.
    https://docs.clinia.com/api-reference/bulk/get-the-result-of-a-bulk-relationship-request
    """

    repeat: ClassVar[Repeat] = Repeat.KEYED
    route: ClassVar[str] = "/sources/{source}/v1/relationships/bulk"
    source: str = field(validator=checked(check_key, "$.source"))
    writes: Sequence[CreateRelationship] = field(
        converter=_each_a_write, repr=lambda writes: f"<{len(writes)} writes>"
    )
    operations: Sequence[bytes] = field(repr=False, kw_only=True)
    """The writes as they go out, in the same order; may be given by whoever has encoded them already."""

    @operations.default
    def _encoded(self) -> Sequence[bytes]:
        return [_operation(index, write) for index, write in enumerate(self.writes)]

    @writes.validator
    def _one_write_a_key(self, _: object, writes: Sequence[CreateRelationship]) -> None:
        if not writes:
            raise InvalidWrite("$.operations", "must not be empty")
        seen: set[tuple[str, str]] = set()
        for index, write in enumerate(writes):
            if write.source != self.source:
                raise InvalidWrite(f"$.operations[{index}]", "must belong to the source of the bulk")
            if (write.type, write.id) in seen:
                # receipts are matched by key, so two writes of one key could not be told apart
                raise InvalidWrite(
                    f"$.operations[{index}]", "must not write a key that this bulk already writes"
                )
            seen.add((write.type, write.id))

    def request(self) -> Request:
        body = b'{"operations":[' + b",".join(self.operations) + b"]}"
        path = path_of(self.route, source=self.source)
        return Request("POST", Host.REGISTRY, self.route, path, body=body)

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body)
