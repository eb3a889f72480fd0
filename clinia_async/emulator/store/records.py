"""Records: resources and relationships alike, stored and shown."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import length_hint
from sqlite3 import Connection, IntegrityError
from typing import NamedTuple

from orjson import Fragment

from clinia_async.emulator.bodies.operation import RELATIONSHIP, Operation
from clinia_async.emulator.errors import ApiError, absent

_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPSERT = f"""
{_INSERT} ON CONFLICT DO UPDATE SET
    from_type = excluded.from_type, from_id = excluded.from_id,
    to_type = excluded.to_type, to_id = excluded.to_id,
    data = excluded.data, contained = excluded.contained, identifier = excluded.identifier,
    created_at = iif(?, excluded.created_at, created_at), updated_at = excluded.updated_at
"""
_BY_IDENTIFIER = """
SELECT records.* FROM records, json_each(records.identifier) AS one
WHERE source = ? AND records.target = ? AND records.type = ? AND ? =
    json_extract(one.value, '$.system') || ':' || json_extract(one.value, '$.value') || ':'
    || json_extract(one.value, '$.use')
ORDER BY records.id LIMIT 1
"""


_COUNT_DUPLICATES = """
INSERT INTO counters VALUES ('duplicates', ?) ON CONFLICT DO UPDATE SET value = value + excluded.value
"""


class Stored(NamedTuple):
    """One record in the emulator, as a test reads it."""

    source: str
    type: str
    id: str
    data: object


class Record(NamedTuple):
    """A row; `data`, `contained` and `identifier` are JSON, kept as the client wrote it."""

    source: str
    target: str
    type: str
    id: str
    from_type: str | None
    from_id: str | None
    to_type: str | None
    to_id: str | None
    data: str
    contained: str | None
    identifier: str | None
    created_at: str
    updated_at: str

    def document(self) -> dict[str, object]:
        """Return the record as the API shows it."""
        document: dict[str, object] = {"id": self.id, "type": self.type}
        if self.target == RELATIONSHIP:
            document["from"] = {"id": self.from_id, "type": self.from_type}
            document["to"] = {"id": self.to_id, "type": self.to_type}
        document |= {"data": Fragment(self.data), "meta": self._meta()}
        if self.contained is not None:
            document["contained"] = Fragment(self.contained)
        return document

    def _meta(self) -> dict[str, object]:
        meta: dict[str, object] = {
            "source": self.source,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }
        return meta if self.identifier is None else meta | {"identifier": Fragment(self.identifier)}


class DuplicateCounter:
    """Counts the creates of a record that already held the very same content.

    Such a create is refused and rolled back, so its count waits for `save`.
    """

    def __init__(self, database: Connection) -> None:
        self._database = database
        self._unsaved = 0

    def add(self) -> None:
        self._unsaved += 1

    def save(self) -> None:
        """Store the count, in the transaction that is open or in one of its own."""
        if self._unsaved:
            self._database.execute(_COUNT_DUPLICATES, (self._unsaved,))
            self._unsaved = 0

    def total(self) -> int:
        row = self._database.execute("SELECT value FROM counters WHERE name = 'duplicates'").fetchone()
        return int(row[0]) if row else 0


class Records:
    def __init__(self, database: Connection, duplicates: DuplicateCounter, already_exists: int) -> None:
        self._database = database
        self._duplicates = duplicates
        self._already_exists = already_exists

    def create(self, source: str, operation: Operation, stamp: str) -> Record:
        row = _row(source, operation, stamp)
        if not self._database.execute(f"{_INSERT} ON CONFLICT DO NOTHING", row).rowcount:
            raise self.taken(source, operation)
        return row

    def create_all(self, source: str, operations: list[Operation], stamp: str) -> list[bool]:
        """Execute creates in their order. Return for each whether it created its record."""
        rows = iter(_rows(source, operations, stamp))
        created: list[bool] = []
        while len(created) < len(operations):
            with suppress(IntegrityError):  # of the row that the iterator gave last
                self._database.executemany(_INSERT, rows)
                created += [True] * (len(operations) - len(created))
                break
            created += [True] * (len(operations) - len(created) - length_hint(rows) - 1)
            created.append(False)
        return created

    def put(self, source: str, operation: Operation, stamp: str) -> tuple[Record, bool]:
        """Replace all but `createdAt`, which changes only if the client gives it."""
        new = not self.has(source, operation)
        (row,) = self._database.execute(
            f"{_UPSERT} RETURNING *", _upsert(source, operation, stamp)
        ).fetchall()
        return Record(*row), new

    def put_all(self, source: str, operations: Iterable[Operation], stamp: str) -> None:
        rows = [_upsert(source, operation, stamp) for operation in operations]
        self._database.executemany(_UPSERT, rows)

    def save(self, record: Record, stamp: str) -> Record:
        """Store an edited record."""
        update = """
        UPDATE records SET data = ?, contained = ?, updated_at = ?
        WHERE source = ? AND target = ? AND type = ? AND id = ?
        """
        self._database.execute(update, (record.data, record.contained, stamp, *record[:4]))
        return record._replace(updated_at=stamp)

    def remove(self, source: str, operation: Operation) -> None:
        delete = "DELETE FROM records WHERE source = ? AND target = ? AND type = ? AND id = ?"
        if not self._database.execute(delete, _key(source, operation)).rowcount:
            raise absent(operation.target.lower())

    def purge(self, source: str, target: str, type_: str) -> int:
        """Delete the records of a type. Return how many there were."""
        delete = "DELETE FROM records WHERE source = ? AND target = ? AND type = ?"
        return self._database.execute(delete, (source, target, type_)).rowcount

    def delete_source(self, source: str) -> None:
        self._database.execute("DELETE FROM records WHERE source = ?", (source,))

    def taken(self, source: str, operation: Operation) -> ApiError:
        """Return the error of a create whose record exists."""
        if self._holds(source, operation):
            self._duplicates.add()
        message = f"the {operation.target.lower()} already exists"
        return ApiError("ALREADY_EXISTS", message, code=self._already_exists)

    def has(self, source: str, operation: Operation) -> bool:
        query = "SELECT 1 FROM records WHERE source = ? AND target = ? AND type = ? AND id = ?"
        return self._database.execute(query, _key(source, operation)).fetchone() is not None

    def get(self, source: str, target: str, type_: str, id_: str) -> Record:
        query = "SELECT * FROM records WHERE source = ? AND target = ? AND type = ? AND id = ?"
        return self._one(query, (source, target, type_, id_))

    def find(self, source: str, target: str, type_: str, identifier: str) -> Record:
        """Return the record that has an identifier, in the notation `{system}:{value}:{use}`."""
        return self._one(_BY_IDENTIFIER, (source, target, type_, identifier))

    def page(self, source: str, target: str, type_: str, after: str, limit: int) -> list[Record]:
        """Return the records that follow an id, in the order of ids."""
        query = """
        SELECT * FROM records WHERE source = ? AND target = ? AND type = ? AND id > ? ORDER BY id LIMIT ?
        """
        rows = self._database.execute(query, (source, target, type_, after, limit))
        return [Record(*row) for row in rows]

    def count(self, target: str, type_: str | None, source: str | None = None) -> int:
        query = """
        SELECT count(*) FROM records
        WHERE target = :target AND (:type IS NULL OR type = :type) AND (:source IS NULL OR source = :source)
        """
        wanted = {"target": target, "type": type_, "source": source}
        (count,) = self._database.execute(query, wanted).fetchone()
        return int(count)

    def stored(self, target: str) -> Iterator[Stored]:
        """Return all records in the order of source, type and id."""
        query = "SELECT source, type, id, data FROM records WHERE target = ? ORDER BY 1, 2, 3"
        rows = self._database.execute(query, (target,))
        return (Stored(source, type_, id_, json.loads(data)) for source, type_, id_, data in rows)

    def _holds(self, source: str, operation: Operation) -> bool:
        """Return whether the record equals the operation; timestamps count if the client gave them."""
        there = self.get(source, operation.target, operation.type, operation.id)
        same = _row(source, operation, there.created_at)
        return same._replace(updated_at=operation.updated_at or there.updated_at) == there

    def _one(self, query: str, key: tuple[str, str, str, str]) -> Record:
        if (row := self._database.execute(query, key).fetchone()) is None:
            raise absent(key[1].lower())
        return Record(*row)


def _key(source: str, operation: Operation) -> tuple[str, str, str, str]:
    return source, operation.target, operation.type, operation.id


def _upsert(source: str, operation: Operation, stamp: str) -> tuple[object, ...]:
    return *_row(source, operation, stamp), operation.created_at is not None


def _row(source: str, operation: Operation, stamp: str) -> Record:
    return Record(
        source,
        operation.target,
        operation.type,
        operation.id,
        operation.from_type,
        operation.from_id,
        operation.to_type,
        operation.to_id,
        operation.data,
        operation.contained,
        operation.identifier,
        operation.created_at or stamp,
        operation.updated_at or stamp,
    )


def _rows(source: str, operations: list[Operation], stamp: str) -> list[tuple[object, ...]]:
    """Return what `_row` returns, of many operations at once."""
    return [
        (source, target, type_, id_, *ends_and_content, identifier, created or stamp, updated or stamp)
        for target, _, type_, id_, *ends_and_content, created, updated, identifier, _, _, _ in operations
    ]
