"""The state of a task."""

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
from clinia_async.calls.good_answers import refuse_more_than_state
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.errors import ProtocolError
from clinia_async.models import TaskSnapshot
from clinia_async.models.task_id import TaskId
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter


@frozen(eq=False, repr=False, field_transformer=checked)
class GetTask(EqualByFields):
    """Get the state of a task, with receipts if `with_receipts`.

    https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/tasks/{task}"
    source: str = field(validator=validated_by(check_key, "$.source"))
    task: TaskId
    with_receipts: bool = False

    def request(self) -> Request:
        path = _tasks_of(self.source) + segment(self.task.value)
        query = "withReceipts=true" if self.with_receipts else ""
        return Request("GET", Host.REGISTRY, self.route, path, query, is_poll=True)

    def decode_response(self, body: bytes) -> TaskSnapshot:
        """Decode the state. Raises `ProtocolError` for an answer that is about something else."""
        snapshot = converter.decode(body, TaskSnapshot)
        if snapshot.task_id is None:
            refuse_more_than_state(snapshot)
        elif not self.task.names(snapshot.task_id):
            raise ProtocolError("the answer is about another task")
        return snapshot


@lru_cache(maxsize=1024)
def _tasks_of(source: str) -> str:
    """Return the path of tasks before the id, cached: a session may poll a hundred thousand tasks."""
    return path_of(GetTask.route.removesuffix("{task}"), source=source)
