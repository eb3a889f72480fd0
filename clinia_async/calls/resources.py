"""Calls about resources."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from attrs import field, frozen

from clinia_async.calls.addressing import DeleteRecord, RecordCall
from clinia_async.calls.call import (
    Host,
    Request,
    RetrySafety,
    collection_path,
    decode_submission,
    operation,
    path_of,
    payload_of,
    require_record,
)
from clinia_async.calls.equality import same_contained, same_json, same_meta
from clinia_async.calls.reconciliation import EXISTS_ALREADY, DuplicateErrors
from clinia_async.calls.validation import (
    check_key,
    check_known_id,
    check_meta,
    check_new_id,
    check_type,
    validated_by,
)
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import (
    Action,
    Contained,
    Json,
    Meta,
    Receipt,
    Resource,
    SubmissionStatus,
    TargetType,
    TaskSubmission,
)
from clinia_async.models.identifiers import is_token
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter, exact_json
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.fast_decoders import make_resource

ContainedIn = Mapping[str, Sequence[Contained]]


class GetResource(RecordCall):
    """Get a resource by its id, or by an identifier `{system}:{value}:{use}`. No page shows this call itself.

    https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry
    """

    __slots__ = ()

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> Resource:
        found = converter.decode(body, Resource)
        self.check_answer(found)
        return found


@frozen(kw_only=True, eq=False, repr=False, field_transformer=checked)
class _ResourceWrite(EqualByFields):
    """The content of a resource to write."""

    data: Json | RawJson = field(repr=False)
    """The properties, as a JSON object."""
    meta: Meta | None = field(default=None, repr=False)
    """Times and identifiers."""
    contained: ContainedIn | None = field(default=None, repr=False)
    """Contained resources, by the key of the property that holds them."""

    @data.validator
    def _an_object(self, _: object, data: Json | RawJson) -> None:
        if not isinstance(data, Mapping | RawJson):
            raise InvalidWrite("$.data", "must be an object")

    def __attrs_post_init__(self) -> None:
        check_meta(self.meta, "$.meta")

    def body(self) -> dict[str, object]:
        """Return the JSON object to send."""
        body: dict[str, object] = {"data": exact_json.fragment(self.data, "$.data")}
        if self.meta is not None:
            body["meta"] = converter.fragment(self.meta)
        if self.contained is not None:
            body["contained"] = converter.fragment(self.contained)
        return body

    def equals(self, found: Resource) -> bool:
        """Return whether `found` holds all that was sent; what the service adds does not count."""
        return (
            same_json(exact_json.to_raw(self.data).value(), found.data or {})
            and same_meta(self.meta, found.meta)
            and same_contained(self._contained_as_json(), found.contained or {})
        )

    def _contained_as_json(self) -> object:
        return {} if self.contained is None else exact_json.loads(converter.encode(self.contained))

    def _as_sent(self, type: str, id: str, payload: Json) -> Resource:
        data, contained = cast("Json", payload["data"]), cast("Json | None", payload.get("contained"))
        return make_resource(id, type, data, self.meta, contained, None)


def _reconciled(write: _ResourceWrite, found: object) -> TaskSubmission | None:
    if not isinstance(found, Resource) or not write.equals(found):
        return None
    return TaskSubmission(SubmissionStatus.PERSISTED, resource=found)


def check_resource(found: Resource | None, type: str, id: str | None) -> None:
    """Raise `ProtocolError` for an answer about another resource than the one that was sent."""
    if found is None or found.type != type or (id is not None and found.id != id):
        raise ProtocolError("the answer does not hold the resource that was sent")


@frozen(eq=False, repr=False, field_transformer=checked)
class CreateResource(_ResourceWrite):
    """A resource to create. Without an `id`, or with `@rootId`, the service makes one.

    With `@rootId` it also puts that id in place of the token in every `reference` property. A create
    without an id of its own is sent once: a second one would be a second record.

    https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry
    """

    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}"
    target = TargetType.RESOURCE
    action = Action.CREATE
    source: str = field(validator=validated_by(check_key, "$.source"))
    type: str = field(validator=validated_by(check_type, "$.type"))
    given_id: str | None = field(default=None, repr=False)

    @given_id.validator
    def _known(self, _: object, value: str | None) -> None:
        if value is not None:
            check_new_id(value, "$.id")

    @property
    def id(self) -> str | None:
        """The id if it is known before sending, else None."""
        return None if self.given_id is None or is_token(self.given_id) else self.given_id

    @property
    def retry_safety(self) -> RetrySafety:
        return RetrySafety.ONCE if self.id is None else RetrySafety.KEYED

    def request(self) -> Request:
        body = exact_json.dumps({**self._identity(), **self.body()})
        path = collection_path(self.route, self.source, self.type)
        return Request("POST", Host.REGISTRY, self.route, path, body=body)

    def operation(self) -> bytes:
        """Encode this write as an operation of a bulk or bundle."""
        return operation(self.action, {**self._identity(), "type": self.type, **self.body()})

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body, lambda it: check_resource(it.resource, self.type, self.id))

    def result(self, submission: TaskSubmission) -> Resource:
        return require_record(submission.resource)

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetResource:
        """Return the call that reads the resource. Raises `ProtocolError` if no id of it is known."""
        made = [receipt.id for receipt in receipts if receipt.target_type == self.target]
        id_ = self.id or (made[0] if len(made) == 1 else None)
        if id_ is None:
            raise ProtocolError("the task does not say which resource it made")
        return GetResource(self.source, self.type, id_)

    def as_sent(self, operation: bytes) -> Resource:
        """Return the record that the encoded `operation` makes, without what the service adds."""
        return self._as_sent(self.type, self.id or "", payload_of(self.action, operation))

    @property
    def duplicate_errors(self) -> DuplicateErrors:
        return () if self.id is None else EXISTS_ALREADY

    def reconciled(self, found: object) -> TaskSubmission | None:
        return _reconciled(self, found)

    def _identity(self) -> dict[str, object]:
        return {} if self.given_id is None else {"id": self.given_id}


@frozen(eq=False, repr=False, field_transformer=checked)
class UpsertResource(_ResourceWrite):
    """Create a resource, or replace it whole: it is not merged with the stored one.

    May be retried; but a lost first attempt that runs late can put back an older state over a newer
    one, which a create cannot.

    https://docs.clinia.com/api-reference/resources/upsert-a-resource-in-the-registry
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}"
    target = TargetType.RESOURCE
    action = Action.UPSERT
    duplicate_errors: ClassVar[DuplicateErrors] = ()
    source: str = field(validator=validated_by(check_key, "$.source"))
    type: str = field(validator=validated_by(check_type, "$.type"))
    id: str = field(repr=False, validator=validated_by(check_known_id, "$.id"))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request("PUT", Host.REGISTRY, self.route, path, body=exact_json.dumps(self.body()))

    def operation(self) -> bytes:
        """Encode this write as an operation of a bulk or bundle."""
        return operation(self.action, {"id": self.id, "type": self.type, **self.body()})

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body, lambda it: check_resource(it.resource, self.type, self.id))

    def result(self, submission: TaskSubmission) -> Resource:
        return require_record(submission.resource)

    def as_sent(self, operation: bytes) -> Resource:
        """Return the record that the encoded `operation` makes, without what the service adds."""
        return self._as_sent(self.type, self.id, payload_of(self.action, operation))

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetResource:
        return GetResource(self.source, self.type, self.id)

    def reconciled(self, found: object) -> TaskSubmission | None:
        return _reconciled(self, found)


class DeleteResource(DeleteRecord):
    """Delete a resource and the relationships attached to it. May be retried.

    https://docs.clinia.com/guides/managing-data/purge
    """

    __slots__ = ()

    route: ClassVar[str] = GetResource.route
    target = TargetType.RESOURCE

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetResource:
        return GetResource(self.source, self.type, self.id)
