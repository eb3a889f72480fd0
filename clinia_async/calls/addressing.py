"""The record that a call is about, and so its path.

A call that adds no field of its own inherits these methods without another `@frozen`.
"""

from collections.abc import Sequence
from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import (
    Call,
    Host,
    Request,
    RetrySafety,
    decode_submission,
    operation,
    path_of,
)
from clinia_async.calls.reconciliation import DELETED_ALREADY, DuplicateErrors
from clinia_async.calls.validation import check_key, check_record_id, check_type, validated_by
from clinia_async.errors import ProtocolError
from clinia_async.models import Action, Receipt, Relationship, Resource, SubmissionStatus, TaskSubmission
from clinia_async.models.value import EqualByFields


@frozen(eq=False, repr=False)
class RecordCall(EqualByFields):
    """A call about one record of a source. For reads, `id` may be an identifier `{system}:{value}:{use}`."""

    route: ClassVar[str]
    source: str = field(validator=validated_by(check_key, "$.source"))
    type: str = field(validator=validated_by(check_type, "$.type"))
    id: str = field(repr=False, validator=validated_by(check_record_id, "$.id"))

    def build_request(self, method: str, body: bytes | None = None) -> Request:
        """Return the request for the path of the record."""
        path = path_of(self.route, source=self.source, type=self.type, id=self.id)
        return Request(method, Host.REGISTRY, self.route, path, body=body)

    def check_answer(self, found: Relationship | Resource) -> None:
        """Check that the answer is about the record of this call.

        Raises:
            ProtocolError: it is about another record.
        """
        # by an identifier any id may come; by an id only this one
        if found.type != self.type or (":" not in self.id and found.id != self.id):
            raise ProtocolError("the answer is about another record")


class DeleteRecord(RecordCall):
    """A delete of one record. It may be retried: NotFound says that an earlier attempt was carried out."""

    __slots__ = ()

    retry_safety = RetrySafety.IDEMPOTENT
    action = Action.DELETE
    duplicate_errors: ClassVar[DuplicateErrors] = DELETED_ALREADY

    def readback(self, receipts: Sequence[Receipt] = ()) -> Call[Relationship | Resource]:
        """The call that no longer finds it. Raises `NotImplementedError` in this base alone."""
        raise NotImplementedError

    def request(self) -> Request:
        return self.build_request("DELETE")

    def operation(self) -> bytes:
        """Encode this write as an operation of a bulk or bundle. That it carries the id is not documented."""
        return operation(self.action, {"id": self.id, "type": self.type})

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body)

    def result(self, submission: TaskSubmission) -> None:
        return None

    def reconciled(self, found: object) -> TaskSubmission | None:
        return TaskSubmission(SubmissionStatus.PERSISTED) if found is None else None
