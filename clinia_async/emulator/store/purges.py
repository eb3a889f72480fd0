"""Purges: what became of each, under the id of its task."""

from sqlite3 import Connection

from clinia_async.emulator.bodies.operation import Operation
from clinia_async.emulator.store.tasks import Task

_COLLECTIONS = {"RELATIONSHIP": "relationships", "RESOURCE": "resources"}


class Purges:
    def __init__(self, database: Connection) -> None:
        self._database = database

    def begin(self, number: int, operation: Operation, stamp: str) -> None:
        row = (number, operation.target, operation.type, None, stamp)
        self._database.execute("INSERT INTO purges VALUES (?, ?, ?, ?, ?)", row)

    def finish(self, number: int, deleted: int, stamp: str) -> None:
        update = "UPDATE purges SET deleted = ?, updated_at = ? WHERE number = ?"
        self._database.execute(update, (deleted, stamp, number))

    def document(self, number: int, task: Task) -> dict[str, object]:
        """As the API shows it."""
        query = "SELECT target, type, deleted, updated_at FROM purges WHERE number = ?"
        target, type_, deleted, updated_at = self._database.execute(query, (number,)).fetchone()
        counted = {} if deleted is None else {"deletedCount": deleted}
        return {
            "taskId": task.id,
            "purgeId": task.id,
            "collectionType": _COLLECTIONS[target],
            "collectionKey": type_,
            "status": task.status,
            **counted,
            "createdAt": task.received_at,
            "updatedAt": updated_at,
        }
