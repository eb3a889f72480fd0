"""What a call is about, and so where it goes: an entry of the catalog or of a source, or one record."""

from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import (
    Call,
    Host,
    Read,
    Repeat,
    Request,
    operation,
    path_of,
    settle_deletion,
    submission_answer,
)
from clinia_async.calls.checks import check_key, check_record_id, checked
from clinia_async.errors import ApiError, NotFound, ProtocolError
from clinia_async.models import Action, Relationship, Resource, TaskSubmission


@frozen
class InCatalog:
    route: ClassVar[str]
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    key: str = field(validator=checked(check_key, "$.key"))

    def to(self, method: str, query: str = "", body: bytes | None = None) -> Request:
        return Request(method, Host.CATALOG, self.route, path_of(self.route, key=self.key), query, body)

    def check_answer(self, key: str | None) -> None:
        _check_key(key, self.key)


@frozen
class InSource:
    route: ClassVar[str]
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))

    def to(self, method: str, body: bytes | None = None) -> Request:
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

    def answer(self, body: bytes) -> None:
        return None

    def is_gone(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)


@frozen
class OneRecord:
    """`id` may be an identifier in the notation `{system}:{value}:{use}` where a record is read."""

    route: ClassVar[str]
    source: str = field(validator=checked(check_key, "$.source"))
    type: str = field(validator=checked(check_key, "$.type"))
    id: str = field(repr=False, validator=checked(check_record_id, "$.id"))

    def to(self, method: str, body: bytes | None = None) -> Request:
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request(method, Host.REGISTRY, self.route, path, body=body)

    def check_answer(self, found: Relationship | Resource) -> None:
        # by an identifier any id may come; by an id only this one
        if found.type != self.type or (":" not in self.id and found.id != self.id):
            raise ProtocolError("the answer is about another record")


@frozen
class DeleteRecord(OneRecord):
    """May be repeated: that a record is gone is what a lost answer would have said."""

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    action: ClassVar[Action] = Action.DELETE

    def gone(self) -> Call[Relationship | Resource]:
        """The call that no longer finds it."""
        raise NotImplementedError

    def request(self) -> Request:
        return self.to("DELETE")

    def operation(self) -> bytes:
        """This write as one operation of a bulk or a bundle; that it carries the id is not documented."""
        return operation(self.action, {"id": self.id, "type": self.type})

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body)

    def result(self, submission: TaskSubmission) -> None:
        return None

    def is_echo(self, error: ApiError) -> bool:
        return isinstance(error, NotFound)

    async def settle(self, read: Read) -> TaskSubmission | None:
        return await settle_deletion(read, self.gone())
