"""Earlier states of records and tasks, for reads that lag behind as those of a replica do.

Triggers write them down, from the moment on at which the first such read is expected.
"""

from collections.abc import Callable
from sqlite3 import Connection

from clinia_async.emulator.store.records import Record

_KEPT = 600.0
"""Seconds after which an earlier state is forgotten."""

_OLD = ", ".join(f"OLD.{name}" for name in Record._fields)
_NEW_KEY = ", ".join(f"NEW.{name}" for name in Record._fields[:4])
_SCHEMA = f"""
CREATE TEMP TABLE record_history AS SELECT 0.0 AS moment, 0 AS existed, * FROM records WHERE 0;
CREATE INDEX temp.record_keys ON record_history (id, moment);
CREATE TEMP TRIGGER record_added AFTER INSERT ON main.records BEGIN
    INSERT INTO record_history (moment, existed, source, target, type, id) VALUES (now(), 0, {_NEW_KEY});
END;
CREATE TEMP TRIGGER record_changed AFTER UPDATE ON main.records BEGIN
    INSERT INTO record_history VALUES (now(), 1, {_OLD});
END;
CREATE TEMP TRIGGER record_removed AFTER DELETE ON main.records BEGIN
    INSERT INTO record_history VALUES (now(), 1, {_OLD});
END;
CREATE TEMP TABLE task_history (moment REAL, number INTEGER, status TEXT, receipts TEXT);
CREATE INDEX temp.task_numbers ON task_history (number, moment);
CREATE TEMP TRIGGER task_added AFTER INSERT ON main.tasks BEGIN
    INSERT INTO task_history VALUES (now(), NEW.number, NULL, NULL);
END;
CREATE TEMP TRIGGER task_changed AFTER UPDATE ON main.tasks BEGIN
    INSERT INTO task_history VALUES (now(), OLD.number, OLD.status, OLD.receipts);
END;
"""  # noqa: S608
_RECORD = f"""
SELECT existed, {", ".join(Record._fields)} FROM record_history
WHERE source = ? AND target = ? AND type = ? AND id = ? AND moment > ? ORDER BY rowid LIMIT 1
"""  # noqa: S608
_TASK = "SELECT status, receipts FROM task_history WHERE number = ? AND moment > ? ORDER BY rowid LIMIT 1"


class History:
    def __init__(self, database: Connection, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        database.create_function("now", 0, now)
        database.executescript(_SCHEMA)

    def record(self, key: tuple[str, str, str, str], lag: float) -> tuple[bool, Record | None]:
        """Return whether a record has changed since `lag` seconds ago, and how it was then."""
        self._forget()
        row = self._database.execute(_RECORD, (*key, self._now() - lag)).fetchone()
        if row is None:
            return False, None
        existed, *columns = row
        return True, Record(*columns) if existed else None

    def task(self, number: int, lag: float) -> tuple[bool, str | None, str | None]:
        """Return whether a task has changed since `lag` seconds ago, and its status and receipts then."""
        self._forget()
        row = self._database.execute(_TASK, (number, self._now() - lag)).fetchone()
        return (False, None, None) if row is None else (True, *row)

    def clear(self) -> None:
        self._forget(since=self._now() + 1)

    def _forget(self, since: float | None = None) -> None:
        oldest = self._now() - _KEPT if since is None else since
        for table in ("record_history", "task_history"):
            self._database.execute(f"DELETE FROM {table} WHERE moment < ?", (oldest,))  # noqa: S608
