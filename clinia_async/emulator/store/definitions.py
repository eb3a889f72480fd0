"""What a source says of its own records: relationship definitions, profiles and collections."""

from sqlite3 import Connection

from clinia_async.emulator.bodies.definitions import (
    check_cardinality,
    check_contained,
    check_description,
    check_properties,
)
from clinia_async.emulator.bodies.references import Properties
from clinia_async.emulator.bodies.shapes import fields, key, mapping
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import ApiError, absent, invalid

RELATIONSHIP_DEFINITION, PROFILE, COLLECTION = "relationship definition", "profile", "collection"
_COLLECTIONS = ("resources", "relationships", "objects")


class Definitions:
    def __init__(self, database: Connection, already_exists: int, *, replaceable: bool) -> None:
        self._database = database
        self._already_exists = already_exists
        self._replaceable = replaceable

    def put(self, source: str, kind: str, name: str, body: object) -> tuple[dict[str, object], bool]:
        """The definition as stored, and whether it is new."""
        document = _CHECKS[kind](body)
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
        """Of the resources of a type, if anything defines them."""
        if self.has(source, PROFILE, type_):
            return mapping(self.get(source, PROFILE, type_)["properties"], "properties")
        if self.has(source, COLLECTION, type_):
            profile = mapping(self.get(source, COLLECTION, type_)["profile"], "profile")
            return mapping(profile["properties"], "properties")
        return None

    def knows(self, source: str, type_: str, kind: str, collection: str) -> bool:
        """Whether records of a type may be written: it has a definition of its kind, or a collection."""
        if self.has(source, kind, type_):
            return True
        if not self.has(source, COLLECTION, type_):
            return False
        return self.get(source, COLLECTION, type_)["type"] == collection

    def forget(self, source: str) -> None:
        self._database.execute("DELETE FROM definitions WHERE source = ?", (source,))

    def _body(self, source: str, kind: str, name: str) -> str | None:
        query = "SELECT body FROM definitions WHERE source = ? AND kind = ? AND name = ?"
        row = self._database.execute(query, (source, kind, name)).fetchone()
        return str(row[0]) if row else None


def _relationship_definition(body: object) -> dict[str, object]:
    document = fields(body, "the body", need={"from", "to"}, may={"description", "properties"})
    for side in ("from", "to"):
        _check_side(document[side], side)
    check_properties(document.setdefault("properties", {}))
    check_description(document)
    return document


def _check_side(value: object, where: str) -> None:
    # The old guide calls the cardinality by its shorter name.
    side = fields(value, where, need={"profileKey"}, may={"includeKey", "includeCardinality", "cardinality"})
    key(side["profileKey"], f"{where}.profileKey")
    if "includeKey" in side:
        key(side["includeKey"], f"{where}.includeKey")
    check_cardinality(cardinality(side), where)


def cardinality(side: dict[str, object]) -> object:
    return side.get("includeCardinality", side.get("cardinality", "0:*"))


def _profile(body: object) -> dict[str, object]:
    document = fields(body, "the body", need={"type", "properties"}, may={"contained", "description"})
    if document["type"] not in ("ROOT", "CONTAINED"):
        raise invalid("type must be ROOT or CONTAINED")
    _check_shape(document)
    return document


def _collection(body: object) -> dict[str, object]:
    document = fields(body, "the body", need={"type"}, may={"profile", "objectDefinition"})
    if document["type"] not in _COLLECTIONS:
        raise invalid(f"type must be one of {', '.join(_COLLECTIONS)}")
    mapping(document.get("objectDefinition", {}), "objectDefinition")
    where = "profile"
    profile = fields(
        document.setdefault("profile", {"properties": {}}), where, need={"properties"}, may=_MORE
    )
    _check_shape(profile)
    return document | {"pipeline": {"steps": []}}


_MORE = frozenset({"description", "contained"})


def _check_shape(document: dict[str, object]) -> None:
    check_properties(document["properties"])
    check_contained(document.get("contained", {}))
    check_description(document)


_CHECKS = {
    RELATIONSHIP_DEFINITION: _relationship_definition,
    PROFILE: _profile,
    COLLECTION: _collection,
}
