"""What a source is made of: profiles, relationship definitions and collections."""

from attrs import field, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.records import Json
from clinia_async.models.tasks import CollectionType


class SourceType(OpenEnum):
    REGISTRY = "registry"


@frozen
class Source:
    """https://docs.clinia.com/explanation/sources/data-source"""

    key: str
    type: SourceType = SourceType.REGISTRY


class Cardinality(OpenEnum):
    ZERO_OR_ONE = "0:1"
    ONE = "1:1"
    ANY = "0:*"
    SOME = "1:*"


@frozen
class DefinitionEnd:
    """`include_key` is the name under which the neighbour can be asked for."""

    profile_key: str
    include_key: str
    include_cardinality: Cardinality | None = None


@frozen
class RelationshipDefinition:
    """Which profiles a relationship joins. `key` is set in answers; `properties` are as in a profile."""

    from_: DefinitionEnd
    to: DefinitionEnd
    key: str | None = None
    description: str | None = None
    properties: Json | None = None


class ProfileType(OpenEnum):
    ROOT = "ROOT"
    CONTAINED = "CONTAINED"


@frozen
class Profile:
    """The shape of a resource. `properties` maps a name to its definition, such as `{"type": "symbol"}`.

    https://docs.clinia.com/explanation/sources/profile
    """

    properties: Json
    type: ProfileType = ProfileType.ROOT
    key: str | None = None
    description: str | None = None
    contained: Json | None = None


@frozen
class CollectionProfile:
    properties: Json
    description: str | None = None
    contained: Json | None = None


@frozen
class Collection:
    """`key` is the key of a profile or of a relationship definition; `pipeline` passes through as it is."""

    type: CollectionType
    profile: CollectionProfile | None = None
    key: str | None = None
    pipeline: object = field(default=None, repr=False)
