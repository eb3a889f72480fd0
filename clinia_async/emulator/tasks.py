"""Tasks and their receipts, and the queue of writes whose time has yet to come."""

import heapq
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import count
from sqlite3 import Connection
from string import ascii_letters, digits
from typing import NamedTuple

from orjson import dumps, loads

from .clock import Clock
from .errors import ApiError
from .operations import Operation

_GET = """
SELECT status, received_at, completed_at, receipts FROM tasks WHERE number = ? AND id = ? AND source = ?
"""
_DIGITS = digits + ascii_letters
_ANY_BYTE = (_DIGITS * 5)[:256].encode()
_NUMBER_LENGTH = 7
_OURS = re.compile(r"[a-z]+_([0-9A-Za-z]{7})[0-9A-Za-z]{20}", re.ASCII)

Error = dict[str, object] | None
"""The envelope of a failed operation; None if it went well."""


class Due(NamedTuple):
    """An accepted task, in the order in which tasks are done: by due time, then by acceptance."""

    moment: float
    number: int


class Tasks:
    def __init__(self, database: Connection, clock: Clock, seed: int) -> None:
        self._database = database
        self._clock = clock
        self._seed = seed
        (last,) = database.execute("SELECT coalesce(max(number), 0) FROM tasks").fetchone()
        self._numbers = count(last + 1)
        self._queue = self._interrupted()
        heapq.heapify(self._queue)

    def done(self, source: str, operation: Operation, stamp: str) -> str:
        """The id of a task born complete: that of a write that was persisted at once."""
        number, id_ = self._new("s_")
        receipts = _receipts([operation], ["SUCCESS"])
        row = (number, id_, source, "SUCCESS", stamp, stamp, receipts)
        self._database.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return id_

    def accept(self, source: str, operations: list[Operation], *, prefix: str, latency: float) -> str:
        """The id of a task that is due after `latency` seconds of the loop's clock."""
        number, id_ = self._new(prefix)
        receipts = _receipts(operations, ["PENDING"] * len(operations))
        row = (number, id_, source, "PENDING", self._clock.stamp(), None, receipts)
        work = (number, latency, dumps(operations, default=tuple).decode())
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._database.execute("INSERT INTO pending VALUES (?, ?, ?)", work)
        heapq.heappush(self._queue, Due(self._clock.now() + latency, number))
        return id_

    def due(self) -> Iterator[Due]:
        """Takes every task whose time has come off the queue."""
        now = self._clock.now()
        while self._queue and self._queue[0].moment <= now:
            yield heapq.heappop(self._queue)

    def anything_due(self) -> bool:
        return bool(self._queue) and self._queue[0].moment <= self._clock.now()

    def work(self, due: Due) -> tuple[str, list[Operation]]:
        """The source and the operations of an accepted task."""
        query = "SELECT source, operations FROM tasks JOIN pending USING (number) WHERE number = ?"
        source, operations = self._database.execute(query, (due.number,)).fetchone()
        return source, [Operation(*row) for row in loads(operations)]

    def finish(self, due: Due, operations: list[Operation], errors: list[Error]) -> None:
        statuses = ["FAILURE" if error else "SUCCESS" for error in errors]
        row = (task_status(statuses), self._clock.stamp(due.moment), _receipts(operations, statuses, errors))
        update = "UPDATE tasks SET status = ?, completed_at = ?, receipts = ? WHERE number = ?"
        self._database.execute(update, (*row, due.number))
        self._database.execute("DELETE FROM pending WHERE number = ?", (due.number,))

    def get(self, source: str, id_: str, *, with_receipts: bool) -> dict[str, object]:
        row = self._database.execute(_GET, (_number(id_), id_, source)).fetchone()
        if row is None:
            raise ApiError("NOT_FOUND", "no such task in this source")
        status, received_at, completed_at, receipts = row
        task: dict[str, object] = {"status": status, "taskId": id_}
        if with_receipts:
            start = {"receivedAt": received_at, "taskId": id_}
            end = {"completedAt": completed_at} if completed_at else {}
            task["receipts"] = [start | receipt | end for receipt in loads(receipts)]
        return task

    def _new(self, prefix: str) -> tuple[int, str]:
        """A number, and an id that looks like the service's: 27 letters and digits, told by the seed.

        The id begins with the number, so that a task is found without an index.
        """
        number = next(self._numbers)
        digest = blake2b(f"{self._seed}:{number}".encode(), digest_size=20).digest()
        return number, f"{prefix}{_base62(number)}{digest.translate(_ANY_BYTE).decode()}"

    def _interrupted(self) -> list[Due]:
        """What an earlier run left behind. The loop's clock began anew, and so does each latency."""
        now = self._clock.now()
        rows = self._database.execute("SELECT number, latency FROM pending")
        return [Due(now + latency, number) for number, latency in rows]


def task_status(statuses: Iterable[str]) -> str:
    """The status of a task, from those of its receipts."""
    match sorted(set(statuses)):
        case [only]:
            return only
        case several if "PENDING" in several:
            return "PENDING"
        case _:
            return "FAILURE"


def _receipts(operations: list[Operation], statuses: list[str], errors: list[Error] | None = None) -> str:
    """JSON of what the receipts do not share."""
    rows = zip(operations, statuses, errors or [None] * len(operations), strict=True)
    return dumps([_receipt(*row) for row in rows]).decode()


def _receipt(operation: Operation, status: str, error: Error) -> dict[str, object]:
    receipt: dict[str, object] = {
        "action": operation.action,
        "status": status,
        "targetType": "RELATIONSHIP",
        "id": operation.id,
        "type": operation.type,
    }
    return receipt | {"error": error} if error else receipt


def _base62(number: int) -> str:
    figures = ""
    while number:
        number, figure = divmod(number, 62)
        figures = _DIGITS[figure] + figures
    return figures.rjust(_NUMBER_LENGTH, "0")


def _number(id_: str) -> int:
    """The number that an id of ours begins with; 0, which no task has, for any other id."""
    if not (ours := _OURS.fullmatch(id_)):
        return 0
    return sum(_DIGITS.index(figure) * 62**place for place, figure in enumerate(reversed(ours[1])))
