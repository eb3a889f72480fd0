"""Data partitions: what their bodies must hold, after the partition pages, and where they are kept."""

from sqlite3 import Connection

from orjson import Fragment, loads

from clinia_async.emulator.bodies.partition_sources import check_source
from clinia_async.emulator.bodies.shapes import fields, mapping
from clinia_async.emulator.bodies.strict_json import encode
from clinia_async.emulator.errors import absent, invalid, refused

READY, STAGED, STALE = "STATUS_READY", "STATUS_STAGE", "STATUS_STALE"
_SEARCH = ("STANDARD", "HEALTH_GRADE_SEARCH")


class Partitions:
    def __init__(self, database: Connection, immutable: tuple[str, int]) -> None:
        self._database = database
        self._immutable = immutable

    def put(self, name: str, body: object, *, stage: bool) -> tuple[dict[str, object], bool]:
        """The partition as stored, and whether it is new.

        A ready one cannot be changed. A staged one is replaced, by a ready one if so asked.
        """
        modules, source = checked(body)
        before = self._status(name)
        if before == READY:
            raise refused(self._immutable, "a ready partition cannot be changed")
        row = (name, STAGED if stage else READY, modules, source)
        self._database.execute("INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?)", row)
        return self.get(name), before is None

    def sources(self, body: object) -> list[str]:
        """The sources that feed the partition of a body."""
        return _sources(checked(body)[1])

    def list(self) -> "list[dict[str, object]]":
        """By key."""
        names = self._database.execute("SELECT name FROM partitions ORDER BY name").fetchall()
        return [self.get(name) for (name,) in names]

    def remove(self, name: str) -> None:
        if not self._database.execute("DELETE FROM partitions WHERE name = ?", (name,)).rowcount:
            raise absent("partition")

    def spoil(self, source: str) -> None:
        """What a source fed goes stale once that source is gone."""
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


def checked(body: object) -> tuple[str, str]:
    """Modules and source, as JSON."""
    document = fields(body, "the body", need={"modules", "source"})
    modules = fields(document["modules"], "modules", may={"search"})
    if "search" in modules and modules["search"] not in _SEARCH:
        raise invalid(f"modules.search must be one of {', '.join(_SEARCH)}")
    source = mapping(document["source"], "source")
    check_source(source)
    return encode(modules), encode(source)


def _sources(text: str) -> list[str]:
    source = loads(text)
    return [source["key"]] if source["type"] == "DATA_SOURCE" else list(source["sources"])
