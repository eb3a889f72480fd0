"""The catalog: sources, and the partitions made of them."""

from sqlite3 import Connection

from orjson import Fragment, loads

from clinia_async.emulator.bodies import definitions as bodies
from clinia_async.emulator.bodies.shapes import fields
from clinia_async.emulator.bodies.strict_json import encode
from clinia_async.emulator.errors import absent, invalid, refused
from clinia_async.emulator.settings import Settings

READY, STAGED, STALE = "STATUS_READY", "STATUS_STAGE", "STATUS_STALE"
_PUT = "SELECT 1 FROM sources WHERE name = :name"
_ANY = """
SELECT 1 FROM sources WHERE name = :name
UNION ALL SELECT 1 FROM records WHERE source = :name
UNION ALL SELECT 1 FROM definitions WHERE source = :name
"""
_ALL = "SELECT name FROM sources UNION SELECT source FROM records UNION SELECT source FROM definitions"


class Catalog:
    def __init__(self, database: Connection, settings: Settings) -> None:
        self._settings = settings
        self.sources = Sources(database, strict=settings.strict)
        self.partitions = Partitions(database, settings.immutable_partition)

    def enter(self, source: str) -> str:
        """Return the key of a source that may be used: if strict, only one that was put."""
        if self._settings.strict and not self.sources.has(source):
            raise refused(self._settings.unknown_source, "no such source")
        return source

    def put_partition(self, name: str, body: object, *, stage: bool) -> tuple[dict[str, object], bool]:
        modules, source = _partition(body)
        for one in _sources(source):
            self.enter(one)
        return self.partitions.put(name, modules, source, stage=stage)

    def delete_source(self, name: str) -> None:
        self.sources.remove(name)
        self.partitions.mark_stale(name)


class Sources:
    """The sources that were put; unless strict, also those that something was written to."""

    def __init__(self, database: Connection, *, strict: bool) -> None:
        self._database = database
        self._strict = strict

    def put(self, name: str, body: object) -> tuple[dict[str, object], bool]:
        """Store a source. Return it, and whether it is new."""
        if fields(body, "the body", need={"type"})["type"] != "registry":
            raise invalid("type must be registry")
        new = not self.has(name)
        self._database.execute("INSERT OR IGNORE INTO sources VALUES (?)", (name,))
        return _source(name), new

    def get(self, name: str) -> dict[str, object]:
        if not self.has(name):
            raise absent("source")
        return _source(name)

    def list(self) -> "list[dict[str, object]]":
        """Return all sources in the order of their keys."""
        query = "SELECT name FROM sources" if self._strict else f"{_ALL} ORDER BY 1"
        return [_source(name) for (name,) in self._database.execute(query)]

    def has(self, name: str) -> bool:
        query = _PUT if self._strict else _ANY
        return self._database.execute(query, {"name": name}).fetchone() is not None

    def remove(self, name: str) -> None:
        self.get(name)
        self._database.execute("DELETE FROM sources WHERE name = ?", (name,))


class Partitions:
    def __init__(self, database: Connection, immutable: tuple[str, int]) -> None:
        self._database = database
        self._immutable = immutable

    def put(self, name: str, modules: str, source: str, *, stage: bool) -> tuple[dict[str, object], bool]:
        """Store a partition. Return it, and whether it is new.

        A ready one cannot be changed. A staged one is replaced, by a ready one without `stage`.
        """
        before = self._status(name)
        if before == READY:
            raise refused(self._immutable, "a ready partition cannot be changed")
        row = (name, STAGED if stage else READY, modules, source)
        self._database.execute("INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?)", row)
        return self.get(name), before is None

    def list(self) -> "list[dict[str, object]]":
        """Return all partitions in the order of their keys."""
        names = self._database.execute("SELECT name FROM partitions ORDER BY name").fetchall()
        return [self.get(name) for (name,) in names]

    def remove(self, name: str) -> None:
        if not self._database.execute("DELETE FROM partitions WHERE name = ?", (name,)).rowcount:
            raise absent("partition")

    def mark_stale(self, source: str) -> None:
        """Mark the partitions that a deleted source fed."""
        rows = self._database.execute("SELECT name, source FROM partitions").fetchall()
        fed = [(STALE, name) for name, text in rows if source in _sources(text)]
        self._database.executemany("UPDATE partitions SET status = ? WHERE name = ?", fed)

    def get(self, name: str) -> dict[str, object]:
        query = "SELECT status, modules, source FROM partitions WHERE name = ?"
        if (row := self._database.execute(query, (name,)).fetchone()) is None:
            raise absent("partition")
        status, modules, source = row
        return {"key": name, "status": status, "modules": Fragment(modules), "source": Fragment(source)}

    def count(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM partitions").fetchone()
        return int(count)

    def _status(self, name: str) -> str | None:
        query = "SELECT status FROM partitions WHERE name = ?"
        row = self._database.execute(query, (name,)).fetchone()
        return str(row[0]) if row else None


def _source(name: str) -> dict[str, object]:
    return {"key": name, "type": "registry"}


def _partition(body: object) -> tuple[str, str]:
    """Return modules and source of a body, checked, as JSON."""
    document = bodies.partition(body, "the body")
    return encode(document["modules"]), encode(document["source"])


def _sources(text: str) -> list[str]:
    source = loads(text)
    return [source["key"]] if source["type"] == "DATA_SOURCE" else list(source["sources"])
