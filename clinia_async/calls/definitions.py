"""What a source is made of: profiles, relationship definitions, collections. No task comes of these calls."""

from typing import ClassVar, TypeVar

from attrs import evolve, field, frozen

from clinia_async import codec
from clinia_async.calls.call import Host, Repeat, Request, path_of
from clinia_async.calls.checks import check_key, checked, checked_kind
from clinia_async.errors import ProtocolError
from clinia_async.models import Collection, Page, Profile, RelationshipDefinition

D = TypeVar("D", Profile, RelationshipDefinition, Collection)


@frozen
class PutProfile:
    """The shape of a resource. May be repeated.

    https://docs.clinia.com/explanation/data-model/profiles-relationships
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/profiles/{key}"
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))
    profile: Profile = field(validator=checked_kind(Profile))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        return Request(
            "PUT", Host.REGISTRY, self.route, path, body=codec.encode(evolve(self.profile, key=None))
        )

    def answer(self, body: bytes) -> Profile:
        return _of_key(codec.decode(body, Profile), self.key)


@frozen
class PutRelationshipDefinition:
    """Which profiles a relationship joins. The page calls it "create"; whether it replaces is not documented.

    https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/relationship-definitions/{key}"
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))
    definition: RelationshipDefinition = field(validator=checked_kind(RelationshipDefinition))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        body = codec.encode(evolve(self.definition, key=None))
        return Request("PUT", Host.REGISTRY, self.route, path, body=body)

    def answer(self, body: bytes) -> RelationshipDefinition:
        return _of_key(codec.decode(body, RelationshipDefinition), self.key)


@frozen
class GetRelationshipDefinition:
    """The path follows from its siblings' pages and is not itself documented.

    https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/relationship-definitions/{key}"
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        return Request("GET", Host.REGISTRY, self.route, path)

    def answer(self, body: bytes) -> RelationshipDefinition:
        return _of_key(codec.decode(body, RelationshipDefinition), self.key)


@frozen
class ListRelationshipDefinitions:
    """The path follows from its siblings' pages and is not itself documented.

    https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
    """

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/relationship-definitions"
    source: str = field(validator=checked(check_key, "$.source"))
    query: str = ""

    def request(self) -> Request:
        path = path_of(self.route, source=self.source)
        return Request("GET", Host.REGISTRY, self.route, path, self.query)

    def answer(self, body: bytes) -> Page[RelationshipDefinition]:
        return codec.decode_page(body, RelationshipDefinition)


@frozen
class PutCollection:
    """https://docs.clinia.com/api-reference/collections/create-or-update-a-registry-collection"""

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/collections/{key}"
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))
    collection: Collection = field(validator=checked_kind(Collection))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        body = codec.encode(evolve(self.collection, key=None, pipeline=None))
        return Request("PUT", Host.REGISTRY, self.route, path, body=body)

    def answer(self, body: bytes) -> Collection:
        return _of_key(codec.decode(body, Collection), self.key)


@frozen
class GetCollection:
    """https://docs.clinia.com/api-reference/collections/get-a-collection-from-the-registry"""

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/collections/{key}"
    source: str = field(validator=checked(check_key, "$.source"))
    key: str = field(validator=checked(check_key, "$.key"))

    def request(self) -> Request:
        path = path_of(self.route, source=self.source, key=self.key)
        return Request("GET", Host.REGISTRY, self.route, path)

    def answer(self, body: bytes) -> Collection:
        return _of_key(codec.decode(body, Collection), self.key)


def _of_key(found: D, key: str) -> D:
    """`found`, unless it says that it is another one; the key is not in every answer."""
    if found.key not in {None, key}:
        raise ProtocolError("the answer is about another key")
    return found
