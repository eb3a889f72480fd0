"""Calls about relationships."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self, cast

from attrs import field, frozen

from clinia_async.calls.addressing import DeleteRecord, RecordCall
from clinia_async.calls.call import (
    Host,
    Request,
    RetrySafety,
    collection_path,
    decode_submission,
    operation_head,
    require_record,
)
from clinia_async.calls.equality import same_json, same_meta, shows_patches
from clinia_async.calls.reconciliation import EXISTS_ALREADY, DuplicateErrors
from clinia_async.calls.validation import (
    check_data,
    check_end,
    check_key,
    check_meta,
    check_type,
    simple_relationship_id,
    value_of,
)
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import (
    Action,
    Json,
    JsonDocument,
    Meta,
    MetaJson,
    Patch,
    PatchOp,
    Receipt,
    Ref,
    RefJson,
    Relationship,
    SubmissionStatus,
    TargetType,
    TaskSubmission,
)
from clinia_async.models.refusal import Refusal, bare, clears_own_locals, without_locals
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter, exact_json
from clinia_async.serialization.documents import read_fields
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.fast_decoders import make_relationship
from clinia_async.serialization.own_copy import own_copy


def _end(ref: Ref) -> dict[str, str]:
    return {"id": ref.id, "type": ref.type}


def relationship_id(from_: Ref, to: Ref) -> str:
    """Return the id that the service gives to a relationship: `{from.id}.{to.id}`."""
    return f"{from_.id}.{to.id}"


class GetRelationship(RecordCall):
    """Get a relationship by its id `{from.id}.{to.id}`, or by an identifier `{system}:{value}:{use}`.

    https://docs.clinia.com/api-reference/relationships/get-a-relationship-from-the-registry
    """

    __slots__ = ()

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/relationships/{type}/{id}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> Relationship:
        found = converter.decode(body, Relationship)
        self.check_answer(found)
        return found


_DATA = b',"data":'
_QUOTES = 24
"""Quotation marks of a line before its data."""


@frozen(init=False, eq=False, repr=False)
class _RelationshipWrite(EqualByFields):
    """The content of a relationship to write. Jobs make millions, so `__init__` is written by hand."""

    source: str
    type: str
    from_: Ref
    to: Ref
    data: Json | RawJson | None = field(default=None, repr=False)
    meta: Meta | None = field(default=None, repr=False)
    id: str = field(init=False, eq=False, repr=False)

    target = TargetType.RELATIONSHIP
    action: ClassVar[Action]
    duplicate_errors: ClassVar[DuplicateErrors] = ()
    head: ClassVar[bytes]

    @clears_own_locals
    def __init__(  # noqa: PLR0917  they are those of the fields
        self,
        source: str,
        type: str,
        from_: Ref | RefJson,
        to: Ref | RefJson,
        data: Json | RawJson | None = None,
        meta: Meta | MetaJson | None = None,
    ) -> None:
        try:
            id_ = simple_relationship_id(source, type, from_, to)
            if id_ is None:
                check_key(source, "$.source")
                check_type(type, "$.type")
                from_, to = value_of(Ref, from_, "$.from"), value_of(Ref, to, "$.to")
                check_end(from_, "$.from")
                check_end(to, "$.to")
                id_ = relationship_id(from_, to)
            if data.__class__ is not dict:
                check_data(data, "$.data")
            if meta is not None:
                meta = value_of(Meta, meta, "$.meta")
                check_meta(meta, "$.meta")
        except Refusal as error:
            refusal = bare(error)
        else:
            _set_source(self, source)
            _set_type(self, type)
            _set_from(self, from_)
            _set_to(self, to)
            _set_data(self, data)
            _set_meta(self, meta)
            _set_id(self, id_)
            return
        del source, type, from_, to, data, meta
        try:
            raise refusal
        finally:
            del refusal

    @classmethod
    @without_locals
    def from_body(cls, source: str, type: str, body: Json | JsonDocument) -> Self:
        """Make a write of the body that the reference page shows: `from`, `to`, `data` and `meta`.

        A relationship as the service answers it is taken, too: its `id` and `type` must fit, and what it
        includes is not sent.

        Args:
            source: the key of the source.
            type: the key of the relationship definition.
            body: a dict, JSON text, or the path of a file. Of text, `data` is sent in its own bytes.

        Raises:
            InvalidWrite: it is not strict JSON, or not of this shape; `path` says where.
        """
        fields = read_fields(body)
        unknown = fields.keys() - {"from", "to", "data", "meta", "id", "type", "includes"}
        if unknown:
            raise InvalidWrite(
                f"$.{min(unknown)}" if min(unknown).isidentifier() else "$.*",
                "must be left out: it is unknown",
            )
        for name in ("from", "to"):
            if name not in fields:
                raise InvalidWrite(f"$.{name}", "is required")
        from_, to = (value_of(Ref, _parsed(fields[name]), f"$.{name}") for name in ("from", "to"))
        data, meta = fields.get("data"), _parsed(fields.get("meta"))
        write = cls(source, type, from_, to, data, meta)  # type: ignore[arg-type]  # they are checked
        for name, own in (("id", write.id), ("type", type)):
            if fields.get(name, own) != own:
                raise InvalidWrite(f"$.{name}", "must be that of this relationship, or be left out")
        return write

    @classmethod
    def from_line(cls, source: str, line: bytes) -> Self:
        """Parse a write from one line of NDJSON that `to_line` made.

        Its data is a dict, or in its own bytes where a number has more digits than a float.
        """
        fields = cast("Mapping[str, object]", exact_json.loads(line))
        found = converter.structure({**fields, "id": ""}, Relationship)
        data: Json | RawJson | None = found.data
        if data is not None:
            text = line[line.find(_DATA) + len(_DATA) : -1]  # it comes last
            data = data if exact_json.dumps(data) == text else RawJson(text)
        return cls(source, found.type, found.from_, found.to, data, found.meta)

    def own_copy(self) -> Self:
        """Return an equal write whose data is its own, without checking the rest again."""
        if self.data is None and self.meta is None:
            return self
        made = object.__new__(type(self))
        _set_source(made, self.source)
        _set_type(made, self.type)
        _set_from(made, self.from_)
        _set_to(made, self.to)
        _set_data(made, own_copy(self.data))
        _set_meta(made, self.meta and own_copy(self.meta))
        _set_id(made, self.id)
        return made

    def to_line(self) -> bytes:
        """Encode this write as one line of NDJSON, without its source.

        Raises:
            InvalidWrite: JSON cannot carry its data exactly.
        """
        data = self.data
        if self.meta is None and (data is None or data.__class__ is dict):
            ends, text = _ends(self), b"null" if data is None else exact_json.try_dumps(data)
            if text is not None and _need_no_escape(ends):
                return ends.encode() + (b"}" if data is None else _DATA + text + b"}")
        del data
        return self._to_line_slowly()

    @without_locals
    def _to_line_slowly(self) -> bytes:
        return exact_json.dumps({"type": self.type, **self.body()})

    def operation(self) -> bytes:
        """Encode this write as one operation of a bulk or a bundle."""
        return self.head + self.to_line() + b"}"

    def body(self) -> dict[str, object]:
        """Return the JSON object to send, without the key of the type."""
        body: dict[str, object] = {"from": _end(self.from_), "to": _end(self.to)}
        if self.meta is not None:
            body["meta"] = converter.fragment(self.meta)
        if self.data is not None:
            body["data"] = exact_json.fragment(self.data, "$.data")
        return body

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetRelationship:
        return GetRelationship(self.source, self.type, self.id)

    def as_sent(self, operation: bytes) -> Relationship:
        """Return the record that the encoded `operation` makes, without what the service adds."""
        start = operation.find(_DATA)  # a string before it would have its quotation marks escaped
        data = exact_json.loads(operation[start + len(_DATA) : -2]) if start > 0 else {}
        return make_relationship(self.id, self.type, self.from_, self.to, data, self.meta, None, None)

    def equals(self, found: Relationship) -> bool:
        """Return whether `found` holds all that was sent; what the service adds does not count."""
        sent = exact_json.to_raw(self.data or {}).value()
        return (
            (found.from_, found.to) == (self.from_, self.to)
            and same_json(sent, found.data or {})
            and same_meta(self.meta, found.meta)
        )

    def reconciled(self, found: object) -> TaskSubmission | None:
        if not isinstance(found, Relationship) or not self.equals(found):
            return None
        return TaskSubmission(SubmissionStatus.PERSISTED, relationship=found)


def _parsed(value: object) -> object:
    return value.value() if isinstance(value, RawJson) else value


def _ends(write: _RelationshipWrite) -> str:
    """Return its line before the data, which is right if no name in it has to be escaped."""
    from_, to = write.from_, write.to
    return (
        f'{{"type":"{write.type}","from":{{"id":"{from_.id}","type":"{from_.type}"}}'
        f',"to":{{"id":"{to.id}","type":"{to.type}"}}'
    )


def _need_no_escape(ends: str) -> bool:
    """Return whether no name has a character that JSON escapes: each would add a quote or a backslash."""
    return ends.count('"') == _QUOTES and ends.find("\\") < 0


# Setting the slots directly costs half of object.__setattr__, the way around `frozen`.
_set_source, _set_type, _set_from, _set_to, _set_data, _set_meta, _set_id = (
    vars(_RelationshipWrite)[name].__set__ for name in ("source", "type", "from_", "to", "data", "meta", "id")
)


class CreateRelationship(_RelationshipWrite):
    """Create a relationship. Its id is `{from_.id}.{to.id}`, so it is known before sending.

    May be retried: a second attempt is answered ALREADY_EXISTS, and the record is then read back.

    Raises:
        InvalidWrite: a key, an end, the data or the metadata breaks a rule of the API.

    https://docs.clinia.com/api-reference/relationships/create-a-relationship-between-two-resources-in-the-registry
    """

    __slots__ = ()

    retry_safety = RetrySafety.KEYED
    route: ClassVar[str] = "/sources/{source}/v1/relationships/{type}"
    action = Action.CREATE
    duplicate_errors: ClassVar[DuplicateErrors] = EXISTS_ALREADY
    head: ClassVar[bytes] = operation_head(Action.CREATE)

    def request(self) -> Request:
        path = collection_path(self.route, self.source, self.type)
        return Request("POST", Host.REGISTRY, self.route, path, body=exact_json.dumps(self.body()))

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body, self._check)

    def result(self, submission: TaskSubmission) -> Relationship:
        return require_record(submission.relationship)

    def _check(self, submission: TaskSubmission) -> None:
        """Refuse an answer about another relationship than the one that was sent."""
        found = submission.relationship
        if found is None or found.type != self.type or found.id != self.id:
            raise ProtocolError("the answer does not hold the relationship that was sent")
        if found.from_ != self.from_ or found.to != self.to:
            raise ProtocolError("the answer joins other ends than those that were sent")


class UpsertRelationship(_RelationshipWrite):
    """Create or replace a relationship, as an operation of a bulk or a bundle; there is no single call.

    May be retried; but a lost first attempt that runs late can put back an older state over a newer
    one, which a create cannot.

    https://docs.clinia.com/guides/managing-data/tasks
    """

    __slots__ = ()

    retry_safety = RetrySafety.IDEMPOTENT
    action = Action.UPSERT
    head: ClassVar[bytes] = operation_head(Action.UPSERT)


@frozen(eq=False, repr=False, field_transformer=checked)
class UpdateRelationship(RecordCall):
    """Change the data of a relationship by patches in order. Metadata cannot be changed.

    May be retried if each patch sets a whole value of an object; patches that add to a list or remove are
    sent once.

    Raises:
        InvalidWrite: no patches, or one without a path that starts with `/`.

    https://docs.clinia.com/api-reference/relationships/update-a-relationship-between-two-resources-in-the-registry
    """

    route: ClassVar[str] = GetRelationship.route
    target = TargetType.RELATIONSHIP
    duplicate_errors: ClassVar[DuplicateErrors] = ()
    action = Action("UPDATE")
    """No page says which word receipts have for it."""
    patches: Sequence[Patch] = field(repr=lambda patches: f"<{len(patches)} patches>", metadata={"path": "$"})

    def __attrs_post_init__(self) -> None:
        if not self.patches:
            raise InvalidWrite("$", "must not be empty")
        for index, patch in enumerate(self.patches):
            if not patch.path.startswith("/"):
                raise InvalidWrite(f"$[{index}].path", "must start with `/`")

    @property
    def retry_safety(self) -> RetrySafety:
        return RetrySafety.IDEMPOTENT if all(map(_sets_a_value, self.patches)) else RetrySafety.ONCE

    def request(self) -> Request:
        return self.build_request("PATCH", exact_json.dumps([_patch(patch) for patch in self.patches]))

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body, lambda it: self.check_answer(require_record(it.relationship)))

    def result(self, submission: TaskSubmission) -> Relationship:
        return require_record(submission.relationship)

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetRelationship:
        return GetRelationship(self.source, self.type, self.id)

    def reconciled(self, found: object) -> TaskSubmission | None:
        if not isinstance(found, Relationship) or not shows_patches(self.patches, found.data or {}):
            return None
        return TaskSubmission(SubmissionStatus.PERSISTED, relationship=found)


def _sets_a_value(patch: Patch) -> bool:
    last = patch.path.rpartition("/")[2]
    return patch.op in {PatchOp.ADD, PatchOp.REPLACE} and last != "-" and not last.isdecimal()


def _patch(patch: Patch) -> dict[str, object]:
    change: dict[str, object] = {"op": str(patch.op), "path": patch.path}
    return change if patch.op == PatchOp.REMOVE else {**change, "value": patch.value}


class DeleteRelationship(DeleteRecord):
    """Delete a relationship; the resources at its ends stay. May be retried.

    https://docs.clinia.com/api-reference/relationships/delete-a-relationship-between-two-resources-in-the-registry
    """

    __slots__ = ()

    route: ClassVar[str] = GetRelationship.route
    target = TargetType.RELATIONSHIP

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetRelationship:
        return GetRelationship(self.source, self.type, self.id)
