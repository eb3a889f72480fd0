"""The catalog: partitions, and the sources that feed them."""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.records import Json


class PartitionStatus(OpenEnum):
    READY = "STATUS_READY"
    """Immutable."""
    STAGE = "STATUS_STAGE"
    """Mutable, and can already be queried."""
    STALE = "STATUS_STALE"
    """Its source was deleted: the configuration can be read, queries are refused."""


class SearchModule(OpenEnum):
    STANDARD = "STANDARD"
    HEALTH_GRADE_SEARCH = "HEALTH_GRADE_SEARCH"


class ReconciliationType(OpenEnum):
    SYSTEM = "SYSTEM"
    CLINIA_FUNCTION = "CLINIA_FUNCTION"


@frozen
class Modules:
    search: SearchModule = SearchModule.STANDARD


@frozen
class SourceCollection:
    key: str


@frozen
class DataSource:
    """A partition fed by one source: `relationships` are keys of relationship definitions.

    https://docs.clinia.com/explanation/partitions/source-partition
    """

    key: str
    collections: Sequence[SourceCollection]
    relationships: Sequence[str] = ()


@frozen
class SourceMapping:
    """Where a connection takes its records from; `property_mappings` maps partition path to source path."""

    source: str
    type: str
    property_mappings: Mapping[str, str]


@frozen
class ReconciliationRules:
    """The shape of `rules` is not documented, so it passes through as it is."""

    type: ReconciliationType
    rules: object = None


@frozen
class CollectionConnection:
    key: str
    properties: Json
    mappings: Sequence[SourceMapping]
    traversed_properties: Sequence[str] | None = None
    reconciliation_rules: ReconciliationRules | None = None
    contained: Json | None = None


@frozen
class ConnectionEnd:
    profile_key: str
    include_key: str


@frozen
class RelationshipConnection:
    from_: ConnectionEnd
    to: ConnectionEnd
    relationship_type: str
    properties: Json
    mappings: Sequence[SourceMapping]
    reconciliation_rules: ReconciliationRules | None = None


@frozen
class Mdm:
    """A partition fed by the master data of several sources.

    https://docs.clinia.com/explanation/partitions/mdm-partition
    """

    sources: Sequence[str]
    collections: Sequence[CollectionConnection]
    relationships: Sequence[RelationshipConnection] = ()


@frozen
class OtherSource:
    """A kind of partition source that this version does not know, as the service gave it."""

    type: str
    body: Json = field(repr=False)


@frozen
class Partition:
    key: str
    modules: Modules
    source: DataSource | Mdm | OtherSource
    status: PartitionStatus | None = None
