"""The state of a task."""

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import (
    Host,
    Request,
    RetrySafety,
    path_of,
    segment,
)
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.errors import ProtocolError
from clinia_async.models import PurgeOperation, TaskSnapshot
from clinia_async.models.task_id import TaskId
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter
from clinia_async.serialization.foreign_answers import holds_something


@frozen(eq=False, repr=False, field_transformer=checked)
class GetTask(EqualByFields):
    """Get the state of a task, with receipts if `with_receipts`.

    https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry
    """

    retry_safety: ClassVar[RetrySafety] = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/tasks/{task}"
    source: str = field(validator=validated_by(check_key, "$.source"))
    task: TaskId
    with_receipts: bool = False

    def request(self) -> Request:
        path = _tasks_of(self.source) + segment(self.task.value)
        query = "withReceipts=true" if self.with_receipts else ""
        return Request("GET", Host.REGISTRY, self.route, path, query, is_poll=True)

    def decode_response(self, body: bytes) -> TaskSnapshot:
        snapshot = converter.decode(body, TaskSnapshot)
        if snapshot.task_id is None:
            refuse_more_than_state(snapshot)
        elif not self.task.names(snapshot.task_id):
            raise ProtocolError("the answer is about another task")
        return snapshot


def refuse_more_than_state(
    found: TaskSnapshot | PurgeOperation, *, may_have: AbstractSet[str] = frozenset()
) -> None:
    """Check an answer that does not name its task: it is taken if it holds nothing else than `may_have`.

    Raises:
        ProtocolError: it has other fields, as the `{"status": "CANCELLED", "message": ...}` of a gateway.
    """
    if isinstance(found, TaskSnapshot) and found.receipts is not None:
        return  # it is the service's, whatever it adds
    unknown = found.unknown_fields or {}
    if holds_something({name: unknown[name] for name in unknown.keys() - may_have}):
        raise ProtocolError("the answer does not name its task, and is about something else")


@lru_cache(maxsize=1024)
def _tasks_of(source: str) -> str:
    """Return the path of tasks before the id, cached: a session may poll a hundred thousand tasks."""
    return path_of(GetTask.route.removesuffix("{task}"), source=source)
