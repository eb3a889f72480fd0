"""Purges: everything of one collection, gone."""

from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import Host, Repeat, Request, path_of, stored, submission_answer
from clinia_async.calls.validation import check_key, checked
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import CollectionType, PurgeOperation, TaskSubmission
from clinia_async.models.task_id import TaskId
from clinia_async.serialization import converter as codec


@frozen
class GetPurge:
    """How a purge stands; `deleted_count` is there once it has succeeded.

    https://docs.clinia.com/api-reference/purge/get-the-result-of-a-purge-request
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/purge/{purge}"
    source: str = field(validator=checked(check_key, "$.source"))
    purge: TaskId

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, purge=str(self.purge))
        return Request("GET", Host.REGISTRY, self.route, path, ahead=True)

    def answer(self, body: bytes) -> PurgeOperation:
        operation = codec.decode(body, PurgeOperation)
        if not self.purge.names(operation.task_id):
            raise ProtocolError("the answer is about another purge")
        return operation


def _known_type(value: CollectionType | str) -> CollectionType:
    if not isinstance(value, str):
        raise InvalidWrite("$.collectionType", "must be a CollectionType")
    return CollectionType(value)


@frozen
class Purge:
    """Deletes all records of a collection; of resources, the relationships attached to them too.

    There is no way back, and partitions follow later. Sent once: a second purge would also delete what was
    written since the first.

    https://docs.clinia.com/api-reference/purge/purge-operation-request-for-resources-or-relationships
    """

    repeat: ClassVar[Repeat] = Repeat.ONCE
    route: ClassVar[str] = "/sources/{source}/v1/purge"
    source: str = field(validator=checked(check_key, "$.source"))
    collection_type: CollectionType = field(converter=_known_type)
    collection_key: str = field(validator=checked(check_key, "$.collectionKey"))

    def request(self) -> Request:
        body = codec.encode(
            {"collectionType": str(self.collection_type), "collectionKey": self.collection_key}
        )
        return Request("POST", Host.REGISTRY, self.route, path_of(self.route, source=self.source), body=body)

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body, lambda it: self.accept(stored(it.purge_operation)))

    def result(self, submission: TaskSubmission) -> PurgeOperation:
        return stored(submission.purge_operation)

    def accept(self, found: PurgeOperation) -> PurgeOperation:
        """`found`, if it is of the same collection."""
        if (found.collection_type, found.collection_key) != (self.collection_type, self.collection_key):
            raise ProtocolError("the answer is about the purge of another collection")
        return found
