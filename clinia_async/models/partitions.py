"""The catalog: partitions, and the sources that feed them."""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.value import Json, Value, checked


class PartitionStatus(OpenEnum):
    """Whether a partition can still be changed."""

    READY = "STATUS_READY"
    """Immutable."""
    STAGE = "STATUS_STAGE"
    """Mutable, and can already be queried."""
    STALE = "STATUS_STALE"
    """Its source was deleted: the configuration can be read, queries are refused."""


class SearchModule(OpenEnum):
    """Which search a partition has."""

    STANDARD = "STANDARD"
    HEALTH_GRADE_SEARCH = "HEALTH_GRADE_SEARCH"


class ReconciliationType(OpenEnum):
    """How records of different sources are matched."""

    SYSTEM = "SYSTEM"
    CLINIA_FUNCTION = "CLINIA_FUNCTION"


@frozen(eq=False, repr=False, field_transformer=checked)
class Modules(Value):
    """The modules of a partition."""

    search: SearchModule = SearchModule.STANDARD


@frozen(eq=False, repr=False, field_transformer=checked)
class SourceCollection(Value):
    """A collection that a partition takes from its source; `key` is that of a profile."""

    key: str


@frozen(eq=False, repr=False, field_transformer=checked)
class DataSource(Value):
    """A partition fed by one source: `relationships` are keys of relationship definitions.

    https://docs.clinia.com/explanation/partitions/source-partition
    """

    key: str
    collections: Sequence[SourceCollection]
    relationships: Sequence[str] = ()


@frozen(eq=False, repr=False, field_transformer=checked)
class SourceMapping(Value):
    """A source of a connection's records; `property_mappings` maps partition paths to source paths."""

    source: str
    type: str
    property_mappings: Mapping[str, str]


@frozen(eq=False, repr=False, field_transformer=checked)
class ReconciliationRules(Value):
    """How records of several sources are merged; the shape of `rules` is not documented."""

    type: ReconciliationType
    rules: object = None


@frozen(eq=False, repr=False, field_transformer=checked)
class CollectionConnection(Value):
    """A collection of master data in a partition.

    `properties` defines the shape of its records; a traversed property is a path like `@locatedAt.since`.
    """

    key: str
    properties: Json
    mappings: Sequence[SourceMapping]
    traversed_properties: Sequence[str] | None = None
    reconciliation_rules: ReconciliationRules | None = None
    contained: Json | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class ConnectionEnd(Value):
    """One end of a relationship connection."""

    profile_key: str
    include_key: str


@frozen(eq=False, repr=False, field_transformer=checked)
class RelationshipConnection(Value):
    """A relationship type of master data in a partition."""

    from_: ConnectionEnd
    to: ConnectionEnd
    relationship_type: str
    properties: Json
    mappings: Sequence[SourceMapping]
    reconciliation_rules: ReconciliationRules | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class Mdm(Value):
    """A partition fed by the master data of several sources.

    https://docs.clinia.com/explanation/partitions/mdm-partition
    """

    sources: Sequence[str]
    collections: Sequence[CollectionConnection]
    relationships: Sequence[RelationshipConnection] = ()


@frozen(eq=False, repr=False, field_transformer=checked)
class OtherSource(Value):
    """A partition source of a type that this version does not know or could not read, as it was given."""

    type: str
    body: Json = field(repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class Partition(Value):
    """A data partition of the catalog. `key` and `status` are set by the service."""

    key: str
    modules: Modules
    source: DataSource | Mdm | OtherSource
    status: PartitionStatus | None = None
