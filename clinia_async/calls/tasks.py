"""Tasks."""

from functools import lru_cache
from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import Host, Repeat, Request, path_of, segment
from clinia_async.calls.validation import check_key, checked
from clinia_async.errors import ProtocolError
from clinia_async.models import TaskSnapshot
from clinia_async.models.task_id import TaskId
from clinia_async.serialization import converter as codec


@frozen
class GetTask:
    """https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry"""

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/tasks/{task}"
    source: str = field(validator=checked(check_key, "$.source"))
    task: TaskId
    with_receipts: bool = False

    def request(self) -> Request:
        path = _tasks_of(self.source) + segment(self.task.value)
        query = "withReceipts=true" if self.with_receipts else ""
        return Request("GET", Host.REGISTRY, self.route, path, query, ahead=True)

    def answer(self, body: bytes) -> TaskSnapshot:
        snapshot = codec.decode(body, TaskSnapshot)
        if snapshot.task_id is not None and not self.task.names(snapshot.task_id):
            raise ProtocolError("the answer is about another task")
        return snapshot


@lru_cache(maxsize=1024)
def _tasks_of(source: str) -> str:
    """What comes before the id in the path of a task: there may be a hundred thousand of those."""
    return path_of(GetTask.route.removesuffix("{task}"), source=source)
