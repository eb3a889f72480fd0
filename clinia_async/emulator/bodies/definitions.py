"""Definitions of properties, in profiles and in relationship definitions."""

from clinia_async.emulator.bodies.shapes import array, key, mapping
from clinia_async.emulator.errors import invalid

CARDINALITIES = ("0:1", "1:1", "0:*", "1:*")
_SIMPLE = frozenset(
    [
        "address",
        "attachment",
        "boolean",
        "code",
        "coding",
        "contactpoint",
        "date",
        "datetime",
        "decimal",
        "geopoint",
        "humanname",
        "identifier",
        "instant",
        "integer",
        "markdown",
        "period",
        "reference",
        "symbol",
        "time",
        "uri",
        "url",
        "xhtml",
    ]
)
_TYPES = _SIMPLE | {"array", "object"}


def check_properties(value: object) -> None:
    for definition in mapping(value, "properties").values():
        type_ = mapping(definition, "the definition of a property").get("type", "symbol")
        if not isinstance(type_, str) or type_ not in _TYPES:
            raise invalid(f"the type of a property must be one of {', '.join(sorted(_TYPES))}")


def check_contained(value: object) -> None:
    """What may be contained, by the name of the property."""
    for definition in mapping(value, "contained").values():
        one = mapping(definition, "an entry of contained")
        for type_ in array(one.get("types", []), "the types of an entry of contained"):
            key(type_, "a type of an entry of contained")
        check_cardinality(one.get("cardinality", "0:*"), "an entry of contained")


def check_cardinality(value: object, where: str) -> None:
    if value not in CARDINALITIES:
        raise invalid(f"the cardinality of {where} must be one of {', '.join(CARDINALITIES)}")


def check_description(document: dict[str, object]) -> None:
    if not isinstance(document.get("description", ""), str):
        raise invalid("description must be a string")
