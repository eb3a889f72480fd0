"""The JSON of the values, for type checkers: the shapes that the reference pages of the API show.

Every value takes its JSON in place of itself, and `Value.from_dict` and `Value.to_dict` read and write it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from clinia_async.models.value import Json


class RefJson(TypedDict):
    """The JSON of `Ref`."""

    id: str
    type: str


class PeriodJson(TypedDict, total=False):
    """The JSON of `Period`."""

    id: str | None
    start: str | None
    end: str | None


class IdentifierJson(TypedDict, total=False):
    """The JSON of `Identifier`."""

    id: str | None
    system: str | None
    value: str | None
    use: str | None
    period: PeriodJson | None


class MetaJson(TypedDict, total=False):
    """The JSON of `Meta`; times are RFC 3339 text, or datetimes with a timezone."""

    createdAt: str | datetime | None
    updatedAt: str | datetime | None
    identifier: Sequence[IdentifierJson] | None
    source: str | None


class ContainedJson(TypedDict):
    """The JSON of `Contained`."""

    type: str
    data: Json
    id: NotRequired[str | None]
    contained: NotRequired[Mapping[str, Sequence["ContainedJson"]] | None]


ContainedInJson = Mapping[str, Sequence[ContainedJson]]
"""Contained resources by the key of the property that holds them."""

RelationshipJson = TypedDict(
    "RelationshipJson",
    {
        "id": str,
        "type": str,
        "from": RefJson,
        "to": RefJson,
        "data": NotRequired[Json | None],
        "meta": NotRequired[MetaJson | None],
        "includes": NotRequired[Json | None],
    },
)
RelationshipJson.__doc__ = "The JSON of `Relationship`."


RelationshipBodyJson = TypedDict(
    "RelationshipBodyJson",
    {
        "from": RefJson,
        "to": RefJson,
        "data": NotRequired[Json | None],
        "meta": NotRequired[MetaJson | None],
    },
)
RelationshipBodyJson.__doc__ = "The body that creates a relationship."


class ResourceJson(TypedDict):
    """The JSON of `Resource`."""

    id: str
    type: str
    data: NotRequired[Json | None]
    meta: NotRequired[MetaJson | None]
    contained: NotRequired[Json | None]


class PatchJson(TypedDict):
    """The JSON of `Patch`."""

    op: Literal["add", "remove", "replace"]
    path: str
    value: NotRequired[object]


class ModulesJson(TypedDict, total=False):
    """The JSON of `Modules`."""

    search: str


class SourceCollectionJson(TypedDict):
    """The JSON of `SourceCollection`."""

    key: str


class DataSourceJson(TypedDict):
    """The JSON of `DataSource`."""

    type: Literal["DATA_SOURCE"]
    key: str
    collections: Sequence[SourceCollectionJson]
    relationships: NotRequired[Sequence[str] | None]


class SourceMappingJson(TypedDict):
    """The JSON of `SourceMapping`."""

    source: str
    type: str
    propertyMappings: Mapping[str, str]


class ReconciliationRulesJson(TypedDict):
    """The JSON of `ReconciliationRules`."""

    type: str
    rules: NotRequired[object]


class CollectionConnectionJson(TypedDict):
    """The JSON of `CollectionConnection`."""

    key: str
    properties: Json
    mappings: Sequence[SourceMappingJson]
    traversedProperties: NotRequired[Sequence[str] | None]
    reconciliationRules: NotRequired[ReconciliationRulesJson | None]
    contained: NotRequired[Json | None]


class ConnectionEndJson(TypedDict):
    """The JSON of `ConnectionEnd`."""

    profileKey: str
    includeKey: str


RelationshipConnectionJson = TypedDict(
    "RelationshipConnectionJson",
    {
        "from": ConnectionEndJson,
        "to": ConnectionEndJson,
        "relationshipType": str,
        "properties": Json,
        "mappings": Sequence[SourceMappingJson],
        "reconciliationRules": NotRequired[ReconciliationRulesJson | None],
    },
)
RelationshipConnectionJson.__doc__ = "The JSON of `RelationshipConnection`."


class MdmJson(TypedDict):
    """The JSON of `Mdm`."""

    type: Literal["MDM"]
    sources: Sequence[str]
    collections: Sequence[CollectionConnectionJson]
    relationships: NotRequired[Sequence[RelationshipConnectionJson] | None]


class PartitionJson(TypedDict):
    """The JSON of `Partition`; `key` and `status` are set by the service, and not sent."""

    modules: ModulesJson
    source: DataSourceJson | MdmJson
    key: NotRequired[str]
    status: NotRequired[str | None]


class DefinitionEndJson(TypedDict):
    """The JSON of `DefinitionEnd`."""

    profileKey: str
    includeKey: str
    includeCardinality: NotRequired[str | None]


RelationshipDefinitionJson = TypedDict(
    "RelationshipDefinitionJson",
    {
        "from": DefinitionEndJson,
        "to": DefinitionEndJson,
        "key": NotRequired[str | None],
        "description": NotRequired[str | None],
        "properties": NotRequired[Json | None],
    },
)
RelationshipDefinitionJson.__doc__ = "The JSON of `RelationshipDefinition`."


class ProfileJson(TypedDict):
    """The JSON of `Profile`."""

    properties: Json
    type: NotRequired[str]
    key: NotRequired[str | None]
    description: NotRequired[str | None]
    contained: NotRequired[Json | None]


class CollectionProfileJson(TypedDict):
    """The JSON of `CollectionProfile`."""

    properties: Json
    description: NotRequired[str | None]
    contained: NotRequired[Json | None]


class CollectionJson(TypedDict):
    """The JSON of `Collection`."""

    type: str
    profile: NotRequired[CollectionProfileJson | None]
    key: NotRequired[str | None]
    pipeline: NotRequired[object]
