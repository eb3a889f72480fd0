"""The definitions of a source: profiles, relationship definitions and collections."""

from attrs import field, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.tasks import CollectionType
from clinia_async.models.value import Json, Value, checked


class SourceType(OpenEnum):
    """What a source is for."""

    REGISTRY = "registry"


@frozen(eq=False, repr=False, field_transformer=checked)
class Source(Value):
    """A source of the catalog.

    https://docs.clinia.com/explanation/sources/data-source
    """

    key: str
    type: SourceType = SourceType.REGISTRY


class Cardinality(OpenEnum):
    """How many records an end of a relationship may have: the least and the most."""

    ZERO_OR_ONE = "0:1"
    ONE = "1:1"
    ANY = "0:*"
    SOME = "1:*"


@frozen(eq=False, repr=False, field_transformer=checked)
class DefinitionEnd(Value):
    """One end of a relationship definition; `include_key` is the name by which reads include that end."""

    profile_key: str
    include_key: str
    include_cardinality: Cardinality | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class RelationshipDefinition(Value):
    """The definition of a relationship type: the profiles that it joins.

    `key` is set in answers only; `properties` have the form of a profile's.
    """

    from_: DefinitionEnd
    to: DefinitionEnd
    key: str | None = None
    description: str | None = None
    properties: Json | None = None


class ProfileType(OpenEnum):
    """Whether a profile is of whole records or of resources inside others."""

    ROOT = "ROOT"
    CONTAINED = "CONTAINED"


@frozen(eq=False, repr=False, field_transformer=checked)
class Profile(Value):
    """The shape of a resource. `properties` maps a name to its definition, such as `{"type": "symbol"}`.

    https://docs.clinia.com/explanation/sources/profile
    """

    properties: Json
    type: ProfileType = ProfileType.ROOT
    key: str | None = None
    description: str | None = None
    contained: Json | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class CollectionProfile(Value):
    """The shape of the records of a collection."""

    properties: Json
    description: str | None = None
    contained: Json | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class Collection(Value):
    """A collection. `key` is that of a profile or relationship definition; `pipeline` is opaque here."""

    type: CollectionType
    profile: CollectionProfile | None = None
    key: str | None = None
    pipeline: object = field(default=None, repr=False)
