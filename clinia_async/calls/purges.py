"""Purges: all records of a collection, deleted by a task."""

from typing import ClassVar

from attrs import evolve, field, frozen

from clinia_async.calls.call import (
    Host,
    Request,
    RetrySafety,
    decode_submission,
    path_of,
    require_record,
)
from clinia_async.calls.good_answers import refuse_failure_beside, refuse_more_than_state
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import CollectionType, PurgeOperation, TaskStatus, TaskSubmission
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter


@frozen(eq=False, repr=False, field_transformer=checked)
class GetPurge(EqualByFields):
    """Get the state of a purge; `deleted_count` is there once it has succeeded.

    https://docs.clinia.com/api-reference/purge/get-the-result-of-a-purge-request
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/purge/{purge}"
    source: str = field(validator=validated_by(check_key, "$.source"))
    purge: TaskId

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, purge=str(self.purge))
        return Request("GET", Host.REGISTRY, self.route, path, is_poll=True)

    def decode_response(self, body: bytes) -> PurgeOperation:
        """Decode the purge. Raises `ProtocolError` for an answer that is about something else."""
        operation = converter.decode(body, PurgeOperation, {"taskId": self.purge.value})
        if not (operation.collection_type or operation.collection_key or operation.purge_id):
            refuse_more_than_state(operation)
        _check_ids(self.purge, operation)
        return operation


def _check_ids(purge: TaskId | None, operation: PurgeOperation) -> None:
    """Raise `ProtocolError` where one of the ids of an operation is that of another purge."""
    if purge is None:
        return
    more = operation.purge_id  # a deprecated field, whose id may be of the deprecated form
    is_same = more is None or purge.names(more) or more.names(purge)
    if not (is_same and purge.names(operation.task_id)):
        raise ProtocolError("the answer is about another purge")


def _known_type(value: CollectionType | str) -> CollectionType:
    if not isinstance(value, str):
        raise InvalidWrite("$.collectionType", "must be a CollectionType")
    return CollectionType(value)


@frozen(eq=False, repr=False)
class Purge(EqualByFields):
    """Delete all records of a collection; with resources, the relationships attached to them too.

    It cannot be undone, and partitions follow later. Never retried: a second purge would also delete what
    was written since the first.

    https://docs.clinia.com/api-reference/purge/purge-operation-request-for-resources-or-relationships
    """

    retry_safety = RetrySafety.ONCE
    route: ClassVar[str] = "/sources/{source}/v1/purge"
    task_kind: ClassVar[TaskKind] = TaskKind.PURGE
    source: str = field(validator=validated_by(check_key, "$.source"))
    collection_type: CollectionType = field(converter=_known_type)
    collection_key: str = field(validator=validated_by(check_key, "$.collectionKey"))

    def request(self) -> Request:
        body = converter.encode(
            {"collectionType": str(self.collection_type), "collectionKey": self.collection_key}
        )
        return Request("POST", Host.REGISTRY, self.route, path_of(self.route, source=self.source), body=body)

    def decode_response(self, body: bytes) -> TaskSubmission:
        submission = decode_submission(body, self._check)
        if submission.purge_operation is not None:
            _check_ids(submission.task_id, self.accept(submission.purge_operation))
        return submission

    def _check(self, submission: TaskSubmission) -> None:
        found = require_record(submission.purge_operation)
        if found.status != TaskStatus.SUCCESS:
            raise ProtocolError("the answer says PERSISTED, and the purge in it has not succeeded")

    def result(self, submission: TaskSubmission) -> PurgeOperation:
        return require_record(submission.purge_operation)

    def accept(self, found: PurgeOperation) -> PurgeOperation:
        """Return `found`.

        Raises:
            ProtocolError: it is the purge of another collection, or says of a part that it failed.
        """
        mine = (self.collection_type, self.collection_key)
        if (found.collection_type or mine[0], found.collection_key or mine[1]) != mine:
            raise ProtocolError("the answer is about the purge of another collection")
        if found.status == TaskStatus.SUCCESS:
            refuse_failure_beside(found.unknown_fields)
        return evolve(found, collection_type=mine[0], collection_key=mine[1])
