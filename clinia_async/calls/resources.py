"""Resources, and the resources that they contain."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from attrs import evolve, field, frozen

from clinia_async import codec, strict_json
from clinia_async.calls.call import (
    Host,
    Read,
    Repeat,
    Request,
    operation,
    path_of,
    settle_deletion,
    submission_answer,
)
from clinia_async.calls.checks import (
    check_contained,
    check_key,
    check_known_id,
    check_meta,
    check_new_id,
    check_place,
    check_record_id,
    checked,
)
from clinia_async.calls.comparison import same_json, same_meta
from clinia_async.errors import ApiError, InvalidWrite, NotFound, ProtocolError
from clinia_async.keys import is_token
from clinia_async.models import (
    Action,
    Contained,
    ErrorType,
    Json,
    Meta,
    Receipt,
    Resource,
    SubmissionStatus,
    TargetType,
    TaskSubmission,
)
from clinia_async.strict_json import RawJson

ContainedIn = Mapping[str, Sequence[Contained]]


@frozen
class GetResource:
    """`id` may be an identifier in the notation `{system}:{value}:{use}`. No page shows this call itself.

    https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}"
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False, validator=checked(check_record_id, "$.id"))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request("GET", Host.REGISTRY, self.route, path)

    def answer(self, body: bytes) -> Resource:
        found = codec.decode(body, Resource)
        # by an identifier any id may come; by an id only this one
        if found.type != self.type or (":" not in self.id and found.id != self.id):
            raise ProtocolError("the answer is about another resource")
        return found


@frozen(kw_only=True)
class _Content:
    """What a resource is made of, and how it goes on the wire."""

    data: Json | RawJson = field(repr=False)
    meta: Meta | None = field(default=None, repr=False)
    contained: ContainedIn | None = field(default=None, repr=False)

    @data.validator
    def _an_object(self, _: object, data: Json | RawJson) -> None:
        if not isinstance(data, Mapping | RawJson):
            raise InvalidWrite("$.data", "must be an object")

    def __attrs_post_init__(self) -> None:
        check_meta(self.meta, "$.meta")

    def body(self) -> dict[str, object]:
        data = (
            self.data if isinstance(self.data, RawJson) else RawJson(strict_json.dumps(self.data, "$.data"))
        )
        rest = {"meta": self.meta, "contained": self.contained}
        return {"data": data, **{name: value for name, value in rest.items() if value is not None}}

    def equals(self, found: Resource) -> bool:
        """Whether `found` holds all that was sent; what the service adds does not count."""
        return (
            same_json(strict_json.loads(strict_json.dumps(self.data)), found.data or {})
            and same_meta(self.meta, found.meta)
            and _holds(strict_json.loads(codec.encode(self.contained or {})), found.contained or {})
        )


def _holds(sent: object, found: object) -> bool:
    """Whether what is contained is what was sent; only ids may be the service's."""
    if not isinstance(sent, Mapping) or not isinstance(found, Mapping):
        return False
    if {key for key in sent if sent[key]} != {key for key in found if found[key]}:
        return False
    return all(
        isinstance(found[key], list)
        and len(found[key]) == len(sent[key])
        and all(map(_is_contained, sent[key], found[key]))
        for key in sent
        if sent[key]
    )


def _is_contained(sent: Mapping[str, object], found: object) -> bool:
    return (
        isinstance(found, Mapping)
        and sent["type"] == found.get("type")
        and sent.get("id", found.get("id")) == found.get("id")
        and same_json(sent["data"], found.get("data", {}))
        and _holds(sent.get("contained", {}), found.get("contained") or {})
    )


def persisted_resource(submission: TaskSubmission, type: str, id: str | None) -> Resource:
    found = submission.resource
    if found is None or found.type != type or (id is not None and found.id != id):
        raise ProtocolError("the answer does not hold the resource that was sent")
    return found


@frozen
class CreateResource(_Content):
    """A resource to create. Without an `id`, or with `@rootId`, the service makes one.

    With `@rootId` it also puts that id in place of the token in every `reference` property. A create
    without an id of its own is sent once: a second one would be a second record.

    https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry
    """

    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}"
    target: ClassVar[TargetType] = TargetType.RESOURCE
    action: ClassVar[Action] = Action.CREATE
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    given_id: str | None = field(default=None, repr=False)

    @given_id.validator
    def _known(self, _: object, value: str | None) -> None:
        if value is not None:
            check_new_id(value, "$.id")

    @property
    def id(self) -> str | None:
        """The id, where it is known before sending."""
        return None if self.given_id is None or is_token(self.given_id) else self.given_id

    @property
    def repeat(self) -> Repeat:
        return Repeat.ONCE if self.id is None else Repeat.KEYED

    def request(self) -> Request:
        body = codec.encode({**self._identity(), **self.body()})
        path = path_of(self.route, source=self.source, type=self.type)
        return Request("POST", Host.REGISTRY, self.route, path, body=body)

    def operation(self) -> bytes:
        return operation(self.action, {**self._identity(), "type": self.type, **self.body()})

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body)

    def result(self, submission: TaskSubmission) -> Resource:
        return persisted_resource(submission, self.type, self.id)

    def readback(self, receipts: Sequence[Receipt]) -> GetResource:
        made = [receipt.id for receipt in receipts if receipt.target_type == self.target]
        id_ = self.id or (made[0] if len(made) == 1 else None)
        if id_ is None:
            raise ProtocolError("the task does not tell which resource it made")
        return GetResource(self.source, self.type, id_)

    def is_echo(self, error: ApiError) -> bool:
        return self.id is not None and error.type == ErrorType.ALREADY_EXISTS

    async def settle(self, read: Read) -> TaskSubmission | None:
        found = await read(self.readback(()))
        return TaskSubmission(SubmissionStatus.PERSISTED, resource=found) if self.equals(found) else None

    def _identity(self) -> dict[str, object]:
        return {} if self.given_id is None else {"id": self.given_id}


