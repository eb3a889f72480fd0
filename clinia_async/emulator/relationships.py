"""Relationships, stored and shown."""

import json
from collections.abc import Iterator
from sqlite3 import Connection
from typing import NamedTuple

from orjson import Fragment

from .errors import ApiError
from .operations import Operation

_UPSERT = """
INSERT INTO relationships VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    from_ = excluded.from_, to_ = excluded.to_, data = excluded.data, identifier = excluded.identifier,
    created_at = iif(?, excluded.created_at, created_at), updated_at = excluded.updated_at
"""


class Stored(NamedTuple):
    """One relationship in the emulator, for a test to look at."""

    source: str
    type: str
    id: str
    data: object


class Relationship(NamedTuple):
    """A row; `from_`, `to`, `data` and `identifier` are JSON, kept as the client wrote it."""

    source: str
    type: str
    id: str
    from_: str
    to: str
    data: str
    identifier: str | None
    created_at: str
    updated_at: str

    def document(self) -> dict[str, object]:
        """As the API shows it."""
        meta: dict[str, object] = {
            "source": self.source,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }
        if self.identifier is not None:
            meta["identifier"] = Fragment(self.identifier)
        return {
            "id": self.id,
            "type": self.type,
            "from": Fragment(self.from_),
            "to": Fragment(self.to),
            "data": Fragment(self.data),
            "meta": meta,
        }


class Relationships:
    def __init__(self, database: Connection, already_exists: int) -> None:
        self._database = database
        self._already_exists = already_exists

    def do(self, source: str, operation: Operation, stamp: str) -> Relationship | None:
        """Carry out one operation, or raise what its receipt shall say."""
        if operation.refusal is not None:
            raise ApiError("INVALID_ARGUMENT", operation.refusal)
        match operation.action:
            case "CREATE":
                return self.create(source, operation, stamp)
            case "UPSERT":
                self._put(source, operation, stamp)
            case _:
                self._remove(source, operation)
        return None

    def create(self, source: str, operation: Operation, stamp: str) -> Relationship:
        row = _row(source, operation, stamp)
        insert = "INSERT OR IGNORE INTO relationships VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        if not self._database.execute(insert, row).rowcount:
            raise self.taken()
        return row

    def taken(self) -> ApiError:
        return ApiError("ALREADY_EXISTS", "the relationship already exists", code=self._already_exists)

    def has(self, source: str, operation: Operation) -> bool:
        query = "SELECT 1 FROM relationships WHERE source = ? AND type = ? AND id = ?"
        return self._database.execute(query, (source, operation.type, operation.id)).fetchone() is not None

    def get(self, source: str, type_: str, id_: str) -> Relationship:
        query = "SELECT * FROM relationships WHERE source = ? AND type = ? AND id = ?"
        if (row := self._database.execute(query, (source, type_, id_)).fetchone()) is None:
            raise ApiError("NOT_FOUND", "no such relationship")
        return Relationship(*row)

    def count(self, type_: str | None) -> int:
        query = "SELECT count(*) FROM relationships WHERE ?1 IS NULL OR type = ?1"
        (count,) = self._database.execute(query, (type_,)).fetchone()
        return int(count)

    def stored(self) -> Iterator[Stored]:
        """By source, type and id."""
        rows = self._database.execute("SELECT source, type, id, data FROM relationships ORDER BY 1, 2, 3")
        return (Stored(source, type_, id_, json.loads(data)) for source, type_, id_, data in rows)

    def _put(self, source: str, operation: Operation, stamp: str) -> None:
        """Replaces all but `createdAt`, which moves only if the client says so."""
        given = operation.created_at is not None
        self._database.execute(_UPSERT, (*_row(source, operation, stamp), given))

    def _remove(self, source: str, operation: Operation) -> None:
        delete = "DELETE FROM relationships WHERE source = ? AND type = ? AND id = ?"
        if not self._database.execute(delete, (source, operation.type, operation.id)).rowcount:
            raise ApiError("NOT_FOUND", "no such relationship")


def _row(source: str, operation: Operation, stamp: str) -> Relationship:
    return Relationship(
        source,
        operation.type,
        operation.id,
        operation.from_,
        operation.to,
        operation.data,
        operation.identifier,
        operation.created_at or stamp,
        operation.updated_at or stamp,
    )
