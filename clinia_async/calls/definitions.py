"""Calls about the definitions of a source: profiles, relationship definitions, collections.

They make no task.
"""

from typing import ClassVar

from attrs import evolve, field, frozen

from clinia_async import models
from clinia_async.calls.call import Host, Request, RetrySafety, path_of
from clinia_async.calls.catalog_addressing import SourceCall, check_entry
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.models import Collection, Profile, RelationshipDefinition
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter


@frozen(eq=False, repr=False, field_transformer=checked)
class PutProfile(SourceCall):
    """Create or replace a profile, the shape of a resource. May be retried.

    https://docs.clinia.com/explanation/data-model/profiles-relationships
    """

    route: ClassVar[str] = "/sources/{source}/v1/profiles/{key}"
    profile: Profile = field(metadata={"path": "$"})

    def request(self) -> Request:
        return self.build_request("PUT", converter.encode(self._sent()))

    def _sent(self) -> Profile:
        return evolve(self.profile, key=None)

    def decode_response(self, body: bytes) -> Profile:
        found = converter.decode(body, Profile, {"key": self.key})
        self.check_answer(found.key)
        check_entry(found, body, converter.to_json_values(self._sent()))
        return found


@frozen(eq=False, repr=False, field_transformer=checked)
class PutRelationshipDefinition(SourceCall):
    """Create a relationship definition. May be retried.

    Whether it replaces an existing one is not documented.

    https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
    """

    route: ClassVar[str] = "/sources/{source}/v1/relationship-definitions/{key}"
    definition: RelationshipDefinition = field(metadata={"path": "$"})

    def request(self) -> Request:
        return self.build_request("PUT", converter.encode(self._sent()))

    def _sent(self) -> RelationshipDefinition:
        return evolve(self.definition, key=None)

    def decode_response(self, body: bytes) -> RelationshipDefinition:
        found = converter.decode(body, RelationshipDefinition, {"key": self.key})
        self.check_answer(found.key)
        check_entry(found, body, converter.to_json_values(self._sent()))
        return found


class GetRelationshipDefinition(SourceCall):
    """Get a relationship definition. The path follows from its siblings' pages and is not itself documented.

    https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
    """

    __slots__ = ()

    route: ClassVar[str] = "/sources/{source}/v1/relationship-definitions/{key}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> RelationshipDefinition:
        found = converter.decode(body, RelationshipDefinition, {"key": self.key})
        self.check_answer(found.key)
        return found


@frozen(eq=False, repr=False, field_transformer=checked)
class ListRelationshipDefinitions(EqualByFields):
    """Get a page of relationship definitions.

    The path follows from its siblings' pages and is not itself documented.

    https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/relationship-definitions"
    source: str = field(validator=validated_by(check_key, "$.source"))
    query: str = ""

    def request(self) -> Request:
        path = path_of(self.route, source=self.source)
        return Request("GET", Host.REGISTRY, self.route, path, self.query)

    def decode_response(self, body: bytes) -> "models.Page[RelationshipDefinition]":
        return converter.decode_page(body, RelationshipDefinition)


@frozen(eq=False, repr=False, field_transformer=checked)
class PutCollection(SourceCall):
    """Create or replace a collection. May be retried.

    https://docs.clinia.com/api-reference/collections/create-or-update-a-registry-collection
    """

    route: ClassVar[str] = "/sources/{source}/v1/collections/{key}"
    collection: Collection = field(metadata={"path": "$"})

    def request(self) -> Request:
        return self.build_request("PUT", converter.encode(self._sent()))

    def _sent(self) -> Collection:
        return evolve(self.collection, key=None, pipeline=None)

    def decode_response(self, body: bytes) -> Collection:
        found = converter.decode(body, Collection, {"key": self.key})
        self.check_answer(found.key)
        check_entry(found, body, converter.to_json_values(self._sent()))
        return found


class GetCollection(SourceCall):
    """Get a collection.

    https://docs.clinia.com/api-reference/collections/get-a-collection-from-the-registry
    """

    __slots__ = ()

    route: ClassVar[str] = "/sources/{source}/v1/collections/{key}"

    def request(self) -> Request:
        return self.build_request("GET")

    def decode_response(self, body: bytes) -> Collection:
        found = converter.decode(body, Collection, {"key": self.key})
        self.check_answer(found.key)
        return found
