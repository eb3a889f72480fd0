"""Tasks and their receipts, and the queue of writes whose time has yet to come."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from sqlite3 import Connection
from typing import NamedTuple

from orjson import dumps, loads

from clinia_async.emulator.bodies.operation import DONE, READY, REVIEWED, Operation
from clinia_async.emulator.clock import Clock
from clinia_async.emulator.errors import absent
from clinia_async.emulator.store.ids import Ids, names, number_of
from clinia_async.emulator.store.receipts import Receipt, Verdict, judge, pending, task_status

_GET = "SELECT id, target, status, received_at FROM tasks WHERE number = ? AND source = ?"
_WORK = "SELECT id, source, operations FROM tasks JOIN pending USING (number) WHERE number = ?"
_RECEIPTS = "SELECT receipts FROM tasks WHERE number = ?"
_LAST = """
SELECT max(ifnull(max(number), 0), ifnull((SELECT value FROM counters WHERE name = 'task'), 0)) FROM tasks
"""
_KEEP_LAST = "INSERT OR REPLACE INTO counters VALUES ('task', ?)"
SINGLE, BULK, BUNDLE, PURGE = "s_", "bk_", "bd_", "pg_"
"""Prefixes of the ids of tasks."""

_SUCCESS = Verdict("SUCCESS")
_Key = tuple[str, str, str, str]


class Due(NamedTuple):
    """An accepted task, in the order in which tasks are done: by due time, then by acceptance."""

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
    receipts: list[Receipt] | None = None
    """What they do not share; None if nobody asked for them."""

    def document(self) -> dict[str, object]:
        """As the API shows it."""
        task: dict[str, object] = {"status": self.status, "taskId": self.id}
        if self.receipts is not None:
            start = {"receivedAt": self.received_at, "taskId": self.id}
            task["receipts"] = [start | receipt for receipt in self.receipts]
        return task


class Tasks:
    def __init__(self, database: Connection, clock: Clock, seed: int, update_action: str) -> None:
        self._database = database
        self._clock = clock
        self._update_action = update_action
        (last,) = database.execute(_LAST).fetchone()
        self.ids = Ids(seed, last)
        self._queue = self._interrupted()
        heapq.heapify(self._queue)
        self._busy = Counter(
            key for work in self._unfinished() for key in _keys(work.source, work.operations)
        )

    def done(self, source: str, operations: list[Operation], stamp: str, *, prefix: str) -> str:
        """The id of a task born complete: that of a write that was persisted at once."""
        number, id_ = self.ids.task(prefix)
        receipts = self._pending(operations)
        for receipt in receipts:
            judge(receipt, _SUCCESS, stamp)
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
    ) -> tuple[int, str]:
        """Number and id of a task that is due after `latency` seconds of the loop's clock."""
        number, id_ = self.ids.task(prefix)
        work = (number, latency, dumps(operations, default=tuple).decode())
        self._insert(number, source, Task(id_, target, "PENDING", stamp, [] if prefix == PURGE else None))
        self._database.execute("INSERT INTO pending VALUES (?, ?, ?)", work)
        heapq.heappush(self._queue, Due(self._clock.now() + latency, number))
        self._busy.update(_keys(source, operations))
        return number, id_

    def busy(self, source: str, operation: Operation) -> bool:
        """Whether an accepted task that is not over touches the same record."""
        return (source, operation.target, operation.type, operation.id) in self._busy

    def due(self) -> Iterator[Due]:
        """Takes every task whose time has come off the queue."""
        now = self._clock.now()
        while self._queue and self._queue[0].moment <= now:
            yield heapq.heappop(self._queue)

    def anything_due(self) -> bool:
        return bool(self._queue) and self._queue[0].moment <= self._clock.now()

    def work(self, number: int) -> Work | None:
        """What an accepted task has to do; None if it is over, or gone with its source."""
        row = self._database.execute(_WORK, (number,)).fetchone()
        return _work(number, *row) if row else None

    def in_review(self, asked: str) -> Work:
        """An accepted task that nobody waits for but a reviewer."""
        query = "SELECT 1 FROM pending WHERE number = ? AND latency IS NULL"
        work = self.work(number_of(asked))
        if work is None or work.id != asked or not self._database.execute(query, (work.number,)).fetchone():
            raise LookupError("no operation of such a task is in review")
        return work

    def conclude(self, work: Work, verdicts: list[Verdict | None], stamp: str) -> None:
        """Write down how operations ended. Those that have no verdict are a reviewer's, and wait."""
        receipts = self._receipts(work.number, work)
        for receipt, verdict in zip(receipts, verdicts, strict=False):
            if verdict is not None:
                judge(receipt, verdict, stamp)
        status = task_status(str(receipt["status"]) for receipt in receipts)
        update = "UPDATE tasks SET status = ?, receipts = ? WHERE number = ?"
        self._database.execute(update, (status, dumps(receipts).decode(), work.number))
        self._put_away(work, verdicts)

    def get(self, source: str, asked: str, *, with_receipts: bool = False) -> Task:
        number = number_of(asked)
        row = self._database.execute(_GET, (number, source)).fetchone()
        if row is None or not names(row[0], asked):
            raise absent("task in this source")
        return Task(*row)._replace(receipts=self._receipts(number) if with_receipts else None)

    def count(self) -> dict[str, int]:
        """How many there are, by status."""
        return dict(self._database.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall())

    def forget(self, source: str) -> None:
        """What is in the queue will find nothing to do, and no number comes again."""
        self._database.execute(_KEEP_LAST, (self.ids.last,))
        for work in self._unfinished():
            if work.source == source:
                self._free(_keys(source, work.operations))
        for table in _OF_TASKS:
            self._database.execute(table, (source,))

    def _put_away(self, work: Work, verdicts: list[Verdict | None]) -> None:
        """Keep what a reviewer still has, and nothing else."""
        pairs = list(zip(work.operations, verdicts, strict=True))
        over = [operation for operation, verdict in pairs if verdict and verdict.status != "PENDING"]
        self._free(_keys(work.source, over))
        if len(over) == sum(operation.state != DONE for operation in work.operations):
            self._database.execute("DELETE FROM pending WHERE number = ?", (work.number,))
            return
        rest = [
            operation._replace(state=DONE) if verdict and verdict.status != "PENDING" else operation
            for operation, verdict in pairs
        ]
        update = "UPDATE pending SET latency = NULL, operations = ? WHERE number = ?"
        self._database.execute(update, (dumps(rest, default=tuple).decode(), work.number))

    def _free(self, keys: Iterable[_Key]) -> None:
        for key in keys:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]

    def _insert(self, number: int, source: str, task: Task) -> None:
        receipts = None if task.receipts is None else dumps(task.receipts).decode()
        row = (number, task.id, source, task.target, task.status, task.received_at, receipts)
        self._database.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _receipts(self, number: int, work: Work | None = None) -> list[Receipt]:
        """As they are written down, or as its operations tell while none of them has ended."""
        (text,) = self._database.execute(_RECEIPTS, (number,)).fetchone()
        if text is None:
            work = work or self.work(number)
            return self._pending(work.operations if work else [])
        receipts: list[Receipt] = loads(text)
        return receipts

    def _pending(self, operations: list[Operation]) -> list[Receipt]:
        return [pending(operation, self._update_action) for operation in operations]

    def _unfinished(self) -> Iterator[Work]:
        query = "SELECT number, id, source, operations FROM tasks JOIN pending USING (number)"
        return (_work(*row) for row in self._database.execute(query).fetchall())

    def _interrupted(self) -> list[Due]:
        """What an earlier run left behind. The loop's clock began anew, and so does each latency."""
        now = self._clock.now()
        rows = self._database.execute("SELECT number, latency FROM pending WHERE latency IS NOT NULL")
        return [Due(now + latency, number) for number, latency in rows]


_OF_TASKS = (
    "DELETE FROM pending WHERE number IN (SELECT number FROM tasks WHERE source = ?)",
    "DELETE FROM purges WHERE number IN (SELECT number FROM tasks WHERE source = ?)",
    "DELETE FROM tasks WHERE source = ?",
)


def _work(number: int, id_: str, source: str, operations: str) -> Work:
    return Work(number, id_, source, list(map(Operation._make, loads(operations))))


def _keys(source: str, operations: list[Operation]) -> Iterator[_Key]:
    """The records that are not to be touched by another task meanwhile."""
    for operation in operations:
        if operation.state in (READY, REVIEWED) and operation.action != "PURGE":
            yield source, operation.target, operation.type, operation.id
