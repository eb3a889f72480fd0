"""Bodies of profiles, collections, relationship definitions and partitions, as one table of fields."""

from collections.abc import Callable, Mapping

from attrs import frozen

from clinia_async.emulator.bodies.shapes import array, fields, key, mapping, texts
from clinia_async.emulator.errors import invalid

Check = Callable[[object, str], object]
"""Raises `ApiError` for a value that its field may not have; the text names the field."""

CARDINALITIES = ("0:1", "1:1", "0:*", "1:*")
_PROPERTY_TYPES = tuple(
    "address array attachment boolean code coding contactpoint date datetime decimal geopoint humanname"  # noqa: SIM905
    " identifier instant integer markdown object period reference symbol time uri url xhtml".split()
)


@frozen
class Fields:
    """An object with exactly these fields."""

    need: Mapping[str, Check]
    may: Mapping[str, Check] = {}

    def __call__(self, value: object, where: str) -> dict[str, object]:
        document = fields(value, where, need=self.need.keys(), may=self.may.keys())
        for name, check in {**self.need, **self.may}.items():
            if name in document:
                check(document[name], f"{name} of {where}")
        return document


def _each(check: Check) -> Check:
    """An array whose entries pass a check."""
    return lambda value, where: [check(entry, f"an entry of {where}") for entry in array(value, where)]


def _values(check: Check) -> Check:
    """An object with any names, whose values pass a check."""
    return lambda value, where: [
        check(entry, f"an entry of {where}") for entry in mapping(value, where).values()
    ]


def one_of(*words: str) -> Check:
    def check(value: object, where: str) -> None:
        if not isinstance(value, str) or value not in words:
            raise invalid(f"{where} must be one of {', '.join(words)}")

    return check


def _open(need: Mapping[str, Check], may: Mapping[str, Check]) -> Check:
    """An object with these fields, and any others."""

    def check(value: object, where: str) -> None:
        document = mapping(value, where, need=need.keys())
        for name, one in {**need, **may}.items():
            if name in document:
                one(document[name], f"{name} of {where}")

    return check


def _text(value: object, where: str) -> None:
    if not isinstance(value, str):
        raise invalid(f"{where} must be a string")


_property = _open({}, {"type": one_of(*_PROPERTY_TYPES)})
_contained = _open({}, {"types": _each(key), "cardinality": one_of(*CARDINALITIES)})
_SHAPE: dict[str, Check] = {"properties": _values(_property)}
_MORE: dict[str, Check] = {"contained": _values(_contained), "description": _text}

# The old guide calls the cardinality by its shorter name.
_side = Fields(
    {"profileKey": key},
    {
        "includeKey": key,
        "includeCardinality": one_of(*CARDINALITIES),
        "cardinality": one_of(*CARDINALITIES),
    },
)
relationship_definition = Fields({"from": _side, "to": _side}, {"description": _text, **_SHAPE})
profile = Fields({"type": one_of("ROOT", "CONTAINED"), **_SHAPE}, _MORE)
collection = Fields(
    {"type": one_of("resources", "relationships", "objects")},
    {"profile": Fields(_SHAPE, _MORE), "objectDefinition": mapping},
)

_mapping = Fields({}, {"source": key, "type": key, "propertyMappings": mapping})
_rules = Fields({}, {"type": one_of("SYSTEM", "CLINIA_FUNCTION"), "rules": lambda *_: None})
_MAPPED: dict[str, Check] = {"properties": mapping, "mappings": _each(_mapping)}
_end = Fields({}, {"profileKey": key, "includeKey": key})
_mdm_collection = Fields(
    {"key": key, **_MAPPED},
    {"traversedProperties": texts, "reconciliationRules": _rules, "contained": mapping},
)
_mdm_relationship = Fields(
    {"from": _end, "to": _end, "relationshipType": key, **_MAPPED}, {"reconciliationRules": _rules}
)
_source_collection = _open({"key": key}, {"traversedProperties": texts})


def _key_or_collection(value: object, where: str) -> None:
    """The guides before the current ones write a bare string."""
    (key if isinstance(value, str) else _source_collection)(value, where)


_type = one_of("DATA_SOURCE", "MDM")
_SOURCES = {
    "DATA_SOURCE": Fields(
        {"type": _type, "key": key, "collections": _each(_key_or_collection)}, {"relationships": _each(key)}
    ),
    "MDM": Fields(
        {"type": _type, "sources": _each(key), "collections": _each(_mdm_collection)},
        {"relationships": _each(_mdm_relationship)},
    ),
}


def _source(value: object, where: str) -> None:
    type_ = mapping(value, where).get("type")
    _type(type_, f"type of {where}")
    _SOURCES[str(type_)](value, where)


partition = Fields(
    {
        "modules": Fields({}, {"search": one_of("STANDARD", "HEALTH_GRADE_SEARCH")}),
        "source": _source,
    }
)
