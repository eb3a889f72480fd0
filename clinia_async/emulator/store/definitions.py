"""Relationship definitions, profiles and collections of a source."""

from sqlite3 import Connection

from clinia_async.emulator.bodies import definitions as bodies
from clinia_async.emulator.bodies.references import Properties
from clinia_async.emulator.bodies.shapes import mapping
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import ApiError, absent

RELATIONSHIP_DEFINITION, PROFILE, COLLECTION = "relationship definition", "profile", "collection"


class Definitions:
    def __init__(self, database: Connection, already_exists: int, *, replaceable: bool) -> None:
        self._database = database
        self._already_exists = already_exists
        self._replaceable = replaceable

    def put(self, source: str, kind: str, name: str, body: object) -> tuple[dict[str, object], bool]:
        """Store a definition. Return it as stored, and whether it is new."""
        document = _document(kind, body)
        new = not self.has(source, kind, name)
        if not (new or self._replaceable):
            raise ApiError("ALREADY_EXISTS", f"the {kind} already exists", code=self._already_exists)
        row = (source, kind, name, encode(document))
        self._database.execute("INSERT OR REPLACE INTO definitions VALUES (?, ?, ?, ?)", row)
        return self.get(source, kind, name), new

    def get(self, source: str, kind: str, name: str) -> dict[str, object]:
        if (body := self._body(source, kind, name)) is None:
            raise absent(kind)
        return {"key": name, **mapping(decode(body.encode()), kind)}

    def has(self, source: str, kind: str, name: str) -> bool:
        return self._body(source, kind, name) is not None

    def list(self, source: str, kind: str) -> "list[dict[str, object]]":
        query = "SELECT name FROM definitions WHERE source = ? AND kind = ? ORDER BY name"
        names = self._database.execute(query, (source, kind)).fetchall()
        return [self.get(source, kind, name) for (name,) in names]

    def properties(self, source: str, type_: str) -> Properties | None:
        """Return the properties of the resources of a type, if a profile or collection defines them."""
        if self.has(source, PROFILE, type_):
            return mapping(self.get(source, PROFILE, type_)["properties"], "properties")
        if self.has(source, COLLECTION, type_):
            profile = mapping(self.get(source, COLLECTION, type_)["profile"], "profile")
            return mapping(profile["properties"], "properties")
        return None

    def knows(self, source: str, type_: str, kind: str, collection: str) -> bool:
        """Return whether records of a type may be written: a definition or a collection has that type."""
        if self.has(source, kind, type_):
            return True
        if not self.has(source, COLLECTION, type_):
            return False
        return self.get(source, COLLECTION, type_)["type"] == collection

    def delete_source(self, source: str) -> None:
        self._database.execute("DELETE FROM definitions WHERE source = ?", (source,))

    def _body(self, source: str, kind: str, name: str) -> str | None:
        query = "SELECT body FROM definitions WHERE source = ? AND kind = ? AND name = ?"
        row = self._database.execute(query, (source, kind, name)).fetchone()
        return str(row[0]) if row else None


def cardinality(side: dict[str, object]) -> object:
    return side.get("includeCardinality", side.get("cardinality", "0:*"))


def _document(kind: str, body: object) -> dict[str, object]:
    """Check a body, and add what the service adds."""
    if kind == PROFILE:
        return bodies.profile(body, "the body")
    if kind == COLLECTION:
        document = bodies.collection(body, "the body")
        return {"profile": {"properties": {}}, **document, "pipeline": {"steps": []}}
    return {"properties": {}, **bodies.relationship_definition(body, "the body")}
