"""Tasks, their receipts and purges, and the queue of accepted writes."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from sqlite3 import Connection
from typing import NamedTuple

from orjson import Fragment, dumps, loads

from clinia_async.emulator.bodies.operation import APPROVED, DONE, READY, REJECTED, REVIEWED, Operation
from clinia_async.emulator.clock import Clock
from clinia_async.emulator.errors import absent
from clinia_async.emulator.store.ids import Ids, names, number_of
from clinia_async.emulator.store.receipts import OperationResult, Receipt, apply_result, pending, task_status

_GET = "SELECT id, target, status, received_at FROM tasks WHERE number = ? AND source = ?"
_WORK = "SELECT id, source, operations FROM tasks JOIN pending USING (number) WHERE number = ?"
_RECEIPTS = "SELECT receipts FROM tasks WHERE number = ?"
_LAST = """
SELECT max(ifnull(max(number), 0), ifnull((SELECT value FROM counters WHERE name = 'task'), 0)) FROM tasks
"""
_KEEP_LAST = "INSERT OR REPLACE INTO counters VALUES ('task', ?)"
SINGLE, BULK, BUNDLE, PURGE = "s_", "bk_", "bd_", "pg_"
"""Prefixes of the ids of tasks."""

_SUCCESS = OperationResult("SUCCESS")
_Key = tuple[str, str, str, str]
_WRITING = frozenset({READY, REVIEWED, APPROVED, REJECTED})
"""States of operations whose record no other task may write."""

_PURGE_COLLECTIONS = {"RELATIONSHIP": "relationships", "RESOURCE": "resources"}


Earlier = Callable[[int], tuple[bool, str | None, str | None]]
"""Whether a task has changed since, and its status and receipts before."""


class Due(NamedTuple):
    """An accepted task, in the order of execution: by due time, then by acceptance."""

    moment: float
    number: int


class Work(NamedTuple):
    """An accepted task that is not over."""

    number: int
    id: str
    source: str
    operations: list[Operation]


class Task(NamedTuple):
    id: str
    target: str
    status: str
    received_at: str
    receipts: Fragment | list[Receipt] | None = None
    """JSON as it is stored, or a list; None if they were not asked for."""

    def document(self) -> dict[str, object]:
        """Return the task as the API shows it."""
        task: dict[str, object] = {"status": self.status, "taskId": self.id}
        if self.receipts is not None:
            task["receipts"] = self.receipts
        return task


class Tasks:
    def __init__(self, database: Connection, clock: Clock, seed: int, update_action: str) -> None:
        self._database = database
        self._is_file = bool(database.execute("SELECT file <> '' FROM pragma_database_list").fetchone()[0])
        self._operations: dict[int, list[Operation]] = {}
        self._clock = clock
        self._update_action = update_action
        (last,) = database.execute(_LAST).fetchone()
        self.ids = Ids(seed, last)
        self._queue = self._interrupted()
        heapq.heapify(self._queue)
        self._polls_left: dict[int, int] = {}
        self._busy: dict[_Key, int] = {}
        for work in self._unfinished():
            self._occupy(_keys(work.source, work.operations))

    def add_finished(self, source: str, operations: list[Operation], stamp: str, *, prefix: str) -> str:
        """Add the finished task of a write that was persisted at once. Return its id."""
        number, id_ = self.ids.task(prefix)
        receipts = self._pending(operations, id_, stamp)
        for receipt in receipts:
            apply_result(receipt, _SUCCESS, stamp)
        self._insert(number, source, Task(id_, "", "SUCCESS", stamp, receipts))
        return id_

    def accept(
        self,
        source: str,
        operations: list[Operation],
        stamp: str,
        *,
        prefix: str,
        target: str,
        latency: float,
        polls: int | None = None,
    ) -> tuple[int, str]:
        """Add a task, due after seconds or after so many polls. Return its number and id."""
        number, id_ = self.ids.task(prefix)
        self._operations[number] = operations
        self._insert(number, source, Task(id_, target, "PENDING", stamp, [] if prefix == PURGE else None))
        self._database.execute(
            "INSERT INTO pending VALUES (?, ?, ?)", (number, latency, self._text(operations))
        )
        if polls is None:
            heapq.heappush(self._queue, Due(self._clock.now() + latency, number))
        else:
            self._polls_left[number] = polls
        self._occupy(_keys(source, operations))
        return number, id_

    def busy(self, source: str, operation: Operation) -> bool:
        """Return whether an unfinished task has an operation on the same record."""
        return (source, operation.target, operation.type, operation.id) in self._busy

    def any_busy(self) -> bool:
        return bool(self._busy)

    def count_poll(self, asked: str) -> None:
        """Make a task due whose polls have all seen it pending."""
        number = number_of(asked)
        if (left := self._polls_left.get(number)) is None:
            return
        if left:
            self._polls_left[number] = left - 1
        else:
            del self._polls_left[number]
            heapq.heappush(self._queue, Due(self._clock.now(), number))

    def due(self) -> Iterator[Due]:
        """Remove every due task from the queue, and yield it."""
        now = self._clock.now()
        while self._queue and self._queue[0].moment <= now:
            yield heapq.heappop(self._queue)

    def anything_due(self) -> bool:
        return bool(self._queue) and self._queue[0].moment <= self._clock.now()

    def work(self, number: int) -> Work | None:
        """Return the work of an unfinished task; None if it is finished or its source was deleted."""
        if (row := self._database.execute(_WORK, (number,)).fetchone()) is None:
            return None
        id_, source, text = row
        return Work(number, id_, source, self._operations.get(number) or _operations(text))

    def in_review(self, asked: str) -> Work:
        """Return the work of a task that is in review; a `LookupError` for any other."""
        query = "SELECT 1 FROM pending WHERE number = ? AND latency IS NULL"
        work = self.work(number_of(asked))
        if work is None or work.id != asked or not self._database.execute(query, (work.number,)).fetchone():
            raise LookupError("no operation of such a task is in review")
        return work

    def complete(self, work: Work, results: list[OperationResult | None], stamp: str) -> None:
        """Store the results of operations. Operations without a result are in review and stay pending."""
        receipts = self._receipts(work)
        for receipt, result in zip(receipts, results, strict=False):
            if result is not None:
                apply_result(receipt, result, stamp)
        status = task_status([str(receipt["status"]) for receipt in receipts])
        update = "UPDATE tasks SET status = ?, receipts = ? WHERE number = ?"
        self._database.execute(update, (status, dumps(receipts).decode(), work.number))
        self._store_rest(work, results)

    def get(
        self, source: str, asked: str, *, with_receipts: bool = False, earlier: Earlier | None = None
    ) -> Task:
        """Return a task, with `earlier` as it was before. Raises `ApiError` if there is none."""
        number = number_of(asked)
        row = self._database.execute(_GET, (number, source)).fetchone()
        if row is None or not names(row[0], asked):
            raise absent("task in this source")
        task = Task(*row)
        changed, status, text = earlier(number) if earlier is not None else (False, None, None)
        if changed and status is None:
            raise absent("task in this source")
        if status is not None:
            task = task._replace(status=status)
        if not with_receipts:
            return task
        if not changed:
            (text,) = self._database.execute(_RECEIPTS, (number,)).fetchone()
        return task._replace(receipts=self._pending_now(number, task) if text is None else Fragment(text))

    def count(self) -> dict[str, int]:
        """Return how many there are, by status."""
        return dict(self._database.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall())

    def reset(self) -> None:
        """Start with number 1 again, after all tasks were deleted."""
        self._queue.clear()
        self._operations.clear()
        self._busy.clear()
        self._polls_left.clear()
        self.ids.reset()

    def delete_source(self, source: str) -> None:
        """Delete the tasks of a source. Queue entries then find no work, and no number is used again."""
        self._database.execute(_KEEP_LAST, (self.ids.last,))
        for work in self._unfinished():
            if work.source == source:
                self._release(_keys(source, work.operations))
                self._operations.pop(work.number, None)
        for table in _OF_TASKS:
            self._database.execute(table, (source,))

    def _store_rest(self, work: Work, results: list[OperationResult | None]) -> None:
        """Keep the operations that are in review, and nothing else."""
        pairs = list(zip(work.operations, results, strict=True))
        over = [operation for operation, result in pairs if result and result.status != "PENDING"]
        self._release(_keys(work.source, over))
        if len(over) == len(pairs) or len(over) == sum(one.state != DONE for one in work.operations):
            self._database.execute("DELETE FROM pending WHERE number = ?", (work.number,))
            self._operations.pop(work.number, None)
            return
        rest = [
            operation._replace(state=DONE) if result and result.status != "PENDING" else operation
            for operation, result in pairs
        ]
        self._operations[work.number] = rest
        update = "UPDATE pending SET latency = NULL, operations = ? WHERE number = ?"
        self._database.execute(update, (self._text(rest), work.number))

    def _text(self, operations: list[Operation]) -> str:
        """Return operations as JSON for a restart; what is in memory alone has none."""
        return dumps(operations, default=tuple).decode() if self._is_file else ""

    def _occupy(self, keys: Iterable[_Key]) -> None:
        busy = self._busy
        for key in keys:
            busy[key] = busy.get(key, 0) + 1

    def _release(self, keys: Iterable[_Key]) -> None:
        busy = self._busy
        for key in keys:
            if left := busy[key] - 1:
                busy[key] = left
            else:
                del busy[key]

    def _insert(self, number: int, source: str, task: Task) -> None:
        receipts = None if task.receipts is None else dumps(task.receipts).decode()
        row = (number, task.id, source, task.target, task.status, task.received_at, receipts)
        self._database.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _receipts(self, work: Work) -> list[Receipt]:
        """Return stored receipts, or pending ones before the first result."""
        query = "SELECT received_at, receipts FROM tasks WHERE number = ?"
        received_at, text = self._database.execute(query, (work.number,)).fetchone()
        if text is None:
            return self._pending(work.operations, work.id, received_at)
        receipts: list[Receipt] = loads(text)
        return receipts

    def _pending_now(self, number: int, task: Task) -> list[Receipt]:
        """Return receipts as they are, or were, while all operations are pending."""
        if (work := self.work(number)) is not None:
            return self._pending(work.operations, task.id, task.received_at)
        (text,) = self._database.execute(_RECEIPTS, (number,)).fetchone()
        names = ("receivedAt", "taskId", "action", "targetType", "id", "type")
        return [{"status": "PENDING", **{name: receipt[name] for name in names}} for receipt in loads(text)]

    def _pending(self, operations: list[Operation], id_: str, received_at: str) -> list[Receipt]:
        return [pending(operation, self._update_action, id_, received_at) for operation in operations]

    def _unfinished(self) -> Iterator[Work]:
        query = "SELECT number, id, source, operations FROM tasks JOIN pending USING (number)"
        for number, id_, source, text in self._database.execute(query).fetchall():
            yield Work(number, id_, source, self._operations.get(number) or _operations(text))

    def _interrupted(self) -> list[Due]:
        """Return the unfinished tasks of an earlier run, whose latencies start anew."""
        now = self._clock.now()
        rows = self._database.execute("SELECT number, latency FROM pending WHERE latency IS NOT NULL")
        return [Due(now + latency, number) for number, latency in rows]


class Purges:
    """The state of each purge, under the number of its task."""

    def __init__(self, database: Connection) -> None:
        self._database = database

    def begin(self, number: int, operation: Operation, stamp: str) -> None:
        row = (number, operation.target, operation.type, None, stamp)
        self._database.execute("INSERT INTO purges VALUES (?, ?, ?, ?, ?)", row)

    def finish(self, number: int, deleted: int, stamp: str) -> None:
        update = "UPDATE purges SET deleted = ?, updated_at = ? WHERE number = ?"
        self._database.execute(update, (deleted, stamp, number))

    def document(self, number: int, task: Task) -> dict[str, object]:
        """Return the purge as the API shows it."""
        query = "SELECT target, type, deleted, updated_at FROM purges WHERE number = ?"
        target, type_, deleted, updated_at = self._database.execute(query, (number,)).fetchone()
        counted = {} if deleted is None else {"deletedCount": deleted}
        return {
            "taskId": task.id,
            "purgeId": task.id,
            "collectionType": _PURGE_COLLECTIONS[target],
            "collectionKey": type_,
            "status": task.status,
            **counted,
            "createdAt": task.received_at,
            "updatedAt": updated_at,
        }


_OF_TASKS = (
    "DELETE FROM pending WHERE number IN (SELECT number FROM tasks WHERE source = ?)",
    "DELETE FROM purges WHERE number IN (SELECT number FROM tasks WHERE source = ?)",
    "DELETE FROM tasks WHERE source = ?",
)


def _operations(text: str) -> list[Operation]:
    return list(map(Operation._make, loads(text)))


def _keys(source: str, operations: list[Operation]) -> Iterator[_Key]:
    """Yield the records that another task may not write meanwhile."""
    for operation in operations:
        if operation.state in _WRITING and operation.action != "PURGE":
            yield source, operation.target, operation.type, operation.id