@frozen
class UpsertResource(_Content):
    """A resource to create or to replace whole: it is not merged with what is there.

    May be repeated; but a lost first attempt that runs late can put back an older state over a newer
    one, which a create cannot.

    https://docs.clinia.com/api-reference/resources/upsert-a-resource-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}"
    target: ClassVar[TargetType] = TargetType.RESOURCE
    action: ClassVar[Action] = Action.UPSERT
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False, validator=checked(check_known_id, "$.id"))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request("PUT", Host.REGISTRY, self.route, path, body=codec.encode(self.body()))

    def operation(self) -> bytes:
        return operation(self.action, {"id": self.id, "type": self.type, **self.body()})

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body)

    def result(self, submission: TaskSubmission) -> Resource:
        return persisted_resource(submission, self.type, self.id)

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetResource:
        return GetResource(self.source, self.type, self.id)

    async def settle(self, read: Read) -> TaskSubmission | None:
        found = await read(self.readback())
        return TaskSubmission(SubmissionStatus.PERSISTED, resource=found) if self.equals(found) else None


@frozen
class DeleteResource:
    """Deletes a resource and the relationships attached to it.

    https://docs.clinia.com/guides/managing-data/purge
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}"
    target: ClassVar[TargetType] = TargetType.RESOURCE
    action: ClassVar[Action] = Action.DELETE
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False, validator=checked(check_record_id, "$.id"))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request("DELETE", Host.REGISTRY, self.route, path)

    def operation(self) -> bytes:
        return operation(self.action, {"id": self.id, "type": self.type})

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body)

    def result(self, submission: TaskSubmission) -> None:
        return None

    def gone(self) -> GetResource:
        return GetResource(self.source, self.type, self.id)

    def is_echo(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)

    async def settle(self, read: Read) -> TaskSubmission | None:
        return await settle_deletion(read, self.gone())


@frozen
class _InsideOf:
    """A place in a resource: `place` alternates keys and ids, down from the root."""

    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False, validator=checked(check_record_id, "$.id"))
    place: Sequence[str] = field(repr=False, validator=checked(check_place, "$.place"))

    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}/{place}"
    target: ClassVar[TargetType] = TargetType.RESOURCE

    def path(self) -> str:
        root = path_of(GetResource.route, source=self.source, type=self.type, id=self.id)
        return "/".join([root, *(path_of("{part}", part=part) for part in self.place)])

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body)

    def readback(self, receipts: Sequence[Receipt]) -> GetResource:
        return GetResource(self.source, self.type, self.id)


@frozen
class _PutInside(_InsideOf):
    contained: Contained = field(validator=checked(check_contained, "$"))

    def result(self, submission: TaskSubmission) -> Resource:
        return persisted_resource(submission, self.type, self.id)


@frozen
class CreateContained(_PutInside):
    """A resource to create inside another; the result is the root resource. Sent once.

    `place` ends with the key that contains it, such as `["offices"]`.

    https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
    """

    repeat: ClassVar[Repeat] = Repeat.ONCE

    def request(self) -> Request:
        return Request("POST", Host.REGISTRY, self.route, self.path(), body=codec.encode(self.contained))


@frozen
class UpsertContained(_PutInside):
    """A resource to create or replace inside another; the result is the root resource. May be repeated.

    `place` ends with the key that contains it and its id, such as `["offices", "main"]`.

    https://docs.clinia.com/api-reference/resources/upsert-a-contained-resource-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT

    def request(self) -> Request:
        body = codec.encode(evolve(self.contained, id=None))
        return Request("PUT", Host.REGISTRY, self.route, self.path(), body=body)


@frozen
class DeleteContained(_InsideOf):
    """A resource to delete inside another. Sent once.

    The result is what is left of the root resource; None if it was deleted at once and the answer does
    not hold the root, which is not documented for deletes.

    https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
    """

    repeat: ClassVar[Repeat] = Repeat.ONCE

    def request(self) -> Request:
        return Request("DELETE", Host.REGISTRY, self.route, self.path())

    def result(self, submission: TaskSubmission) -> Resource | None:
        return submission.resource and persisted_resource(submission, self.type, self.id)
