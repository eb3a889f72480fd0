"""Two ways to write the same answer: as the API's pages show it, or as a service in Go writes it.

In Go a list that is empty and a field that is absent are `null`, unless a type says otherwise. The table
names every field of every answer, so that in this dialect none is ever left out. What clients store,
such as the data of a record, is written as it came.
"""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen
from orjson import Fragment, dumps

from clinia_async.emulator.bodies.strict_json import decode

Dialect = Literal["documented", "go"]


@frozen
class ListOf:
    entry: "Shape"


@frozen
class MapOf:
    """An object with any names."""

    entry: "Shape"


@frozen
class Members:
    """An object with these fields."""

    shapes: Mapping[str, "Shape"]


class _Plain:
    """A scalar, or a value that is written as it came."""


PLAIN = _Plain()
Shape = ListOf | MapOf | Members | _Plain


def _members(*plain: str, **shapes: Shape) -> Members:
    return Members({**dict.fromkeys(plain, PLAIN), **{name.rstrip("_"): one for name, one in shapes.items()}})


_period = _members("id", "start", "end")
_identifier = _members("id", "system", "value", "use", period=_period)
_meta = _members("source", "createdAt", "updatedAt", identifier=ListOf(_identifier))
_contained_leaf = _members("id", "type", "data", contained=MapOf(ListOf(PLAIN)))
_contained = MapOf(ListOf(_members("id", "type", "data", contained=MapOf(ListOf(_contained_leaf)))))
_end = _members("id", "type")
_resource = _members("id", "type", "data", meta=_meta, contained=_contained)
_relationship = _members("id", "type", "data", from_=_end, to=_end, meta=_meta)
ERROR = _members("code", "type", "message", details=ListOf(PLAIN))
_execution = _members("id", "pipelineDefinitionId", "status")
_receipt = _members(
    *("action", "status", "targetType", "id", "type", "taskId", "receivedAt", "completedAt"),
    error=ERROR,
    pipelineExecution=_execution,
)
_task = _members("taskId", "status", receipts=ListOf(_receipt))
_bulk = _members("status", receipts=ListOf(_receipt))
_written_resource = _members("taskId", "status", resource=_resource)
_written_relationship = _members("taskId", "status", relationship=_relationship)
_operation = _members("action", "targetType", "type", "id", resource=_resource, relationship=_relationship)
_purge = _members(
    *("taskId", "purgeId", "collectionType", "collectionKey", "status", "deletedCount"),
    *("createdAt", "updatedAt"),
)
_hit = _members("hitType", resource=_resource, relationship=_relationship)
_properties = MapOf(PLAIN)
_contained_types = MapOf(PLAIN)
_side = _members("profileKey", "includeKey", "includeCardinality", "cardinality")
_definition = _members("key", "description", from_=_side, to=_side, properties=_properties)
_profile = _members("key", "type", "description", properties=_properties, contained=_contained_types)
_collection = _members(
    *("key", "type", "objectDefinition"),
    profile=_members("description", properties=_properties, contained=_contained_types),
    pipeline=_members(steps=ListOf(PLAIN)),
)
_source = _members("key", "type")
_mapping = _members("source", "type", propertyMappings=MapOf(PLAIN))
_rules = _members("type", rules=ListOf(PLAIN))
_partition_end = _members("profileKey", "includeKey")
_traversed = ListOf(PLAIN)
_data_source = _members(
    "type",
    "key",
    collections=ListOf(_members("key", traversedProperties=_traversed)),
    relationships=ListOf(PLAIN),
)
_mdm = _members(
    "type",
    sources=ListOf(PLAIN),
    collections=ListOf(
        _members(
            "key",
            properties=_properties,
            mappings=ListOf(_mapping),
            traversedProperties=_traversed,
            reconciliationRules=_rules,
            contained=MapOf(PLAIN),
        )
    ),
    relationships=ListOf(
        _members(
            "relationshipType",
            from_=_partition_end,
            to=_partition_end,
            properties=_properties,
            mappings=ListOf(_mapping),
            reconciliationRules=_rules,
        )
    ),
)
_partition = _members("key", "status", modules=_members("search"), source=PLAIN)
_page_meta = _members("numPages", "page", "perPage", "total")


def _page(entry: Shape) -> Members:
    return _members(meta=_page_meta, data=ListOf(entry))


SHAPES: Mapping[str, Shape] = {
    **dict.fromkeys(
        ("create_relationship", "update_relationship", "delete_relationship"), _written_relationship
    ),
    **dict.fromkeys(("create_resource", "put_resource", "delete_resource"), _written_resource),
    **dict.fromkeys(("create_contained", "put_contained", "delete_contained"), _written_resource),
    **dict.fromkeys(("bulk_relationships", "bulk_resources"), _members("taskId", "status", "bulkId")),
    **dict.fromkeys(("get_bulk_relationships", "get_bulk_resources"), _bulk),
    "get_task": _task,
    "get_relationship": _relationship,
    "get_resource": _resource,
    "bundle": _members("taskId", "status", operations=ListOf(_operation)),
    "purge": _members("taskId", "status", purgeOperation=_purge),
    "get_purge": _purge,
    "browse": _members(meta=_members("cursor", "total"), hits=ListOf(_hit)),
    "put_relationship_definition": _definition,
    "get_relationship_definition": _definition,
    "list_relationship_definitions": _page(_definition),
    "put_profile": _profile,
    "put_collection": _collection,
    "get_collection": _collection,
    "put_source": _source,
    "get_source": _source,
    "list_sources": _page(_source),
    "delete_source": _members(),
    "put_partition": _partition,
    "get_partition": _partition,
    "list_partitions": _page(_partition),
    "delete_partition": _members(),
}
"""What each route answers."""


def go(document: object, shape: Shape) -> object:
    """Return a document with null for every list that is empty and every field that is absent."""
    if isinstance(shape, _Plain):
        return document
    if isinstance(document, Fragment):
        document = decode(dumps(document))
    match document, shape:
        case list() as entries, ListOf():
            return [go(entry, shape.entry) for entry in entries] or None
        case dict() as members, MapOf():
            return {name: go(entry, shape.entry) for name, entry in members.items()} or None
        case dict() as members, Members():
            return {**dict.fromkeys(shape.shapes), **members, **_known(members, shape)}
        case _:
            return document


def _known(members: dict[str, object], shape: Members) -> dict[str, object]:
    known = {name: go(members[name], one) for name, one in shape.shapes.items() if name in members}
    if "modules" in known:  # a partition, whose source has one of two shapes
        source = members["source"]
        source = decode(dumps(source)) if isinstance(source, Fragment) else source
        is_mdm = isinstance(source, dict) and source.get("type") == "MDM"
        known["source"] = go(source, _mdm if is_mdm else _data_source)
    return known
