"""What may stand in the source of a partition, after the partition pages and the guides of both kinds."""

from clinia_async.emulator.bodies.shapes import array, fields, key, mapping, texts
from clinia_async.emulator.errors import invalid

_RULES = ("SYSTEM", "CLINIA_FUNCTION")


def check_source(source: dict[str, object]) -> None:
    match source.get("type"):
        case "DATA_SOURCE":
            _check_data_source(source)
        case "MDM":
            _check_mdm(source)
        case _:
            raise invalid("source.type must be DATA_SOURCE or MDM")


def _check_data_source(source: dict[str, object]) -> None:
    fields(source, "source", need={"type", "key", "collections"}, may={"relationships"})
    key(source["key"], "source.key")
    for entry in array(source["collections"], "source.collections"):
        _check_fed(entry)
    _check_keys(source.get("relationships", []), "source.relationships")


def _check_fed(entry: object) -> None:
    """The guides before the current ones write a bare string; what else an object may hold is folded away."""
    where = "an entry of source.collections"
    if isinstance(entry, str):
        key(entry, where)
        return
    collection = mapping(entry, where, need={"key"})
    key(collection["key"], where)
    texts(collection.get("traversedProperties", []), f"traversedProperties of {where}")


def _check_mdm(source: dict[str, object]) -> None:
    fields(source, "source", need={"type", "sources", "collections"}, may={"relationships"})
    _check_keys(source["sources"], "source.sources")
    for entry in array(source["collections"], "source.collections"):
        _check_collection(entry)
    for entry in array(source.get("relationships", []), "source.relationships"):
        _check_relationship(entry)


def _check_collection(entry: object) -> None:
    where = "an entry of source.collections"
    may = {"traversedProperties", "reconciliationRules", "contained"}
    connection = fields(entry, where, need={"key", "properties", "mappings"}, may=may)
    key(connection["key"], f"key of {where}")
    texts(connection.get("traversedProperties", []), f"traversedProperties of {where}")
    mapping(connection.get("contained", {}), f"contained of {where}")
    _check_common(connection, where)


def _check_relationship(entry: object) -> None:
    where = "an entry of source.relationships"
    need = {"from", "to", "relationshipType", "properties", "mappings"}
    connection = fields(entry, where, need=need, may={"reconciliationRules"})
    key(connection["relationshipType"], f"relationshipType of {where}")
    for side in ("from", "to"):
        end = fields(connection[side], f"{side} of {where}", may={"profileKey", "includeKey"})
        _check_keys(list(end.values()), f"{side} of {where}")
    _check_common(connection, where)


def _check_common(connection: dict[str, object], where: str) -> None:
    mapping(connection["properties"], f"properties of {where}")
    for entry in array(connection["mappings"], f"mappings of {where}"):
        taken = fields(entry, f"a mapping of {where}", may={"source", "type", "propertyMappings"})
        mapping(taken.get("propertyMappings", {}), f"propertyMappings of {where}")
        _check_keys([taken[name] for name in ("source", "type") if name in taken], f"a mapping of {where}")
    rules = fields(connection.get("reconciliationRules", {}), f"rules of {where}", may={"type", "rules"})
    if "type" in rules and rules["type"] not in _RULES:
        raise invalid(f"the rules of {where} must be {' or '.join(_RULES)}")


def _check_keys(values: object, where: str) -> None:
    for entry in array(values, where):
        key(entry, f"an entry of {where}")
