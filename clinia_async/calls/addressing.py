"""The record, catalog entry or source entry that a call is about, and so its path.

A call that adds no field to that takes its methods as they are: attrs would only make the same ones again.
"""

from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import (
    Call,
    Host,
    Read,
    Request,
    RetrySafety,
    decode_submission,
    operation,
    path_of,
    reconcile_delete,
)
from clinia_async.calls.validation import check_key, check_record_id, checked
from clinia_async.errors import ApiError, NotFound, ProtocolError
from clinia_async.models import Action, Relationship, Resource, TaskSubmission


@frozen
class RecordCall:
    """`id` may be an identifier in the notation `{system}:{value}:{use}` where a record is read."""

    route: ClassVar[str]
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False, validator=checked(check_record_id, "$.id"))

    def build_request(self, method: str, body: bytes | None = None) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request(method, Host.REGISTRY, self.route, path, body=body)

    def check_answer(self, found: Relationship | Resource) -> None:
        # by an identifier any id may come; by an id only this one
        if found.type != self.type or (":" not in self.id and found.id != self.id):
            raise ProtocolError("the answer is about another record")


class DeleteRecord(RecordCall):
    """May be repeated: that a record is gone is what a lost answer would have said."""

    __slots__ = ()

    retry_safety: ClassVar[RetrySafety] = RetrySafety.IDEMPOTENT
    action: ClassVar[Action] = Action.DELETE

    def get_call(self) -> Call[Relationship | Resource]:
        """The call that no longer finds it."""
        raise NotImplementedError

    def request(self) -> Request:
        return self.build_request("DELETE")

    def operation(self) -> bytes:
        """This write as one operation of a bulk or a bundle; that it carries the id is not documented."""
        return operation(self.action, {"id": self.id, "type": self.type})

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body)

    def result(self, submission: TaskSubmission) -> None:
        return None

    def is_duplicate(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)

    async def reconcile(self, read: Read) -> TaskSubmission | None:
        return await reconcile_delete(read, self.get_call())


@frozen
class CatalogCall:
    route: ClassVar[str]
    retry_safety: ClassVar[RetrySafety] = RetrySafety.IDEMPOTENT
    key: str = field(validator=checked(check_key, "$.key"))

    def build_request(self, method: str, query: str = "", body: bytes | None = None) -> Request:
        return Request(method, Host.CATALOG, self.route, path_of(self.route, key=self.key), query, body)

    def check_answer(self, key: str | None) -> None:
        _check_key(key, self.key)


@frozen
class SourceCall:
    route: ClassVar[str]
    retry_safety: ClassVar[RetrySafety] = RetrySafety.IDEMPOTENT
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))

    def build_request(self, method: str, body: bytes | None = None) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        return Request(method, Host.REGISTRY, self.route, path, body=body)

    def check_answer(self, key: str | None) -> None:
        _check_key(key, self.key)


def _check_key(found: str | None, asked: str) -> None:
    """The key is not in every answer; another one is an answer about something else."""
    if found not in {None, asked}:
        raise ProtocolError("the answer is about another key")


class Deletion:
    """A delete that is answered at once, and without a word about what is gone."""

    __slots__ = ()

    def decode_response(self, body: bytes) -> None:
        return None

    def is_already_deleted(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)
