"""The profiles and the relationship definitions that a source needs for what is in FHIR files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson
from attrs import define, field, frozen

from clinia_async.ingest.readers.fhir_bundle import Found, Placed
from clinia_async.ingest.readers.fhir_content import PassedOver
from clinia_async.ingest.readers.fhir_identity import Servers, home_base
from clinia_async.ingest.readers.fhir_reader import FhirReader
from clinia_async.ingest.readers.fhir_records import Block, RecordMaker, relationship_type, short_key
from clinia_async.ingest.readers.files import read_fhir_files
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.models import Cardinality, DefinitionEnd, Profile, RelationshipDefinition
from clinia_async.models.refusal import without_locals

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})")
_LONG = 256
"""Characters from which on a text is no symbol."""
_NAMES = frozenset({"resourceType", "id"})

Property = dict[str, object]


@frozen
class FhirDefinitions:
    """Profiles and relationship definitions by their keys."""

    profiles: Mapping[str, Profile]
    relationships: Mapping[str, RelationshipDefinition]


@without_locals
async def fhir_definitions(
    path: Path | Sequence[Path], *, format: str = "fhir", fhir_base: str | None = None
) -> FhirDefinitions:
    """Return the definitions of all that `read_records(path, source, fhir="both")` gives.

    The properties of a profile are guessed from the values in the files. What cannot be read is passed
    over, for reading the records names it. Memory is bounded by the number of types and of their fields.

    Args:
        path: A file or several.
        format: `fhir`, `fhir-ndjson` or `fhir-document`.
        fhir_base: The base URL of the server whose ids stay as they are, as in `read_records`.

    Raises:
        ConfigError: The format is none of FHIR.
        InputError: A file cannot be read on, or is no FHIR.
    """
    found = _Collected()
    reader = _DefinitionReader(
        LineReader(Rules("source")), PassedOver(), Servers(home_base(fhir_base)), collected=found
    )
    async with aclosing(read_fhir_files(path, format, reader)) as blocks:
        async for _ in blocks:
            pass
    return found.definitions()


@define
class _Collected:
    properties: dict[str, dict[str, Property]] = field(factory=dict)
    """By the type of a resource and the name of a field."""
    types: dict[str, tuple[str, str, str]] = field(factory=dict)
    """Both ends and the path, by the type of a relationship."""

    def add(self, placed: Placed) -> None:
        type_ = placed.resource.type
        if type_ != "Bundle":
            known = self.properties.setdefault(type_, {})
            for name, value in placed.resource.value.items():
                if name not in _NAMES:
                    known[name] = _merged(known.get(name), _property(value))
        for path, (to_type, _) in placed.targets(PassedOver(), with_bundles=False):
            self.properties.setdefault(type_, {})
            self.properties.setdefault(to_type, {})
            self.types[relationship_type(type_, path, to_type)] = type_, "-".join(path), to_type

    def definitions(self) -> FhirDefinitions:
        relationships = {
            key: RelationshipDefinition(
                from_=DefinitionEnd(from_, short_key(f"{path}-{to}"), Cardinality.ANY),
                to=DefinitionEnd(to, short_key(f"{from_}-{path}"), Cardinality.ANY),
            )
            for key, (from_, path, to) in sorted(self.types.items())
        }
        profiles = {key: Profile(properties) for key, properties in sorted(self.properties.items())}
        return FhirDefinitions(profiles, relationships)


@define
class _DefinitionReader(FhirReader):
    """Reads FHIR for its types alone."""

    collected: _Collected = field(factory=_Collected, kw_only=True)

    def maker(self) -> RecordMaker:
        return _DefinitionMaker(self.lines, self.passed_over, collected=self.collected)


@define
class _DefinitionMaker(RecordMaker):
    collected: _Collected = field(factory=_Collected, kw_only=True)

    def make(self, found: Iterable[tuple[int, Found]]) -> Block:
        for _, each in found:
            if isinstance(each, Placed):
                self.collected.add(each)
        return []


def _property(value: object) -> Property:
    if isinstance(value, dict):
        return {"type": "object", "properties": {name: _property(inner) for name, inner in value.items()}}
    if isinstance(value, list):
        items: Property | None = None
        for inner in value:
            items = _merged(items, _property(inner))
        return {"type": "array", "items": items or {"type": "symbol"}}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float | orjson.Fragment):
        return {"type": "decimal"}
    return {"type": _type_of_text(str(value))}


def _type_of_text(text: str) -> str:
    if _DATE.fullmatch(text):
        return "date"
    if _DATETIME.fullmatch(text):
        return "datetime"
    return "markdown" if len(text) > _LONG else "symbol"


def _merged(one: Property | None, other: Property) -> Property:
    """Return a property whose values are those of both."""
    if one is None or one == other:
        return other
    types = {one["type"], other["type"]}
    if types == {"object"}:
        return {"type": "object", "properties": _merged_fields(one["properties"], other["properties"])}
    if types == {"array"}:
        assert isinstance(one["items"], dict)
        assert isinstance(other["items"], dict)
        return {"type": "array", "items": _merged(one["items"], other["items"])}
    if types == {"integer", "decimal"}:
        return {"type": "decimal"}
    return {"type": "markdown"} if "markdown" in types else {"type": "symbol"}


def _merged_fields(one: object, other: object) -> dict[str, Property]:
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    fields = dict(one)
    for name, value in other.items():
        fields[name] = _merged(fields.get(name), value)
    return fields
