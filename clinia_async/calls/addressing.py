"""What a call is about, and so where it goes: one record.

A call that adds no field to that takes its methods as they are: attrs would only make the same ones again.
"""

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
from clinia_async.calls.validation import check_key, check_record_id, checked
from clinia_async.errors import ApiError, NotFound, ProtocolError
from clinia_async.models import Action, Relationship, Resource, TaskSubmission


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


class DeleteRecord(OneRecord):
    """May be repeated: that a record is gone is what a lost answer would have said."""

    __slots__ = ()

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
