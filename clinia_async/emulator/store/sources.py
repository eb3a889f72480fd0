"""Data sources of the catalog."""

from sqlite3 import Connection

from clinia_async.emulator.bodies.shapes import fields
from clinia_async.emulator.errors import absent, invalid

_PUT = "SELECT 1 FROM sources WHERE name = :name"
_ANY = """
SELECT 1 FROM sources WHERE name = :name
UNION ALL SELECT 1 FROM records WHERE source = :name
UNION ALL SELECT 1 FROM definitions WHERE source = :name
"""
_ALL = "SELECT name FROM sources UNION SELECT source FROM records UNION SELECT source FROM definitions"


class Sources:
    """Those that were put; unless strict, also those that something was written to."""

    def __init__(self, database: Connection, *, strict: bool) -> None:
        self._database = database
        self._strict = strict

    def put(self, name: str, body: object) -> tuple[dict[str, object], bool]:
        """The source, and whether it is new."""
        if fields(body, "the body", need={"type"})["type"] != "registry":
            raise invalid("type must be registry")
        new = not self.has(name)
        self._database.execute("INSERT OR IGNORE INTO sources VALUES (?)", (name,))
        return _document(name), new

    def get(self, name: str) -> dict[str, object]:
        if not self.has(name):
            raise absent("source")
        return _document(name)

    def list(self) -> "list[dict[str, object]]":
        """By key."""
        query = "SELECT name FROM sources" if self._strict else f"{_ALL} ORDER BY 1"
        return [_document(name) for (name,) in self._database.execute(query)]

    def has(self, name: str) -> bool:
        query = _PUT if self._strict else _ANY
        return self._database.execute(query, {"name": name}).fetchone() is not None

    def remove(self, name: str) -> None:
        self.get(name)
        self._database.execute("DELETE FROM sources WHERE name = ?", (name,))


def _document(name: str) -> dict[str, object]:
    return {"key": name, "type": "registry"}
